"""The network of a run, for its report and for people: `spec.yaml` and `network.svg` in the run's folder."""

from collections.abc import Callable
from pathlib import Path

from cnnc.drawing.renderers import RENDERERS
from cnnc.drawing.sketch import sketch
from cnnc.files.write import write_file
from cnnc.formatting import write
from cnnc.graph.graph import Graph
from cnnc.train.report.run_folder import PICTURE, SPEC


def write_network(folder: Path, graph: Graph, say: Callable[[str], None]) -> None:
    """Write both files; raises E405 for the spec. A picture that cannot be drawn is only a note, passed to `say`."""
    write_file(folder / SPEC, write(graph.spec).encode())
    try:
        write_file(folder / PICTURE, RENDERERS[".svg"](sketch(graph), None))
    except Exception as error:  # a picture is no reason not to train
        say(f"{folder / PICTURE} is not drawn: {error}")
