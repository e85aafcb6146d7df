"""The targets, one a row: its name, the ending of its file, what writes it and what runs it.

The command line reads its choices here, so that torch, onnx and the writers are imported where a row is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cnnc.targets.runners import Runner, run_onnx, run_pt2, run_python, run_torchscript

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from cnnc.graph.graph import Graph

OPSETS = range(17, 27)
OPSET = 20
"""The ONNX operator sets that can be written, and the one that is where nobody asks for another."""


class Target(StrEnum):
    """What `build` writes."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    PYTHON = "python"


DEFAULTS = (Target.ONNX, Target.TORCHSCRIPT)


@dataclass(frozen=True)
class Made:
    """What a file is written from: a graph, its torch module, and what writes its ONNX model into an open file."""

    graph: "Graph"
    module: "GraphModule"
    write_onnx: Callable[[BinaryIO], None]


@dataclass(frozen=True)
class Row:
    """`write` takes a staged path, and raises E405; `run` gives a runner of the file, made from this torch module."""

    ending: str
    write: Callable[[Made, Path], None]
    run: "Callable[[Path, GraphModule], Runner]"


def _write_onnx(made: Made, path: Path) -> None:
    from cnnc.targets.write import stage_file

    stage_file(path, made.write_onnx)


def _write_torchscript(made: Made, path: Path) -> None:
    from cnnc.targets import torchscript

    torchscript.write(made.module, path)


def _write_pt2(made: Made, path: Path) -> None:
    from cnnc.targets import pt2

    pt2.write(made.graph, made.module, path)


def _write_python(made: Made, path: Path) -> None:
    from cnnc.targets import python
    from cnnc.targets.write import stage_file

    stage_file(path, python.write(made.graph).encode())


TABLE: Mapping[str, Row] = {
    Target.ONNX: Row("onnx", _write_onnx, lambda path, module: run_onnx(path)),
    Target.TORCHSCRIPT: Row("pt", _write_torchscript, lambda path, module: run_torchscript(path)),
    Target.PT2: Row("pt2", _write_pt2, lambda path, module: run_pt2(path)),
    Target.PYTHON: Row("py", _write_python, run_python),
}
