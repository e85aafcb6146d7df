"""`cnnc verify` of int8 and fp16 files: what it compares, and which changes it sees."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import cnnc
from cnnc.diagnostics import CnncError
from tests.precision.quadrants import SPEC, data_set, trained


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kit")
    weights = trained(SPEC, folder / "quad.safetensors")
    data_set(folder / "quad.npz")
    cnnc.build(
        SPEC, weights=weights, out=folder, targets="onnx", precision=["int8", "fp16"], calibrate=folder / "quad.npz"
    )
    return folder


def verify(kit, kind, path=None):
    return cnnc.verify(SPEC, path or kit / "quad" / f"quad.{kind}.onnx", weights=kit / "quad.safetensors")


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_it_says_what_it_compares(kit, kind):
    said = str(verify(kit, kind))
    assert said.startswith(f"{kind}: 6 weight tensors as in the spec but for rounding, outputs within ")
    assert "for random inputs" in said


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_other_weights_are_seen(kit, kind):
    with pytest.raises(CnncError, match=r"E404.*`stem.weight` is missing or differs"):
        cnnc.verify(SPEC, kit / "quad" / f"quad.{kind}.onnx", seed=1)


def changed(kit, kind, change):
    model = onnx.load(kit / "quad" / f"quad.{kind}.onnx")
    change(model.graph)
    path = kit / f"changed.{kind}.onnx"
    onnx.save(model, path)
    return path


def scale_of(name, factor):
    def change(graph):
        [tensor] = [each for each in graph.initializer if each.name == name]
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array((array * array.dtype.type(factor)).astype(array.dtype), name))

    return change


@pytest.mark.parametrize(
    ("kind", "name", "factor", "said"),
    [
        ("int8", "body.weight_quantized", 0, "`body.weight` is missing or differs"),
        ("int8", "body.weight_scale", 1.1, "`body.weight` is missing or differs"),
        ("int8", "head.bias_quantized", 2, "`head.bias` is missing or differs"),
        ("int8", "image_scale", 0.01, "its outputs differ from torch's by"),
        ("fp16", "head.weight", 1.01, "`head.weight` is missing or differs"),
    ],
)
def test_changed_numbers_are_seen(kit, kind, name, factor, said):
    with pytest.raises(CnncError, match=rf"E404.*{said}"):
        verify(kit, kind, changed(kit, kind, scale_of(name, factor)))


def test_a_changed_layer_is_seen(kit):
    def change(graph):
        [node] = [each for each in graph.node if each.name == "stem"]
        next(each for each in node.attribute if each.name == "dilations").ints[:] = [2, 2]

    with pytest.raises(CnncError, match=r"E404.*the layer `stem` is missing or has other attributes"):
        verify(kit, "int8", changed(kit, "int8", change))


def test_a_file_that_does_not_run_is_refused(kit):
    def change(graph):
        next(each for each in graph.node if each.op_type == "MaxPool").op_type = "Nonsense"

    with pytest.raises(CnncError, match=r"E404|E502"):
        verify(kit, "fp16", changed(kit, "fp16", change))


def test_metadata_that_cannot_be_read_is_reported(kit):
    model = onnx.load(kit / "quad" / "quad.int8.onnx")
    next(each for each in model.metadata_props if each.key == "cnnc.precision").value = "[1"
    onnx.save(model, kit / "odd.onnx")
    with pytest.raises(CnncError, match=r"E501.*the cnnc.precision metadata"):
        verify(kit, "int8", kit / "odd.onnx")
    assert np.isfinite(verify(kit, "int8").snr)
