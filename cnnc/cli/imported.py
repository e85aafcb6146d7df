"""What `cnnc import` prints about an ONNX file and a torch module alike.

Takes the text of the spec, its graph and its weights.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import note
from cnnc.diagnostics import counted
from cnnc.diagnostics.render import visible

if TYPE_CHECKING:
    import numpy as np

    from cnnc.graph.graph import Graph

    Array = np.ndarray[Any, np.dtype[Any]]


def on_pictures(graph: "Graph") -> Iterator[str]:
    """Yield that the preprocessing of a network that takes pictures is not known."""
    if graph.inputs[0].picture is not None:
        unknown = f"how pictures for `{graph.inputs[0].name}` were prepared is not known, so its values are 0 to 1"
        yield f"{unknown}; if the network was trained with others, add --mean and --std, perhaps --resize and --crop"


def print_written(
    spec: Path, text: str, graph: "Graph", weights: "Mapping[str, Array]", proof: str, remarks: Iterable[str] = ()
) -> None:
    """Print which files were written, how close the spec is, remarks, and the next command."""
    file = spec.with_suffix(".safetensors")
    lines, nodes = counted(len(text.splitlines()), "line"), counted(len(graph.nodes), "node")
    print(f"{visible(str(spec))}  {lines} for {nodes}, {proof}")
    print(f"{visible(str(file))}  {counted(sum(each.size for each in weights.values()), 'number')}")
    for remark in remarks:
        note(remark)
    print(f"next: cnnc build {quote(str(spec))} --weights {quote(str(file))}")
