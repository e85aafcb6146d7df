"""Read the weights of an ONNX file in torch's layout.

Takes a file; returns its layers in the order of its nodes, and their tensors by initializer name. The matrices of
MatMul and of an untransposed Gemm are transposed; an Add after a MatMul holds its bias. External data is read only from
the file's own folder (E402). The model is not run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.files.mapped_weights import InFile
from cnnc.files.onnx_seal import Changed, require_intact
from cnnc.targets.onnx_parts import split
from cnnc.weights.layers import KNOWN, Layer, Shape

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

ROLES = ("weight", "bias", "running_mean", "running_var")
LAYERS = {  # number of inputs after the first that hold weights, in the order of ROLES
    "Conv": 2,
    "ConvTranspose": 2,
    "Gemm": 2,
    "BatchNormalization": 4,
    "InstanceNormalization": 2,
    "LayerNormalization": 2,
    "GroupNormalization": 2,
    "PRelu": 1,
    "MatMul": 1,
}
LARGEST = 2**31


@dataclass
class OnnxWeights:
    """The layers of a file and their tensors; `norms` is the number of batch norms.

    `runs` has the names of the values that a layer takes and returns, by its index. `turned` tells, for each tensor,
    whether the file has it transposed.
    """

    layers: list[Layer] = field(default_factory=list)
    tensors: "dict[str, Tensor]" = field(default_factory=dict)
    norms: int = 0
    runs: dict[int, tuple[str, str]] = field(default_factory=dict)
    turned: dict[str, bool] = field(default_factory=dict)


def read(path: Path) -> OnnxWeights:
    """Return the weights of the ONNX file at `path`; raises E402."""
    try:
        model, floats = split(path)
        require_intact(path, {each.key: each.value for each in model.metadata_props})
        if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
            help = "pass the float32 ONNX file that it was made from, or the .safetensors file of the build"
            raise unreadable(path, "they are quantized to 8 bits", help)
        return _OnnxReader(path, model.graph, floats).read()
    except (CnncError, ImportError):  # a missing package has its own diagnostic
        raise
    except Changed as error:
        raise unreadable(path, f"{error}", "get another copy of it, or build it again") from error
    except Exception as error:  # foreign bytes: protobuf, numpy and onnx raise what they like
        reason = shorten(str(error).strip() or type(error).__name__, 200, placeholder=" …")
        raise unreadable(path, f"it is not an ONNX file, or it is damaged ({reason})") from error


def unreadable(path: Path, reason: str, help: str | None = None) -> CnncError:
    """Return E402."""
    return CnncError.of(Code.WEIGHTS_UNREADABLE, f"cannot read weights from {path}: {reason}", help=help)


class _OnnxReader:
    """Visits the nodes and collects the initializers that are weights."""

    def __init__(self, path: Path, graph: "onnx.GraphProto", floats: InFile) -> None:
        self.path, self.graph, self.floats = path, graph, floats
        self.initializers = {each.name: each for each in graph.initializer if len(each.dims)}
        self.found = OnnxWeights()
        self.turned = self.found.turned
        self.alias: dict[str, tuple[str, bool]] = {name: (name, False) for name in self.initializers}
        self.product: dict[str, int] = {}  # output of a MatMul: index of its layer

    def read(self) -> OnnxWeights:
        others: dict[str, dict[str, str]] = {}
        for node in self.graph.node:
            if node.op_type in ("Identity", "Transpose") and node.input[0] in self.alias:
                self._follow(node)
            elif node.op_type in LAYERS:
                self._layer(node)
            elif not self._bias_of_product(node):
                for key in self._weights_by_name(node):
                    name, _, role = key.rpartition(".")
                    others.setdefault(name, {})[role] = key
                    self._take(key, turn=False)
        self.found.layers += [self._named(name, keys) for name, keys in others.items()]
        return self.found

    def _follow(self, node: "onnx.NodeProto") -> None:
        """Record that a node renames or transposes an initializer."""
        name, turned = self.alias[node.input[0]]
        if node.op_type == "Identity":
            self.alias[node.output[0]] = name, turned
        elif len(self.initializers[name].dims) == 2 and _attribute(node, "perm", [1, 0]) == [1, 0]:
            self.alias[node.output[0]] = name, not turned

    def _layer(self, node: "onnx.NodeProto") -> None:
        """Add the layer of a node whose inputs after the first are weights."""
        count = LAYERS[node.op_type]
        given = dict(zip(ROLES, node.input[1 : 1 + count], strict=False))
        used = {role: self.alias[name] for role, name in given.items() if name in self.alias}
        self.found.norms += node.op_type == "BatchNormalization"
        if "weight" not in used or (node.op_type == "Gemm" and not _plain(node)):
            return
        turn = node.op_type == "MatMul" or (node.op_type == "Gemm" and not _attribute(node, "transB", 0))
        keys = {}
        for role, (key, turned) in used.items():
            if self._take(key, turn=(role == "weight" and turn) != turned):
                keys[role] = key
        if node.op_type == "MatMul":
            self.product[node.output[0]] = len(self.found.layers)
        name = next((key.rpartition(".")[0] for key in keys.values() if key.rpartition(".")[2] in KNOWN), node.name)
        self.found.runs[len(self.found.layers)] = node.input[0], node.output[0]
        self.found.layers.append(self._named(name, keys))

    def _bias_of_product(self, node: "onnx.NodeProto") -> bool:
        """Add the bias to a MatMul's layer if the node is its Add; return whether it is."""
        products = [name for name in node.input if name in self.product]
        biases = [self.alias[name][0] for name in node.input if name in self.alias]
        if node.op_type != "Add" or not products or not biases or not self._take(biases[0], turn=False):
            return False
        place = self.product[products[0]]
        layer = self.found.layers[place]
        self.found.layers[place] = self._named(layer.name, {**layer.keys, "bias": biases[0]})
        self.found.runs[place] = self.found.runs[place][0], node.output[0]
        return True

    def _weights_by_name(self, node: "onnx.NodeProto") -> Iterator[str]:
        """Yield initializers of other nodes (such as a factor per channel) whose names end like those of weights."""
        for name in node.input:
            if name in self.initializers and name.rpartition(".")[2] in KNOWN and "." in name:
                yield name

    def _take(self, key: str, *, turn: bool) -> bool:
        """Read an initializer; return False if it is not floating-point."""
        import torch
        from onnx import numpy_helper

        if self.turned.setdefault(key, turn) != turn:
            raise unreadable(self.path, f"`{key}` is used both transposed and untransposed")
        if key not in self.found.tensors:
            array: Any = self.floats[key] if key in self.floats else numpy_helper.to_array(self.initializers[key])
            if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
                return False
            tensor = torch.from_numpy(array.astype("float64" if array.dtype.name == "float64" else "float32"))
            self.found.tensors[key] = tensor.T.contiguous() if turn else tensor
        return True

    def _named(self, name: str, keys: Mapping[str, str]) -> Layer:
        shapes: dict[str, Shape] = {role: tuple(self.found.tensors[key].shape) for role, key in keys.items()}
        return Layer(name, keys, shapes)


def _plain(node: "onnx.NodeProto") -> bool:
    """Whether a Gemm is x·W + b, without other factors."""
    return _attribute(node, "alpha", 1.0) == _attribute(node, "beta", 1.0) == 1.0 and not _attribute(node, "transA", 0)


def _attribute(node: "onnx.NodeProto", name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)
