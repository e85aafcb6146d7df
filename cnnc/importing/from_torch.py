"""Import a torch module: `cnnc.from_torch(module, example)`.

Torch's exporter to ONNX traces the module; its nodes keep the paths of the modules. The result is read as an ONNX file.
Batch norms and dropouts are traced in training, so that they stay nodes of the spec, which is proved by running both.
"""

import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.missing_packages import named
from cnnc.formatting import write
from cnnc.graph.graph import Graph
from cnnc.importing.flat_spec import Imported
from cnnc.importing.importer import Described, read
from cnnc.importing.importer import write as write_files
from cnnc.importing.names import clean
from cnnc.importing.proof import BATCHES, compiled
from cnnc.recover.structured import proved, structured
from cnnc.verification.compare import compare
from cnnc.verification.original import tensors

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import Tensor, nn

    Array = np.ndarray[Any, np.dtype[Any]]

OPSET = 17  # the newest of torch's exporter that traces, whose nodes keep the paths of modules


@dataclass(frozen=True)
class FromTorch:
    """A torch module as a spec.

    `spec` is plain data and `weights` its state_dict, as arrays. `keys` has the key in the module's state_dict for each
    of ours; where they are equal, checkpoints of the module load as they are. `largest` is the largest difference of an
    output from the module's, relative to its largest value.
    """

    spec: dict[str, Any]
    weights: "Mapping[str, Array]"
    keys: Mapping[str, str]
    largest: float

    @cached_property
    def text(self) -> str:
        """The spec as YAML."""
        return write(self.spec)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the spec to `path`, and its weights beside it with the suffix .safetensors; raises E405."""
        imported = Imported(self.spec, self.weights, {}, {}, {}, {})
        write_files(imported, self.text, Path(path))


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
    traced = _traced(module, inputs, about)
    flat = traced.imported
    graph, spec, renamed = proved(flat.spec), flat.spec, {key: key for key in flat.weights}
    if not as_list:
        found = structured(flat.spec, flat.paths)
        graph, spec, renamed = found.graph, found.spec, found.keys(graph, flat.weights)
    weights = {renamed[key]: array for key, array in flat.weights.items()}
    largest = _prove(module, graph, weights, inputs)
    if traced.drawn.keys() == flat.weights.keys():
        with _holding(module, traced.state):
            _prove(module, graph, {renamed[key]: array for key, array in traced.drawn.items()}, inputs)
    return FromTorch(spec, weights, {renamed[key]: origin for key, origin in traced.origins().items()}, largest)


@dataclass(frozen=True)
class _Traced:
    """A flat spec with the module's weights.

    `drawn` are its weights if the module holds `state`, a state_dict of random values: with the module's own, zeros and
    equal values may hide a difference.
    """

    imported: Imported
    drawn: "Mapping[str, Array]"
    state: "Mapping[str, Tensor]"

    def origins(self) -> dict[str, str]:
        """Return the key in the module of each weight that is one of its tensors."""
        by_value = {each.numpy().tobytes(): key for key, each in self.state.items() if each.is_floating_point()}
        return {key: by_value[a.tobytes()] for key, a in self.drawn.items() if a.tobytes() in by_value}


def _traced(module: "nn.Module", inputs: "tuple[Tensor, ...]", described: Described) -> _Traced:
    """Return the flat spec of the module; raises E411."""
    import onnx
    import torch

    names = input_names(module.forward, len(inputs))
    with TemporaryDirectory(prefix="cnnc-") as folder:
        path = Path(folder) / "module.onnx"
        try:
            own = {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
            drawn = _drawn(own)
            # torch warns about its own exporter; of tensors with equal values, it keeps only one
            with warnings.catch_warnings(action="ignore"), _layers_in_training(module), _holding(module, drawn):
                torch.onnx.export(
                    module,
                    inputs,
                    path,
                    dynamo=False,
                    training=torch.onnx.TrainingMode.PRESERVE,
                    do_constant_folding=False,
                    opset_version=OPSET,
                    input_names=names,
                    dynamic_axes={each: {0: "batch"} for each in names},
                )
        except Exception as error:  # torch's tracer raises any type
            raise _untraceable(module, error) from error
        model = onnx.load(path)
        _as_in_evaluation(model)
        try:
            found = [_read(model, values, path, described) for values in (drawn, own)]
        except CnncError as error:  # the file is ours
            name = type(module).__name__
            raise CnncError(
                replace(each, message=each.message.replace(str(path), name)) for each in error.diagnostics
            ) from None
    return _Traced(_with_usual_output(found[1]), found[0].weights, drawn)


@contextmanager
def _holding(module: "nn.Module", state: "Mapping[str, Tensor]") -> Iterator[None]:
    """Let the module hold the values of a state_dict, and then its own again."""
    own = {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
    try:
        module.load_state_dict(state)
        yield
    finally:
        module.load_state_dict(own)


def _read(model: "onnx.ModelProto", state: "Mapping[str, Tensor]", path: Path, described: Described) -> Imported:
    """Import the model with the values of a state_dict, not those that are left after the trace."""
    from onnx import numpy_helper

    for each in model.graph.initializer:
        if each.name in state:
            each.CopyFrom(numpy_helper.from_array(state[each.name].cpu().numpy(), each.name))
    path.write_bytes(model.SerializeToString())
    imported = read(path, described)
    return replace(imported, weights={key: each.copy() for key, each in imported.weights.items()})  # of the open file


def _drawn(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return random values for a state_dict, all different, with which values keep about their size in a network."""
    import torch

    generator = torch.Generator().manual_seed(0)
    found = {}
    for key, each in state.items():
        found[key] = each
        if each.is_floating_point() and each.ndim < 2:
            found[key] = torch.rand(each.shape, generator=generator) + 0.5
        elif each.is_floating_point():
            found[key] = torch.randn(each.shape, generator=generator) * (2 / max(1, each[0].numel())) ** 0.5
    return found


