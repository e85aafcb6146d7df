"""Import a torch module: `cnnc.from_torch(module, example)`.

The module is traced, and the result read as an ONNX file is. The spec is proved by running both: with the module's own
weights, and with random ones.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.missing_packages import named
from cnnc.formatting.texts import write, write_for
from cnnc.graph.graph import Graph
from cnnc.importing.flat_spec import Imported
from cnnc.importing.importer import Described
from cnnc.importing.importer import write as write_files
from cnnc.importing.names import clean
from cnnc.importing.proof import BATCHES, compiled
from cnnc.importing.torch_decisions import noting_decisions
from cnnc.importing.torch_modes import modes_kept
from cnnc.importing.torch_trace import Traced, holding, traced
from cnnc.recover.classes import parametrized
from cnnc.recover.structured import proved, structured
from cnnc.verification.compare import compare
from cnnc.verification.original import tensors
from cnnc.weights.proposal import Proposal

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    Array = np.ndarray[Any, np.dtype[Any]]

STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class FromTorch:
    """A torch module as a spec.

    `spec` is plain data and `weights` its state_dict, as arrays. `keys` has the key in the module's state_dict for each
    of ours; where they are equal, checkpoints of the module load as they are. It lacks weights that are computed from
    tensors of the module. `largest` is the largest difference of an output from the module's, relative to its largest
    value. `buffers` are the module's buffers, other than statistics of norms, that are weights of the spec: training
    changes them, unless the recipe freezes them. `unused` are the module's parameters that the spec lacks, because the
    module does not use them in evaluation: heads for the training, say. `decisions` are the lines of its code that read
    single values: the spec always does what they decided in the trace.
    """

    spec: dict[str, Any]
    weights: "Mapping[str, Array]"
    keys: Mapping[str, str]
    largest: float
    buffers: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    reshaped: bool = False  # some weights have another shape than the module's tensors, so that only a map loads them

    @cached_property
    def text(self) -> str:
        """The spec as YAML."""
        return write(self.spec)

    @cached_property
    def map(self) -> str:
        """A map with which checkpoints of the module load; empty if they load as they are, or if there is none."""
        same = not self.reshaped and all(key == origin for key, origin in self.keys.items())
        if same or self.keys.keys() != self.weights.keys() or len({*self.keys.values()}) < len(self.keys):
            return ""
        return Proposal(self.keys, (), ()).as_yaml("the keys of the spec: those of the module")

    @property
    def imported(self) -> Imported:
        """The spec and its weights, as they are written."""
        return Imported(self.spec, self.weights, {}, {}, {}, {})

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the spec to `path`, and its weights beside it with the suffix .safetensors; raises E405.

        If keys differ from the module's, a map for `--map` gets the suffix .map.yaml.
        """
        text = write_for(Path(path), self.spec)
        write_files(self.imported, text, Path(path), map=self.map, overwrite=overwrite)


@named("build", "importing a torch module")
def from_torch(module: "nn.Module", example: "Tensor | tuple[Tensor, ...]", *, name: str | None = None) -> FromTorch:
    """Return the spec of a module and its weights; the module is not changed.

    `example` are its inputs, float32 (N, C, H, W) or (N, features); their heights and widths are those of the spec, the
    batch is free. Raises CnncError: E411 for parts that no op computes, E404 if the spec computes something else.
    """
    import torch

    inputs = (example,) if torch.is_tensor(example) else tuple(example)
    return import_module(module, inputs, Described(name=name))


