"""The table of targets: the file extension, writer and loader of each.

torch, onnx and the writers are imported only when a row is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.files.mapped_weights import InFile
from cnnc.targets import spec_file, triton
from cnnc.targets.choices import OPSET, Target
from cnnc.targets.loaded_module import Loaded, load_pt2, load_python, load_torchscript
from cnnc.targets.loaded_onnx import LoadedOnnx

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from cnnc.graph.graph import Graph, Picture
    from cnnc.passes.network import Network
    from cnnc.targets.loaded_module import Array
    from cnnc.targets.onnx_model import Emitted

    Weights = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Made:
    """The source of exported files: a network, its deployed graph, and the torch module of that graph.

    The network may have train-only outputs; `after_pass` is called with it after each pass. `pixels` is the
    preprocessing of the only input if the ONNX file takes pictures as uint8 and normalises them itself.
    """

    network: "Network"
    graph: "Graph"
    module: "GraphModule"
    opset: int = OPSET
    metadata: Mapping[str, str] = field(default_factory=dict)
    after_pass: "Callable[[str, Network], None] | None" = None
    pixels: "Picture | None" = None

    @cached_property
    def exported(self) -> "Network":
        """The network after the passes."""
        from cnnc.passes import pipeline

        return pipeline.run(self.network, self.after_pass)

    @cached_property
    def emitted(self) -> "Emitted":
        """The ONNX model of the exported network."""
        from cnnc.targets import onnx_model

        return onnx_model.emit(self.exported.graph, self.exported.weights, self.opset, self.metadata, self.pixels)

    def let_go(self) -> None:
        """Free the weights of the exported network after it has been written."""
        import numpy as np

        nothing = dict.fromkeys(self.emitted.initializers, np.empty(0))
        self.__dict__["emitted"] = replace(self.emitted, initializers=nothing)
        self.__dict__["exported"] = replace(self.exported, weights={})


@dataclass(frozen=True)
class TargetRow:
    """`write` writes to a staged path, returns the paths of all files written, and raises E405; `load` loads the file.

    `path` is a file, or for a target of several files their folder; `file` returns the model file of such a path.
    `weights` returns what the file contains if the deployed graph has these weights, by the keys of the state_dict.
    """

    ending: str
    write: Callable[[Made, Path], list[Path]]
    load: "Callable[[Path, GraphModule], Loaded]"
    weights: "Callable[[Made, Weights], Weights]" = lambda made, weights: weights
    file: Callable[[Path], Path] = lambda path: path


def _write_onnx(made: Made, path: Path) -> list[Path]:
    from cnnc.targets import onnx_writer

    files = onnx_writer.write(path, made.emitted.model, made.emitted.initializers)
    made.let_go()
    return files


def _write_torchscript(made: Made, path: Path) -> list[Path]:
    from cnnc.targets import torchscript

    torchscript.write(made.module, path)
    return [path]


def _write_pt2(made: Made, path: Path) -> list[Path]:
    from cnnc.targets import pt2

    pt2.write(made.graph, made.module, path)
    return [path]


def _write_python(made: Made, path: Path) -> list[Path]:
    from cnnc.files.write import stage_file
    from cnnc.targets import python_source

    stage_file(path, python_source.write(made.graph).encode())
    return [path]


def _write_triton(made: Made, path: Path) -> list[Path]:
    from cnnc.files.write import make_folder, stage_file
    from cnnc.targets import onnx_writer

    folder = path / made.graph.name
    make_folder(folder / "1")
    texts = triton.texts(made.graph, uint8=made.pixels is not None)
    for name, text in texts.items():
        stage_file(folder / name, text.encode())
    emitted = replace(made, after_pass=None).emitted  # that of `made` may be freed after the ONNX file is written
    beside = [folder / name for name in texts]
    return [*beside, *onnx_writer.write(folder / "1" / triton.MODEL, emitted.model, emitted.initializers)]


def _write_spec(made: Made, path: Path) -> list[Path]:
    from cnnc.files.write import stage_file

    stage_file(path, spec_file.text(made.network.graph).encode())
    return [path]


def _weights_in_onnx(made: Made, weights: "Weights") -> "Weights":
    """Return the weights after the passes that are initializers of the ONNX model."""
    from cnnc.passes import pipeline
    from cnnc.passes.network import Network

    given = dict(weights)
    passed = pipeline.run(Network(made.graph, given)).weights
    found = {name: passed[key] for name, key in made.emitted.keys.items()}
    if isinstance(weights, InFile) and all(array is given.get(name) for name, array in found.items()):
        return weights.only(found)
    return found


TABLE: Mapping[str, TargetRow] = {
    Target.ONNX: TargetRow("onnx", _write_onnx, lambda path, module: LoadedOnnx(path), _weights_in_onnx),
    Target.TORCHSCRIPT: TargetRow("pt", _write_torchscript, lambda path, module: load_torchscript(path)),
    Target.PT2: TargetRow("pt2", _write_pt2, lambda path, module: load_pt2(path)),
    Target.PYTHON: TargetRow("py", _write_python, load_python),
    Target.TRITON: TargetRow(
        "triton",
        _write_triton,
        lambda path, module: LoadedOnnx(triton.model_in(path)),
        _weights_in_onnx,
        triton.model_in,
    ),
    Target.SPEC: TargetRow("spec.yaml", _write_spec, spec_file.load),
}
