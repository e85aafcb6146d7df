"""Verify an int8 or fp16 file of a build against the spec's torch module.

Its numbers differ from torch's by design, so the checks are: the layers and their attributes; each weight, which must
be the spec's to half a step of its quantization; the outputs' names and shapes; and the outputs for random inputs,
pictures of noise if the input is a picture. What the file is worth on real pictures is in the manifest of its build,
and `cnnc eval` measures it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.artifacts.contract import PRECISION
from cnnc.artifacts.export import deployable
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.files.onnx_header import read_model
from cnnc.graph.graph import Graph, Picture
from cnnc.passes.network import Network
from cnnc.precision import int8
from cnnc.precision.choices import Precision
from cnnc.precision.fidelity import compare
from cnnc.precision.onnxruntime_tools import runner
from cnnc.targets import onnx_model, sample_inputs
from cnnc.targets.loaded_module import prepared, run_torch
from cnnc.targets.registry import Made
from cnnc.verification.promises import require_shapes
from cnnc.verification.verify import arrays

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.precision.fidelity import Feed

    Array = np.ndarray[Any, np.dtype[Any]]
    Arrays = Mapping[str, Array]

LARGEST_ERROR = {Precision.FP16: 0.02, Precision.INT8: 0.5}  # RMS, relative to the outputs'
STEP = 0.501  # of a step: half of it, and some rounding
BATCH = 16


@dataclass(frozen=True, slots=True)
class VersionAgreement:
    """The distance of a file of less precision from its spec: checked weights, and errors for random inputs."""

    precision: str
    weights: int
    relative: float
    snr: float

    def __str__(self) -> str:
        return (
            f"{self.precision}: {counted(self.weights, 'weight tensor')} as in the spec but for rounding, outputs "
            f"within {self.relative:.1%} of torch for random inputs ({self.snr:.0f} dB); `cnnc eval` measures its "
            "accuracy on pictures"
        )


def precision_of(path: Path) -> str | None:
    """Return the precision of an ONNX file of cnnc; None for one in float32, or a file that is not ONNX."""
    if path.suffix.lower() != ".onnx":
        return None
    text = read_model(path).metadata.get(PRECISION)
    try:
        return None if text is None else str(Precision(json.loads(text)["precision"]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CnncError.of(
            Code.MODEL_UNREADABLE,
            f"the {PRECISION} metadata of {path} cannot be read",
            help="the file was damaged, or a newer cnnc wrote it: build it again with `cnnc build`",
        ) from error


def verify_version(
    graph: Graph,
    module: "GraphModule",
    path: Path,
    precision: str,
    seed: int = 0,
    before_run: Callable[[], None] = lambda: None,
) -> VersionAgreement:
    """Return a file's distance from the graph's module; raises E404 if it is too large."""
    try:
        return _verified(graph, module, path, precision, seed, before_run)
    except (CnncError, ImportError):
        raise
    except Exception as error:  # the libraries that read and run files raise any type
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _wrong(precision, f"it cannot be run: {reason}") from error


def _verified(
    graph: Graph, module: "GraphModule", path: Path, precision: str, seed: int, before_run: Callable[[], None]
) -> VersionAgreement:
    import onnx

    shown, deployed = deployable(graph, module)
    exported = Made(Network(shown, arrays(deployed.state_dict())), shown, deployed).exported
    wanted = onnx_model.lower(exported.graph, exported.weights)
    given = onnx.load(path)
    if precision == Precision.INT8:
        wanted = int8.prepared(wanted)
    _require_layers(wanted, given, precision)
    count = _require_weights(wanted, given, precision)
    before_run()
    pairs_of_inputs = list(_inputs(shown, seed, pixels=_takes_pixels(given)))
    feeds = [feed for feed, _ in pairs_of_inputs]
    with prepared(deployed):
        reference = [run_torch(deployed)(tensors) for _, tensors in pairs_of_inputs]
    run = runner(path)
    outputs = [run(each) for each in feeds]
    for ours, theirs in zip(reference, outputs, strict=True):
        require_shapes(shown, precision, theirs, ours)
    pairs = {id(feed): pair for feed, *pair in zip(feeds, reference, outputs, strict=True)}
    names = [each.name for each in shown.outputs]
    found = compare(lambda feed: pairs[id(feed)][0], lambda feed: pairs[id(feed)][1], names, feeds, classes=False)
    if not found.relative <= LARGEST_ERROR[Precision(precision)]:
        raise _wrong(precision, f"its outputs differ from torch's by {found.relative:.0%} for random inputs")
    return VersionAgreement(precision, count, found.relative, found.first_snr)


def _takes_pixels(model: "onnx.ModelProto") -> bool:
    from onnx import TensorProto

    return [each.type.tensor_type.elem_type for each in model.graph.input] == [TensorProto.UINT8]


def _inputs(graph: Graph, seed: int, *, pixels: bool) -> "Iterator[tuple[Feed, tuple[Tensor, ...]]]":
    """Yield random inputs of several sizes for the file and for torch.

    They are pictures of noise, or normal numbers for other inputs.
    """
    first = graph.inputs[0]
    for at, space in enumerate(sample_inputs.spaces(graph)):
        if pixels and first.picture is not None:
            drawn = sample_inputs.draw_pixels(graph, BATCH, space, seed + at)
            yield {first.name: drawn[0].numpy()}, sample_inputs.normalised(first.picture, drawn)
            continue
        normal = sample_inputs.draw(graph, BATCH, space, seed + at)
        given = tuple(_noise(tensor, each.picture) for each, tensor in zip(graph.inputs, normal, strict=True))
        yield {each.name: tensor.numpy() for each, tensor in zip(graph.inputs, given, strict=True)}, given


def _noise(normal: "Tensor", picture: Picture | None) -> "Tensor":
    """Return normal numbers as they are, or as the pixels of a picture, uniformly distributed."""
    if picture is None:
        return normal
    pixels = picture.scale * 0.5 * (1 + (normal / 2**0.5).erf())
    mean, deviation = (pixels.new_tensor(each or [other]) for each, other in ((picture.mean, 0), (picture.std, 1)))
    return (pixels - mean.reshape(-1, 1, 1)) / deviation.reshape(-1, 1, 1)


def _initializers(model: "onnx.ModelProto") -> "dict[str, Array]":
    from onnx import numpy_helper

    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def _require_layers(wanted: "onnx.ModelProto", given: "onnx.ModelProto", precision: str) -> None:
    """Raise E404 unless the file has the spec's layers, with the same attributes."""
    there = {node.name: node for node in given.graph.node}
    for node in wanted.graph.node:
        if node.op_type not in int8.LAYERS:
            continue
        found = there.get(node.name)
        if found is None or found.op_type != node.op_type or _attributes(found) != _attributes(node):
            raise _wrong(precision, f"the layer `{node.name}` is missing or has other attributes than in the spec")


