"""The pt2 target: a `torch.export` file, the successor of TorchScript, with a dynamic batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.files.write import stage_file
from cnnc.graph.graph import Graph
from cnnc.targets.sample_inputs import draw, extremes, is_open, shapes, spaces

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule


def write(graph: Graph, module: "GraphModule", path: Path) -> None:
    """Export the graph's module in eval mode to a staged path; raises E405. The module's mode is restored."""
    import torch

    mode = module.training
    module.eval()
    try:
        program = _export(graph, module)
        if is_open(graph) and not _takes_all_sizes(program, graph):
            with _general():
                program = _export(graph, module)
            if not _takes_all_sizes(program, graph):
                getattr(program, "_guards_code", []).clear()  # of strides; the checks of known sizes stay
                ranges = program.range_constraints
                ranges.update({size: type(each)(0, each.upper) for size, each in ranges.items()})
    finally:
        module.train(mode)
    stage_file(path, lambda file: torch.export.save(program, file))


def _export(graph: Graph, module: "GraphModule") -> "ExportedProgram":
    from torch.export import Dim, export

    tried = [shapes(graph, space) for space in (*spaces(graph), *extremes(graph))]
    dynamic = tuple(
        # an open size is not dynamic if the network accepts only one: torch would find it constant, and refuse
        {
            0: Dim.DYNAMIC,
            **{axis: Dim.DYNAMIC for axis, sizes in enumerate(zip(*each, strict=True), 1) if len({*sizes}) > 1},
        }
        for each in zip(*tried, strict=True)
    )
    return export(module, draw(graph, 2, spaces(graph)[-1], 0), dynamic_shapes=dynamic)


def _takes_all_sizes(program: "ExportedProgram", graph: Graph) -> bool:
    """Whether the program runs on small and large inputs; it contains checks of their sizes."""
    import torch

    run = program.module()
    try:
        with torch.inference_mode():
            for space in (*spaces(graph), *extremes(graph)):
                run(*draw(graph, 1, space, 0))
    except AssertionError:
        return False
    return True


def _general() -> AbstractContextManager[Any]:
    """Keep torch from assuming that no map is one row high or wide because none is for the example.

    Not always: torch then fixes more of the strides, and for some networks with them the least batch.
    """
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
