"""Files that are no model, and models that infer cannot use, are diagnostics."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cnnc.artifacts.contract import Contract, InputContract
from cnnc.diagnostics import CnncError, Code
from cnnc.inference.predict import infer, load_model
from tests.onnx_files import RELU, contract, linear, means, model_of


def refused(path, **options):
    with pytest.raises(CnncError) as caught, load_model(path, "cpu", **options):
        pass
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, f"{diagnostic.message} {diagnostic.help}"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"name: net\nnodes: []\n", "not an ONNX model"),
        (b"PK\x03\x04" + b"\0" * 400, "not an ONNX model"),
        (b"\x08\x0a", "contains no graph"),
        (b"\x08", "cut off"),
        (b"\x08" + b"\xff" * 11 + b"\x01", "not an ONNX model give"),  # that, and the help
        (linear().SerializeToString()[:-40], "cut off"),
        (linear().SerializeToString()[:40], "cut off"),
        (b"\x3a\x04\xff\xff\xff\xff", "rotobuf parsing failed"),
    ],
)
def test_what_is_no_model(save, data, says):
    code, text = refused(save(data))
    assert code == Code.MODEL_UNREADABLE
    assert says in text


def test_paths_that_hold_no_model(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a named pipe"),
    ):
        code, text = refused(path)
        assert code == Code.MODEL_UNREADABLE
        assert says in text


def test_a_damaged_contract(save):
    assert refused(save(linear(), "{}"))[0] == Code.MODEL_UNREADABLE


def newer(model):
    model.opset_import[0].version = 99
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (newer(linear()), "pset 99"),
        (model_of(helper.make_node("Foo", ["image"], ["y"])), "No Op registered for Foo"),
        (means(2, output=("N", 2)), "not a picture"),
        (model_of(RELU, image=("N", 224, 224, 3), output=("N", 224, 224, 3)), "[?, 224, 224, 3]"),
        (model_of(RELU, image=("N", 10), output=("N", 10)), "[?, 10]"),
        (model_of(RELU, image=(8, 1, 2, 2), output=(8, 1, 2, 2)), "[8, 1, 2, 2]"),
        (model_of(RELU, kinds=[TensorProto.FLOAT16] * 2, output=("N", 1, 2, 2)), "tensor(float16)"),
        (model_of(RELU, weights={"image": np.ones((1, 1, 2, 2), "f4")}), "it has no inputs"),
    ],
)
def test_models_that_infer_cannot_use(save, model, says):
    code, text = refused(save(model))
    assert code == Code.MODEL_UNSUITED
    assert says in text
    assert "onnxruntime_src" not in text


def test_a_second_input_is_not_a_picture_of_the_contract(save):
    model = linear()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ("N", 1, 2, 2)))
    code, text = refused(save(model, contract()))
    assert code == Code.MODEL_UNSUITED
    assert "its input 'more' tensor(float) [?, 1, 2, 2] is not a picture" in text
    assert "--input more=FILE" in text


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (contract(shape=(1, 28, 28)), "but its contract has [1, 28, 28]"),
        (contract(shape=(4,), mode=None), "not a picture"),
        (
            Contract(input=InputContract(name="x", shape=(1, 2, 2), mode="grey"), outputs=("y",)),
            "names 'x', which is not in its graph",
        ),
        (
            Contract(input=InputContract(name="image", shape=(1, 2, 2), mode="grey"), outputs=("z",)),
            "names 'z', which is not in its graph",
        ),
    ],
)
def test_a_contract_that_is_not_the_graphs(save, about, says):
    code, text = refused(save(linear(), about))
    assert code == Code.MODEL_UNSUITED
    assert says in text


@pytest.mark.parametrize("about", [None, contract()])
def test_external_data_is_refused_unless_allowed(save, tmp_path, picture, monkeypatch, about):
    path, inside = save(linear(), about), tmp_path / "inside"
    inside.mkdir()
    onnx.save_model(onnx.load(path), inside / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    monkeypatch.chdir(inside)
    for name in ("m.onnx", inside / "m.onnx"):
        code, text = refused(name)
        assert code == Code.MODEL_UNSUITED
        assert "--allow-external" in text
        assert "in another file, w.bin --allow-external" in text
        assert os.devnull not in text
    with load_model(inside / "m.onnx", "cpu", allow_external=True) as model:
        assert infer(model, picture()).predictions[0].index == 2
    (inside / "w.bin").unlink()
    with pytest.raises(CnncError) as caught:
        load_model(inside / "m.onnx", "cpu", allow_external=True)
    assert "in another file, w.bin, which is missing" in caught.value.diagnostics[0].message
    assert caught.value.diagnostics[0].help == "copy w.bin to the model's folder"
