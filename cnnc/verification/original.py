"""A network of another program that runs here: a torch module, or an ONNX file in onnxruntime.

Takes the module or the file's path; returns its layers, the values that they take and return on given inputs, and its
outputs with its own weights or with others. Weights have torch's layout, and the names of the original.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.targets.loaded_onnx import LoadedOnnx
from cnnc.weights import onnx, patterns
from cnnc.weights.layers import Layer, layers

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SAMPLES = 4096  # elements of a value that are compared


@dataclass(frozen=True)
class LayerRun:
    """A layer, with probes of the values that it takes and returns; None for what is unknown or no tensor."""

    layer: Layer
    input: "Tensor | None" = None
    output: "Tensor | None" = None


def probe(value: "Tensor") -> "Tensor":
    """Return at most SAMPLES elements of a value at fixed places, which are the same whatever its axes of size 1."""
    flat = value.detach().reshape(-1)
    step = max(1, -(-flat.numel() // SAMPLES))
    return flat[::step].clone().float()


class TorchOriginal:
    """A torch module, of which a copy runs in evaluation mode."""

    tensors: "Mapping[str, Tensor]"
    layers: list[Layer]
    batch: int | None = None  # the only batch size that it takes

    def __init__(self, module: "torch.nn.Module") -> None:
        self._module = deepcopy(module).cpu().float().eval()
        self.tensors = {key: each.detach().clone() for key, each in self._module.state_dict().items()}
        self.layers = layers({key: tuple(each.shape) for key, each in self.tensors.items()})

    def misfit(self, count: int) -> str | None:
        """Return what the module takes instead of this number of inputs; None if it takes that many."""
        signature = inspect.signature(self._module.forward)
        try:
            signature.bind(*range(count))
        except TypeError:
            return f"takes {signature}"
        return None

    def trace(self, inputs: "Sequence[Tensor]", weights: "Mapping[str, Tensor]") -> list[LayerRun]:
        """Run with these weights; return the layers in the order in which they run first."""
        import torch

        around = {scope for each in self.layers for scope in patterns.around(each.name)[:-1]} | {""}
        named = {each.name: each for each in self.layers if each.name not in around}  # others do more than one layer
        taken: dict[str, Tensor] = {}
        found: dict[str, LayerRun] = {}

        def before(path: str, values: Any) -> None:
            if values and isinstance(values[0], torch.Tensor):
                taken.setdefault(path, probe(values[0]))

        def after(path: str, output: Any) -> None:
            if path in taken and path not in found:
                given = probe(output) if isinstance(output, torch.Tensor) else None
                found[path] = LayerRun(named[path], taken[path], given)

        hooks = []
        for path, module in self._module.named_modules():
            if path in named:
                hooks.append(module.register_forward_pre_hook(lambda _, values, path=path: before(path, values)))
                hooks.append(module.register_forward_hook(lambda _, values, out, path=path: after(path, out)))
        try:
            self.run(inputs, weights)
        finally:
            for hook in hooks:
                hook.remove()
        return list(found.values())

    def run(self, inputs: "Sequence[Tensor]", weights: "Mapping[str, Tensor] | None" = None) -> "list[Tensor]":
        """Return the outputs, with these weights or its own."""
        import torch

        load_tensors(self._module, {**self.tensors, **(weights or {})})
        with torch.no_grad():
            return list(tensors(self._module(*inputs)))


def load_tensors(module: "nn.Module", tensors: "Mapping[str, Tensor]") -> None:
    """Let the module hold these values of its state_dict, with the versions of its parts, which some parts ask for."""
    state = module.state_dict()
    state.update(tensors)
    module.load_state_dict(state)


def tensors(result: Any) -> "Iterator[Tensor]":
    """Yield the tensors in a module's result."""
    import torch

    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, Mapping | list | tuple):
        for each in result.values() if isinstance(result, Mapping) else result:
            yield from tensors(each)


class OnnxOriginal:
    """An ONNX file in onnxruntime on the CPU, in this process; raises E402 if its weights cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path, self._loaded, self._found = path, LoadedOnnx(path), onnx.read(path)
        self.tensors: Mapping[str, Tensor] = self._found.tensors
        self.layers, self.batch = self._found.layers, self._loaded.batch

    def misfit(self, count: int) -> str | None:
        """Return what the file takes instead of this number of inputs; None if it takes that many."""
        ours = len(self._loaded.inputs)
        return None if count == ours else f"has {counted(ours, 'input')}"

    def trace(self, inputs: "Sequence[Tensor]", weights: "Mapping[str, Tensor]") -> list[LayerRun]:
        """Run with these weights; return the layers in the order of their nodes."""
        import torch

        given = {name: probe(each) for name, each in zip(self._loaded.inputs, inputs, strict=True)}
        runs = self._found.runs
        names = dict.fromkeys(name for pair in runs.values() for name in pair if name not in given)
        values = self._guarded(lambda: self._loaded.run_values(self._stored(weights), names)(inputs))
        given |= {name: probe(torch.as_tensor(each)) for name, each in zip(names, values, strict=True)}
        return [LayerRun(self.layers[at], given[taken], given[returned]) for at, (taken, returned) in runs.items()]

    def run(self, inputs: "Sequence[Tensor]", weights: "Mapping[str, Tensor] | None" = None) -> "list[Tensor]":
        """Return the outputs, with these weights or its own."""
        import torch

        stored = self._stored(weights or {})
        return [torch.as_tensor(each) for each in self._guarded(lambda: self._loaded.with_weights(stored)(inputs))]

    def _stored(self, weights: "Mapping[str, Tensor]") -> dict[str, Any]:
        """Return the weights in the layout of the file."""
        turned = self._found.turned
        return {key: (each.T if turned.get(key) else each).contiguous().numpy() for key, each in weights.items()}

    def _guarded(self, run: Any) -> Any:
        try:
            return run()
        except Exception as error:  # onnxruntime raises what it likes
            reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
            raise CnncError.of(Code.MODEL_FAILED, f"{self._path}: onnxruntime cannot run it: {reason}") from error


Original = TorchOriginal | OnnxOriginal
