"""Written files, loaded to be run beside torch: each gives its outputs, its weights, and the same with other weights.

A runner takes torch tensors, in the order of the graph's inputs, and gives numpy arrays in the order of its outputs.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.fx import GraphModule

    Array = np.ndarray[Any, np.dtype[Any]]

Runner = Callable[["Sequence[Tensor]"], "list[Array]"]


class Loaded(Protocol):
    """A written file."""

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The names of its inputs; None where its format has none, and they go by position."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of its outputs; None where its format has none, and they go by position."""

    def run(self, inputs: "Sequence[Tensor]") -> "list[Array]":
        """The outputs of the file as it is."""

    def weights(self) -> "Mapping[str, Array]":
        """The numbers that the file holds, by their keys."""

    def with_weights(self, weights: "Mapping[str, Array]") -> Runner:
        """The file with other numbers, under the same keys; ends the use of `run`."""


def threads() -> int:
    """Half of the cores: on a busy machine, threads that wait for one without a core cost ten times what more gain."""
    return max(1, (os.cpu_count() or 1) // 2)


@contextmanager
def prepared(module: "GraphModule") -> Iterator[None]:
    """The module in eval mode and torch on no more than our number of threads, for a while."""
    import torch

    mode, before = module.training, torch.get_num_threads()
    module.eval()
    limit_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        module.train(mode)


def limit_threads() -> None:
    """Keep torch, in the calling thread, to no more than our number of threads."""
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), threads()))


def run_torch(module: Callable[..., Any]) -> Runner:
    """A runner of a module in eval mode."""
    import torch

    def run(inputs: "Sequence[Tensor]") -> "list[Array]":
        with torch.inference_mode():
            result = module(*inputs)
        return [each.numpy() for each in (result if isinstance(result, tuple) else (result,))]

    return run


class LoadedModule:
    """A file that torch runs."""

    inputs: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None

    def __init__(self, module: Any) -> None:
        self._module = module
        self.run: Runner = run_torch(module)

    def weights(self) -> "Mapping[str, Array]":
        return {key: value.detach().numpy() for key, value in self._module.state_dict().items()}

    def with_weights(self, weights: "Mapping[str, Array]") -> Runner:
        import torch

        for key, value in [*self._module.named_parameters(), *self._module.named_buffers()]:
            value.data = torch.from_numpy(weights[key])
        return self.run


def load_torchscript(path: Path) -> Loaded:
    """A TorchScript file."""
    import torch

    from cnnc.targets import torchscript

    loaded = LoadedModule(torchscript.load(path))
    run = loaded.run

    def run_once(inputs: "Sequence[Tensor]") -> "list[Array]":
        # It would profile and specialise for runs that do not come.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return run(inputs)

    loaded.run = run_once
    return loaded


def load_pt2(path: Path) -> Loaded:
    """A `.pt2` file."""
    from cnnc.targets import pt2

    return LoadedModule(pt2.load(path))


def load_python(path: Path, module: "GraphModule") -> Loaded:
    """A module's source, which has no weights of its own: it takes the `module`'s."""
    from runpy import run_path

    from torch import nn

    classes = [each for each in run_path(str(path)).values() if isinstance(each, type) and issubclass(each, nn.Module)]
    network = classes[-1]()
    network.load_state_dict(module.state_dict())
    return LoadedModule(network.eval())
