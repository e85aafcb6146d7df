"""Load weights from a file and check them against what a module expects.

Takes a file (safetensors, a torch checkpoint, or ONNX) and the shape of every key; returns float32 tensors on the CPU,
one per key. Keys are those of the file without wrapper prefixes, or are found by a map. The file is not trusted:
pickles are read with torch's restricted reader or refused (E402), keys and shapes must be the spec's (E401), and every
number must be finite (E403).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.graph.graph import Graph
from cnnc.targets import torch_module
from cnnc.weights import checkpoint_file, map_file, state_dict
from cnnc.weights.channels_last import flattened, is_kernel, reorder, to_torch
from cnnc.weights.layers import Layer, counts_batches, layers
from cnnc.weights.mismatch import Advise, Mismatch, Shapes
from cnnc.weights.onnx import OnnxWeights
from cnnc.weights.patterns import Names, all_selected, around, names_of, require_matches
from cnnc.weights.zip_checkpoint import unreadable

if TYPE_CHECKING:
    from torch import Tensor

Tell = Callable[[str], None]

SHOWN = 10


def log(remark: str) -> None:
    """Log a remark to the logger `cnnc`, the default for callers that do not take remarks."""
    logging.getLogger("cnnc").warning(remark)


@dataclass(frozen=True)
class WeightsFile:
    """The contents of a weights file.

    `ordered`: its layers are in the order of the network that they come from. `shared`: a tensor may be used for
    several weights. `turned` are the tensors that had the layout of Keras.
    """

    tensors: "Mapping[str, Tensor]"
    layers: list[Layer]
    ordered: bool
    shared: bool
    turned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fresh:
    """The weights that a training draws anew, which are not read: patterns, and the names of the network's keys."""

    patterns: Sequence[str] = ()
    names: Names = field(default_factory=dict)

    @property
    def drawn(self) -> frozenset[str]:
        """The keys of the network that are drawn anew."""
        return all_selected(self.names, self.patterns)

    def left_out(self, path: Path, keys: AbstractSet[str]) -> frozenset[str]:
        """Return those of the file's keys that are not read; raises E517 if a pattern matches nothing anywhere."""
        theirs = {key: around(key) for key in keys if key not in self.names}
        require_matches("fresh", self.patterns, {**self.names, **theirs}, f"the network or {path}")
        return self.drawn | all_selected(theirs, self.patterns)


def read(
    path: Path,
    expected: Shapes,
    map: Path | None = None,
    key: str | None = None,
    note: Tell = log,
    *,
    fresh: Fresh = Fresh(),
    advise: Advise = lambda _: None,
    graph: Graph | None = None,
) -> "dict[str, Tensor]":
    """Return the tensors of the file, in the order of `expected`; raises E401, E402, E403, or E408 for a wrong `map`.

    Other floating types become float32. A batch norm's `num_batches_tracked` may be missing and is then 0. `key`
    selects one of several state_dicts; `note` is called with which one was used and what was stripped from its keys.
    Keys that are `fresh` are left out. `advise` returns the help of E401. Weights of Keras for a linear layer after
    `flatten` need the `graph`.
    """
    wanted = None if map is None else map_file.read_map(map)
    drawn = fresh.drawn
    expected = {name: shape for name, shape in expected.items() if name not in drawn}
    source = _checkpoint(path, expected, map_file.names(wanted) if wanted else expected.keys(), key, note)
    left_out = fresh.left_out(path, source.tensors.keys())
    found = {name: tensor for name, tensor in source.tensors.items() if name not in left_out or wanted}
    if wanted is not None:
        found = map_file.use(wanted, path, found, expected, shared=source.shared, drawn=drawn)
        after = {} if graph is None or not source.turned else flattened(graph)
        pairs = map_file.tensor_names(wanted)
        found |= {ours: reorder(found[ours], after[ours]) for ours in after if pairs.get(ours) in source.turned}
    return _settled(path, key, found, expected, advise)


def read_for(
    graph: Graph, path: str | Path, map: str | Path | None = None, key: str | None = None, note: Tell | None = None
) -> "dict[str, Tensor]":
    """Return all weights of the graph's module; see `read`. The help of E401 has been tried out."""
    from cnnc.weights.advice import for_use

    map, advise = None if map is None else Path(map), partial(for_use, graph)
    return read(Path(path), torch_module.shapes(graph), map, key, note or log, advise=advise, graph=graph)


