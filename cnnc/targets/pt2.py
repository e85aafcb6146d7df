"""The pt2 target: a `torch.export` file, the successor of TorchScript, with a dynamic batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.files.write import stage_file
from cnnc.graph.graph import Graph
from cnnc.targets.sample_inputs import draw, spaces

if TYPE_CHECKING:
    from torch.fx import GraphModule


def write(graph: Graph, module: "GraphModule", path: Path) -> None:
    """Export the graph's module in eval mode to a staged path; raises E405. The module's mode is restored."""
    import torch

    example = draw(graph, 2, spaces(graph)[-1], 0)
    dynamic = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate((None, *each.type.shape)) if size is None}
        for each in graph.inputs
    )
    mode = module.training
    module.eval()
    try:
        with _general():
            program = torch.export.export(module, example, dynamic_shapes=dynamic)
    finally:
        module.train(mode)
    stage_file(path, lambda file: torch.export.save(program, file))


def _general() -> AbstractContextManager[Any]:
    """Keep torch from assuming, because the example has larger ones, that no map will be one row high or wide."""
    try:  # private, but torch has no public name for this option
        options: Any = import_module("torch.fx.experimental._config")
    except ImportError:
        return nullcontext()
    general: AbstractContextManager[Any] = options.patch(backed_size_oblivious=True)
    return general


def load(path: Path) -> Callable[..., Any]:
    """Return the module of a `.pt2` file."""
    import torch

    with path.open("rb") as file:
        return torch.export.load(file).module()
