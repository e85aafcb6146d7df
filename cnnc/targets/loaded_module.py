"""Load exported files to compare them with torch: run them, read their weights, and run them with other weights.

A runner takes torch tensors, in the order of the graph's inputs, and returns numpy arrays in the order of its outputs.
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
    """An exported file."""

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The names of its inputs; None if its format has none, so that they go by position."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of its outputs; None if its format has none, so that they go by position."""

    def run(self, inputs: "Sequence[Tensor]") -> "list[Array]":
        """Return the outputs of the file as it is."""

    def weights(self) -> "Mapping[str, Array]":
        """Return the weights in the file, by their keys."""

    def with_weights(self, weights: "Mapping[str, Array]") -> Runner:
        """Return a runner of the file with other weights under the same keys; `run` must not be used afterwards."""


def threads() -> int:
    """Return half the number of cores: on a busy machine, waiting for a thread that has no core costs far more time."""
    return max(1, (os.cpu_count() or 1) // 2)


@contextmanager
def prepared(module: "GraphModule") -> Iterator[None]:
    """Put the module into eval mode and limit torch to `threads()` threads; restores both on exit."""
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
    """Limit torch, in the calling thread, to `threads()` threads."""
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), threads()))


def run_torch(module: Callable[..., Any]) -> Runner:
    """Return a runner of a module in eval mode."""
    import torch

    def run(inputs: "Sequence[Tensor]") -> "list[Array]":
        with torch.inference_mode():
            result = module(*inputs)
        return [each.detach().numpy() for each in (result if isinstance(result, tuple) else (result,))]

    return run


class LoadedModule:
    """An exported file that torch runs."""

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
    """Load a TorchScript file."""
    import torch

    from cnnc.targets import torchscript

    loaded = LoadedModule(torchscript.load(path))
    run = loaded.run

    def run_once(inputs: "Sequence[Tensor]") -> "list[Array]":
        # The optimizer would profile and specialise for later runs, of which there are none.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return run(inputs)

    loaded.run = run_once
    return loaded


def load_pt2(path: Path) -> Loaded:
    """Load a `.pt2` file."""
    from cnnc.targets import pt2

    return LoadedModule(pt2.load(path))


def load_python(path: Path, module: "GraphModule") -> Loaded:
    """Load a module's source; it has no weights, so it gets those of `module`."""
    from runpy import run_path

    from torch import nn

    from cnnc.targets.torch_module import seeded

    with seeded(0):  # the module draws weights, which are then replaced
        found = run_path(str(path)).values()
        network = [each for each in found if isinstance(each, type) and issubclass(each, nn.Module)][-1]()
    network.load_state_dict(module.state_dict())
    return LoadedModule(network.eval())