def _attributes(node: "onnx.NodeProto") -> list[bytes]:
    return sorted(each.SerializeToString(deterministic=True) for each in node.attribute)


def _require_weights(wanted: "onnx.ModelProto", given: "onnx.ModelProto", precision: str) -> int:
    """Return the number of weights of the spec's layers; raises E404 unless the file holds them but for rounding."""
    spec, file = _initializers(wanted), _initializers(given)
    names = [name for node in wanted.graph.node if node.op_type in int8.LAYERS for name in node.input[1:]]
    names = [name for name in dict.fromkeys(names) if name in spec]
    restored = {node.input[0]: node for node in given.graph.node if node.op_type == "DequantizeLinear"}
    for name in names:
        node = restored.get(f"{name}_quantized")
        found = _rounded(file.get(name)) if node is None else _dequantized(node, file)
        if found is None or not _equal(spec[name], *found):
            raise _wrong(precision, f"`{name}` is missing or differs from the spec's by more than its rounding")
    return len(names)


def _dequantized(node: "onnx.NodeProto", file: "Arrays") -> "tuple[Array, Array]":
    """Return a quantized tensor in float32, and how far from it the original may be."""
    import numpy as np

    steps, scale = (file[name] for name in node.input[:2])
    if scale.size > 1:
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        scale = scale.reshape([-1 if at == axis else 1 for at in range(steps.ndim)])
    restored = steps.astype(np.float32) * scale
    return restored, STEP * scale + np.abs(restored) * 2**-22


def _rounded(array: "Array | None") -> "tuple[Array, Array] | None":
    """Return a tensor of 16 or 32 bits in float32, and how far from it the original may be."""
    import numpy as np

    if array is None:
        return None
    wide = array.astype(np.float32)
    return wide, (np.abs(wide) * 2**-11 + 1e-7 if array.dtype == np.float16 else np.zeros_like(wide))


def _equal(spec: "Array", restored: "Array", margin: "Array") -> bool:
    return spec.shape == restored.shape and bool((abs(spec - restored) <= margin).all())


def _wrong(precision: str, what: str) -> CnncError:
    return CnncError.of(
        Code.NOT_VERIFIED,
        f"the {precision} file does not match the spec: {what}",
        help="verify it with the spec, parameters and weights that it was built from (--set, --weights, --seed); if "
        "these are right, the file was changed after its build",
    )
