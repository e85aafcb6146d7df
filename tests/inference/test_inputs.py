"""Models with several inputs: the picture, and values from files."""

import dataclasses
import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnc.artifacts.contract import InputContract
from cnnc.diagnostics import CnncError
from cnnc.inference.predict import infer, infer_given, load_model, read_picture, run_batch
from tests.command import run_command
from tests.onnx_files import contract, network_of


def total(extra=("N", 3), kind=TensorProto.FLOAT, image=("N", 1, 2, 2)):
    """The sum of a picture's pixels, times each of three numbers."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["f"]),
        helper.make_node("ReduceSum", ["f", "axis"], ["sum"], keepdims=1),
        helper.make_node("Cast", ["extra"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["sum", "numbers"], ["y"]),
    ]
    shapes = {"image": image, "extra": extra}
    model = network_of(*nodes, inputs=shapes, outputs={"y": ("N", 3)}, weights={"axis": np.array([1])})
    model.graph.input[1].type.tensor_type.elem_type = kind
    return model


def about(**rest):
    extra = InputContract(name="extra", shape=(3,), mode=None)
    return dataclasses.replace(contract(scores="probabilities", **rest), more_inputs=(extra,))


@pytest.fixture
def files(tmp_path):
    values = np.array([0.5, 0.25, 1], np.float32)
    np.save(tmp_path / "one.npy", values)
    np.save(tmp_path / "row.npy", values[None])
    np.savez(tmp_path / "named.npz", extra=values, other=np.zeros(9))
    np.savez(tmp_path / "only.npz", values.astype(np.float64))
    np.savez(tmp_path / "wrong.npz", a=values, b=values)
    np.save(tmp_path / "long.npy", np.zeros(4, np.float32))
    np.save(tmp_path / "two.npy", np.zeros((2, 3), np.float32))
    np.save(tmp_path / "words.npy", np.array(["a", "b", "c"]))
    np.save(tmp_path / "objects.npy", np.array([{}, [], 3], object))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "one.npy").read_bytes()[:-3])
    return tmp_path


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("file", ["one.npy", "row.npy", "named.npz", "only.npz"])
def test_the_values_of_an_input_come_from_a_file(save, picture, files, ours, file):
    path = save(total(), about() if ours else None)
    inputs = {"extra": str(files / file)}
    pictures = [picture(255), picture(51, name="dark.png")]
    with load_model(path, "cpu", inputs=inputs) as model:
        assert model.source.name == "image"
        found = [infer(model, each) for each in pictures]
        rows, _ = run_batch(model, [read_picture(model, each) for each in pictures])
    np.testing.assert_allclose([each["y"][0] for each in rows], [[2, 1, 4], [0.4, 0.2, 0.8]], rtol=1e-6)
    if ours:
        assert [each.predictions[0].score for each in found] == pytest.approx([4.0, 0.8])
    assert [each.predictions[0].index for each in found] == [2, 2]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("none.npy", "E508.*no such file"),
        ("cut.npy", "E508.*cannot read the array"),
        ("objects.npy", "E508.*it is pickled"),
        ("wrong.npz", "E508.*no array 'extra', only 'a', 'b'"),
        ("long.npy", r"E510.*the array is float32 \[4\], but the input is 'extra' tensor\(float\) \[\?, 3\]"),
        ("two.npy", r"E510.*the array is float32 \[2, 3\]"),
        ("words.npy", "E510.*<U1|E510.*str"),
        ("p.png", "E510.*is not a picture"),
    ],
)
def test_a_file_that_does_not_fit_is_a_diagnostic(save, picture, files, file, said):
    picture()
    path = save(total(), about())
    with pytest.raises(CnncError, match=said):
        load_model(path, "cpu", inputs={"extra": str(files / file)})


@pytest.mark.parametrize("ours", [True, False])
def test_inputs_without_values_are_named(save, ours):
    path = save(total(), about() if ours else None)
    with pytest.raises(
        CnncError, match=r"E502.*its input 'extra' tensor\(float\) \[\?, 3\] is not a picture"
    ) as caught:
        load_model(path, "cpu")
    assert "--input extra=FILE" in caught.value.diagnostics[0].help
    with pytest.raises(CnncError, match=r"E510.*no input 'extr'") as caught:
        load_model(path, "cpu", inputs={"extr": "one.npy"})
    assert "did you mean `extra`?" in caught.value.diagnostics[0].help


def test_whole_numbers_are_given_as_such(save, picture, files):
    path = save(total(kind=TensorProto.INT64))
    with pytest.raises(CnncError, match=r"E510.*float32 \[3\], but the input is 'extra' tensor\(int64\)"):
        load_model(path, "cpu", inputs={"extra": str(files / "one.npy")})
    np.save(files / "whole.npy", np.array([3, 1, 2], np.int32))
    with load_model(path, "cpu", inputs={"extra": str(files / "whole.npy")}) as model:
        assert infer(model, picture(255)).predictions[0].index == 0


def test_of_two_pictures_one_is_given_as_a_value(save, picture, files):
    model = total(extra=("N", 1, 2, 2))
    del model.graph.node[2:]
    model.graph.node.append(helper.make_node("Flatten", ["extra"], ["numbers"]))
    model.graph.node.append(helper.make_node("Mul", ["sum", "numbers"], ["y"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    path = save(model)
    with pytest.raises(CnncError, match=r"E502.*it takes 2 pictures \(image, extra\)") as caught:
        load_model(path, "cpu")
    assert "--input extra=FILE, where FILE is a picture" in caught.value.diagnostics[0].help
    white, dark = picture(255), picture(51, name="dark.png")
    for name, other in (("extra", "image"), ("image", "extra")):
        with load_model(path, "cpu", inputs={name: str(dark)}) as loaded:
            assert loaded.source.name == other
            [row], _ = run_batch(loaded, [read_picture(loaded, white)])
        np.testing.assert_allclose(row["y"], [[0.8] * 4], rtol=1e-6)


def test_a_model_without_pictures_runs_once(save, picture, files):
    model = network_of(helper.make_node("Neg", ["noise"], ["y"]), inputs={"noise": ("N", 3)}, outputs={"y": ("N", 3)})
    path, options = save(model), ["--provider", "cpu", "--format", "json"]
    done = run_command("infer", path, "--input", f"noise={files / 'one.npy'}", *options)
    assert json.loads(done.stdout)["predictions"][0]["index"] == 1
    with load_model(path, "cpu", inputs={"noise": str(files / "one.npy")}) as loaded:
        assert infer_given(loaded).predictions[0].index == 1
        with pytest.raises(CnncError, match=r"E502.*takes no picture"):
            infer(loaded, picture())
    assert run_command("infer", path, *options).exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--input", "extra"], "--input: expected NAME=FILE, got 'extra'"),
        (["--input", "=a.npy"], "--input: expected NAME=FILE"),
        (["--input", "a=1.npy", "--input", "a=2.npy"], "--input: a is given twice"),
        (["--overwrite"], "--overwrite needs --save"),
        (["--save", ""], "--save: expected a folder, got an empty name"),
    ],
)
def test_wrong_calls(save, picture, options, said):
    done = run_command("infer", save(total(), about()), picture(), *options)
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_a_model_that_takes_a_picture_needs_one(save, files):
    done = run_command("infer", save(total(), about()), "--input", f"extra={files / 'one.npy'}", "--provider", "cpu")
    assert (done.exit_code, "cnnc infer needs IMAGES" in done.stderr) == (2, True)