@contextmanager
def _layers_in_training(module: "nn.Module") -> Iterator[None]:
    """Put batch norms and dropouts in training, everything else in evaluation."""
    from torch import nn

    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    kinds = (*norms, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    with _modes_kept(module):
        for each in module.modules():
            each.training = isinstance(each, kinds)
        yield


@contextmanager
def _modes_kept(module: "nn.Module") -> Iterator[None]:
    modes = {each: each.training for each in module.modules()}
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode


def _as_in_evaluation(model: "onnx.ModelProto") -> None:
    """Make nodes of training those of inference."""
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            kept = [each for each in node.attribute if each.name != "training_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)
            del node.output[1:]
        elif node.op_type == "Dropout":
            del node.input[2:]
            del node.output[1:]


def input_names(forward: Callable[..., Any], count: int) -> list[str]:
    """Return the names of the parameters of `forward`, as far as they are names of single inputs."""
    found = [
        each.name
        for each in inspect.signature(forward).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return [*found, *(f"input_{k}" for k in range(len(found), count))][:count]


def _with_usual_output(imported: Imported) -> Imported:
    """Return the spec without the output's name if there is one, which is only a number of the trace."""
    outputs = imported.spec.get("outputs")
    last = next(iter(imported.spec["nodes"][-1].values()))["name"]
    if outputs and [*outputs.values()] == [last]:
        return replace(imported, spec={key: each for key, each in imported.spec.items() if key != "outputs"})
    return imported


def _prove(module: "nn.Module", graph: Graph, weights: "Mapping[str, Array]", inputs: "tuple[Tensor, ...]") -> float:
    """Compare both in evaluation, for random inputs of several batches; returns the largest relative difference."""
    import torch

    ours, largest, generator = compiled(graph, weights), 0.0, torch.Generator()
    with _all_in_evaluation(module), torch.inference_mode():
        for batch, sign in product(BATCHES, (1, -1)):  # of both signs, or a forward may decide the same for all
            generator.manual_seed(batch)
            drawn = tuple(sign * torch.randn((batch, *each.shape[1:]), generator=generator) for each in inputs)
            theirs = [*tensors(module(*drawn))]
            if len(theirs) != len(graph.outputs) or not all(bool(each.isfinite().all()) for each in theirs):
                raise _nothing_to_compare(module, len(theirs), len(graph.outputs))
            for a, b in zip(tensors(ours(*drawn)), theirs, strict=True):
                distance = compare(a.numpy(), b.numpy())
                if not distance.ok:
                    raise _differs(module, distance.absolute)
                largest = max(largest, distance.relative)
    return largest


@contextmanager
def _all_in_evaluation(module: "nn.Module") -> Iterator[None]:
    with _modes_kept(module):
        module.eval()
        yield


def _untraceable(module: "nn.Module", error: Exception) -> CnncError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CnncError.of(
        Code.NOT_IMPORTABLE,
        f"torch cannot trace {type(module).__name__}: {reason}",
        help="see whether `torch.onnx.export(module, example, 'net.onnx')` works, and import that file",
    )


def _nothing_to_compare(module: "nn.Module", given: int, wanted: int) -> CnncError:
    if given != wanted:
        fault, help = f"returns {given} tensors in evaluation, but the trace has {wanted}", "return tensors alone"
    else:
        fault, help = "returns NaN or infinity for random inputs", "look for NaN or very large numbers in the weights"
    message = f"the spec cannot be compared with {type(module).__name__}, which {fault}"
    return CnncError.of(Code.NOT_VERIFIED, message, help=help)


def _differs(module: "nn.Module", absolute: float) -> CnncError:
    return CnncError.of(
        Code.NOT_VERIFIED,
        f"the spec does not compute what {type(module).__name__} does: outputs differ by {absolute:.2g}",
        help="its forward may depend on the values of its inputs, which a trace cannot follow",
    )