def read_start(
    graph: Graph,
    path: str | Path,
    patterns: Sequence[str],
    map: str | Path | None = None,
    key: str | None = None,
    note: Tell | None = None,
) -> "dict[str, Tensor]":
    """Return the weights from which a training starts, without those that the patterns select; see `read`."""
    from cnnc.weights.advice import for_training

    shapes, say = torch_module.shapes(graph), note or log
    fresh = Fresh(patterns, names_of(graph, shapes))
    map = None if map is None else Path(map)
    found = read(Path(path), shapes, map, key, say, fresh=fresh, advise=partial(for_training, graph), graph=graph)
    if patterns:
        anew = [*dict.fromkeys(name.rpartition(".")[0] or name for name in shapes if name not in found)]
        listed = ", ".join(f"`{name}`" for name in anew[:SHOWN]) + ", …" * (len(anew) > SHOWN)
        say(f"{path}: {len(found)} of {counted(len(shapes), 'tensor')}" + f"; drawn anew: {listed}" * bool(anew))
    return found


def _settled(
    path: Path, key: str | None, found: "dict[str, Tensor]", expected: Shapes, advise: Advise
) -> "dict[str, Tensor]":
    """Return the tensors as float32, each with its own memory; raises E401 and E403."""
    import torch

    for name, shape in expected.items():
        if counts_batches(name, shape):
            found[name] = found.get(name, torch.tensor(0)).to(torch.int64)
    if mismatch := Mismatch(path, key, shapes(found), expected):
        raise mismatch.error(advise)
    taken: set[int] = set()
    weights = {name: _own(_numbers(path, name, found[name]), taken) for name in expected}
    _require_finite(path, weights)
    return weights


def checkpoint(path: Path, expected: Shapes, key: str | None = None, note: Tell = log) -> WeightsFile:
    """Return the tensors and layers of the file, for a network with these shapes; raises E402, or E401 if folded."""
    return _checkpoint(path, expected, expected.keys(), key, note)


def _checkpoint(path: Path, expected: Shapes, names: AbstractSet[str], key: str | None, note: Tell) -> WeightsFile:
    """Read the file; `names` are the tensor names expected by the network or by a map."""
    file = checkpoint_file.load(path)
    if isinstance(file.data, OnnxWeights):
        if key is not None:
            raise unreadable(path, f"an ONNX model holds no state_dict `{key}`", "leave out `--key`")
        _require_norms(path, file.data, expected)
        return WeightsFile(file.data.tensors, file.data.layers, ordered=True, shared=True)
    state = state_dict.find(path, file.data, names, key)
    _require_dense(path, state.tensors)
    if state.remark:
        note(state.remark)
    turned = {name for name, each in state.tensors.items() if name not in expected and is_kernel(name, each.shape)}
    tensors = {name: to_torch(name, each) if name in turned else each for name, each in state.tensors.items()}
    return WeightsFile(tensors, layers(shapes(tensors)), file.ordered, shared=False, turned=frozenset(turned))


def _require_norms(path: Path, found: OnnxWeights, expected: Shapes) -> None:
    wanted = len([key for key in expected if key.rpartition(".")[2] == "running_var"])
    if found.norms < wanted:
        raise CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{path} has {found.norms} batch norms, the network {wanted}: the exporter has folded the others into the "
            "layers before them, which cannot be undone",
            help="use the weights it was exported from, or export with torch.onnx.export(optimize=False)",
        )


def shapes(state: "Mapping[str, Tensor]") -> dict[str, tuple[int, ...]]:
    """Return the shapes in a module's state_dict, as `read` expects them."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _require_dense(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    import torch

    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise unreadable(path, f"`{key}` is a sparse, quantized or empty (meta) tensor", "save dense float32")


def _numbers(path: Path, key: str, tensor: "Tensor") -> "Tensor":
    import torch

    if counts_batches(key, tensor.shape):
        return tensor
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{path}: `{key}` is {kind}, but weights must be floating-point",
            help="convert quantized weights to float32 first",
        )
    return tensor.detach().to(torch.float32).contiguous()


def _own(tensor: "Tensor", taken: set[int]) -> "Tensor":
    """Return the tensor, or a copy if its storage is larger or is in `taken`, the addresses of other tensors."""
    memory = tensor.untyped_storage()
    if memory.nbytes() > tensor.nbytes or memory.data_ptr() in taken:
        return tensor.clone()
    taken.add(memory.data_ptr())
    return tensor


def _require_finite(path: Path, weights: "Mapping[str, Tensor]") -> None:
    bad = [key for key, tensor in weights.items() if tensor.is_floating_point() and not _is_finite(tensor)]
    if bad:
        listed = ", ".join(f"`{key}`" for key in bad[:SHOWN]) + (f" and {len(bad) - SHOWN} more" if bad[SHOWN:] else "")
        raise CnncError.of(
            Code.WEIGHTS_NOT_FINITE,
            f"{path} holds NaN, infinity or numbers beyond float32 in {listed}",
            help="the training diverged or the file is damaged: use an earlier checkpoint",
        )


def _is_finite(tensor: "Tensor") -> bool:
    """Whether all elements are finite, by the extremes, which propagate NaN: `isfinite` would allocate a mask."""
    return tensor.numel() == 0 or all(bool(each.isfinite()) for each in tensor.aminmax())
