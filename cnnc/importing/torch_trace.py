"""Trace a torch module: from an `nn.Module` to the flat spec that `from_torch` proves.

Torch's exporter to ONNX traces the module, with random weights of which no two are equal; its nodes keep the paths of
the modules. Batch norms and dropouts are traced in training, so that they stay nodes. The module is left as it was.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.importing.flat_spec import Imported
from cnnc.importing.importer import Described, read
from cnnc.importing.torch_markers import OPSET, markers
from cnnc.importing.torch_modes import functional_dropouts, layers_in_training
from cnnc.verification.original import load_tensors

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import Tensor, nn

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Traced:
    """A flat spec with the module's weights.

    `drawn` is the same if the module holds `state`, a state_dict of random values: with the module's own, zeros and
    equal values may hide a difference. `unused` are the parameters that it does not use in evaluation.
    """

    imported: Imported
    drawn: Imported
    state: "Mapping[str, Tensor]"
    unused: tuple[str, ...]

    def origins(self) -> dict[str, str]:
        """Return the key in the module of each weight that is one of its tensors."""
        by_value = {each.numpy().tobytes(): key for key, each in self.state.items() if each.is_floating_point()}
        return {key: by_value[a.tobytes()] for key, a in self.drawn.weights.items() if a.tobytes() in by_value}


def traced(module: "nn.Module", inputs: "tuple[Tensor, ...]", described: Described) -> Traced:
    """Return the flat spec of the module; raises E411."""
    import onnx

    names = input_names(module.forward, len(inputs))
    with TemporaryDirectory(prefix="cnnc-") as folder:
        path = Path(folder) / "module.onnx"
        try:
            own = {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
            drawn = _drawn(own)
            with _quiet(), holding(module, drawn):  # of tensors with equal values, torch keeps only one
                named = _exported(module, inputs, names, path)
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
    of_drawn, of_own = found if named else map(_with_usual_outputs, found)
    used = {each.name for each in model.graph.initializer}
    return Traced(of_own, of_drawn, drawn, tuple(name for name, _ in module.named_parameters() if name not in used))


def _exported(module: "nn.Module", inputs: "tuple[Tensor, ...]", names: list[str], path: Path) -> list[str] | None:
    """Write the ONNX file, and return the names that the module gives to its outputs, if it does."""
    import torch

    def export() -> list[str] | None:
        named = _output_names(module(*inputs))
        torch.onnx.export(
            module,
            inputs,
            path,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            opset_version=OPSET,
            input_names=names,
            output_names=named,
            dynamic_axes={each: {0: "batch"} for each in names},
        )
        return named

    with markers(), layers_in_training(module):
        try:
            with functional_dropouts(module):
                return export()
        except TypeError:  # a function of torch's C++ takes nothing but a bool for a mode
            return export()


def _read(model: "onnx.ModelProto", state: "Mapping[str, Tensor]", path: Path, described: Described) -> Imported:
    """Import the model with the values of a state_dict, not those that are left after the trace."""
    from onnx import numpy_helper

    for each in model.graph.initializer:
        if each.name in state:
            each.CopyFrom(numpy_helper.from_array(state[each.name].cpu().numpy(), each.name))
    path.write_bytes(model.SerializeToString())
    imported = read(path, described, traced=True)
    return replace(imported, weights={key: each.copy() for key, each in imported.weights.items()})  # of the open file


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out torch's warnings about its own exporter, and the graph that it prints if it fails."""
    sys.stdout.flush()
    try:
        terminal = os.dup(1)
    except OSError:  # it is closed
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 1)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        os.dup2(terminal, 1)
        os.close(terminal)
        os.close(sink)


@contextmanager
def holding(module: "nn.Module", state: "Mapping[str, Tensor]") -> Iterator[None]:
    """Let the module hold the values of a state_dict, and then its own again."""
    own = {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
    try:
        load_tensors(module, state)
        yield
    finally:
        load_tensors(module, own)


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


def _as_in_evaluation(model: "onnx.ModelProto") -> None:
    """Make nodes of training those of inference; norms of weights, not of a value, stay as they are."""
    values = {each.name for each in model.graph.input}
    for node in model.graph.node:
        if values.isdisjoint(node.input):
            continue
        values.update(node.output)
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


def _output_names(result: Any) -> list[str] | None:
    """Return the names that a module gives to its outputs, if it returns a dict of tensors."""
    named = isinstance(result, Mapping) and all(hasattr(each, "shape") for each in result.values())
    return [str(name) for name in result] if named else None


def _with_usual_outputs(imported: Imported) -> Imported:
    """Return the spec with the names of their nodes for outputs, whose own names are only numbers of the trace."""
    outputs = imported.spec.get("outputs")
    last = next(iter(imported.spec["nodes"][-1].values()))["name"]
    if outputs and [*outputs.values()] == [last]:
        return replace(imported, spec={key: each for key, each in imported.spec.items() if key != "outputs"})
    sources = [*outputs.values()] if outputs else []
    if sources and len({*sources}) == len(sources) and not any("." in each for each in sources):
        return replace(imported, spec={**imported.spec, "outputs": {each: each for each in sources}})
    return imported


def _untraceable(module: "nn.Module", error: Exception) -> CnncError:
    first = str(error).strip().partition("\n")[0].partition(" [Caused by")[0].partition("Please ")[0].strip()
    return CnncError.of(
        Code.NOT_IMPORTABLE,
        f"torch cannot trace {type(module).__name__}: {first or type(error).__name__}",
        help="check the number and the shapes of its inputs, which need a batch axis; replace layers that ONNX lacks",
    )
