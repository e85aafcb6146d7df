"""Written files as functions: each target's runner takes torch tensors and gives numpy arrays, in the graph's order."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.fx import GraphModule

    Array = np.ndarray[Any, np.dtype[Any]]

Runner = Callable[["Sequence[Tensor]"], "list[Array]"]


def threads() -> int:
    """Half of the cores: on a busy machine, threads that wait for one without a core cost ten times what more gain."""
    return max(1, (os.cpu_count() or 1) // 2)


def run_torch(module: Callable[..., Any]) -> Runner:
    """A runner of a module in eval mode."""
    import torch

    def run(inputs: "Sequence[Tensor]") -> "list[Array]":
        with torch.inference_mode():
            result = module(*inputs)
        return [each.numpy() for each in (result if isinstance(result, tuple) else (result,))]

    return run


def run_onnx(path: Path) -> Runner:
    """A runner of an ONNX file, by onnxruntime on the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads()
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(inputs: "Sequence[Tensor]") -> "list[Array]":
        outputs: list[Array] = session.run(None, dict(zip(names, (each.numpy() for each in inputs), strict=True)))
        return outputs

    return run


def run_torchscript(path: Path) -> Runner:
    """A runner of a TorchScript file."""
    import torch

    from cnnc.targets import torchscript

    run = run_torch(torchscript.load(path))

    def run_once(inputs: "Sequence[Tensor]") -> "list[Array]":
        # It would profile and specialise for runs that do not come.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return run(inputs)

    return run_once


def run_pt2(path: Path) -> Runner:
    """A runner of a `.pt2` file."""
    from cnnc.targets import pt2

    return run_torch(pt2.load(path))


def run_python(path: Path, module: "GraphModule") -> Runner:
    """A runner of a module's source, which has no weights of its own: it takes the `module`'s."""
    from runpy import run_path

    from torch import nn

    classes = [each for each in run_path(str(path)).values() if isinstance(each, type) and issubclass(each, nn.Module)]
    network = classes[-1]()
    network.load_state_dict(module.state_dict())
    return run_torch(network.eval())