def import_module(
    module: "nn.Module", inputs: "tuple[Tensor, ...]", described: Described, *, as_list: bool = False
) -> FromTorch:
    """Do as `from_torch`; `as_list` leaves the nodes in one list, without blocks."""
    about = replace(described, name=described.name or clean(type(module).__name__.lower()))
    trace = traced(module, inputs, about)
    flat = trace.imported
    graph, renamed = proved(flat.spec), {key: key for key in flat.weights}
    if as_list:
        spec = parametrized(flat.spec, graph)
    else:
        found = structured(flat.spec, flat.paths, classes=True)
        graph, spec, renamed = found.graph, found.spec, found.keys(graph, flat.weights)
    weights = {renamed[key]: array for key, array in flat.weights.items()}
    read: list[str] = []
    largest = _prove(module, graph, weights, inputs, read)
    with holding(module, trace.state):
        if trace.drawn.spec == flat.spec:
            _prove(module, graph, {renamed[key]: array for key, array in trace.drawn.weights.items()}, inputs, read)
        else:  # the spec has numbers that are tensors of the module
            _prove(module, proved(trace.drawn.spec), trace.drawn.weights, inputs, read)
    keys = {
        renamed[key]: origin for key, origin in trace.origins().items() if _holds(module, origin, flat.weights.get(key))
    }
    state = module.state_dict()
    reshaped = any(weights[key].shape != tuple(state[origin].shape) for key, origin in keys.items())
    buffers = _trained_buffers(module, trace)
    return FromTorch(spec, weights, keys, largest, buffers, trace.unused, tuple(read), reshaped)


def _holds(module: "nn.Module", key: str, array: "Array | None") -> bool:
    """Return whether a tensor of the module has these values."""
    return array is not None and module.state_dict()[key].cpu().numpy().tobytes() == array.tobytes()


def _trained_buffers(module: "nn.Module", trace: Traced) -> tuple[str, ...]:
    """Return the buffers, other than statistics of norms, that are weights: as they are, negated, or inverted."""
    weights = {array.tobytes() for array in trace.drawn.weights.values()}
    drawn = {  # a buffer that no checkpoint holds was not drawn
        name: trace.state.get(name, own).cpu().numpy()
        for name, own in module.named_buffers()
        if own.is_floating_point()
    }
    return tuple(
        name
        for name, array in drawn.items()
        if name.rpartition(".")[2] not in STATISTICS
        and not weights.isdisjoint(each.tobytes() for each in (array, -array, 1 / array))
    )


def _prove(
    module: "nn.Module",
    graph: Graph,
    weights: "Mapping[str, Array]",
    inputs: "tuple[Tensor, ...]",
    read: list[str],
) -> float:
    """Compare both in evaluation, for random inputs of several batches; returns the largest relative difference.

    Adds the lines of the module's code that read single values to `read`.
    """
    import torch

    ours, largest, generator = compiled(graph, weights), 0.0, torch.Generator()
    with _all_in_evaluation(module), torch.inference_mode():
        for batch, sign in product(BATCHES, (1, -1)):  # of both signs, or a forward may decide the same for all
            generator.manual_seed(batch)
            drawn = tuple(sign * torch.randn((batch, *each.shape[1:]), generator=generator) for each in inputs)
            with noting_decisions(read):
                theirs = [*tensors(module(*drawn))]
            if len(theirs) != len(graph.outputs) or not all(bool(each.isfinite().all()) for each in theirs):
                raise _nothing_to_compare(module, len(theirs), len(graph.outputs))
            for a, b in zip(tensors(ours(*drawn)), theirs, strict=True):
                distance = compare(a.numpy(), b.numpy())
                if not distance.ok:
                    raise _differs(module, distance.absolute, read)
                largest = max(largest, distance.relative)
    return largest


@contextmanager
def _all_in_evaluation(module: "nn.Module") -> Iterator[None]:
    with modes_kept(module):
        module.eval()
        yield


def _nothing_to_compare(module: "nn.Module", given: int, wanted: int) -> CnncError:
    if given != wanted:
        fault, help = f"returns {given} tensors in evaluation, but the trace has {wanted}", "return tensors alone"
    else:
        fault, help = "returns NaN or infinity for random inputs", "look for NaN or very large numbers in the weights"
    message = f"the spec cannot be compared with {type(module).__name__}, which {fault}"
    return CnncError.of(Code.NOT_VERIFIED, message, help=help)


def _differs(module: "nn.Module", absolute: float, read: Sequence[str]) -> CnncError:
    where = f" in {', '.join(read)}" if read else ""
    return CnncError.of(
        Code.NOT_VERIFIED,
        f"the spec does not compute what {type(module).__name__} does: outputs differ by {absolute:.2g}",
        help=f"its forward may depend on the values of its inputs{where}, which a trace cannot follow",
    )
