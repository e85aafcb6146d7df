"""`cnnc build --precision`: what it writes, what the gate refuses, and which layers it leaves in float32."""

import json
import sys
import tempfile

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper
from PIL import Image
from safetensors.torch import save_file

import cnnc
from cnnc.artifacts import contract
from cnnc.artifacts.contract import Contract
from cnnc.diagnostics import CnncError
from cnnc.files.onnx_header import read_model
from cnnc.files.weights_stamp import digest
from cnnc.precision import calibration, int8, of_build
from tests.command import run_command
from tests.precision.quadrants import SPEC, data_set, drawn, trained


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """A folder with a spec, its trained weights and a data set."""
    folder = tmp_path_factory.mktemp("kit")
    (folder / "quad.yaml").write_text(yaml.safe_dump(SPEC))
    trained(SPEC, folder / "quad.safetensors")
    data_set(folder / "quad.npz")
    return folder


def build(kit, out, *more, calibrate="quad.npz"):
    data = ["--calibrate", kit / calibrate] if calibrate else []
    weights = ["--weights", kit / "quad.safetensors"]
    return run_command("build", kit / "quad.yaml", "--target", "onnx", "-o", out, *weights, *data, *more)


@pytest.fixture(scope="module")
def built(kit, tmp_path_factory):
    """The folder of a build in both precisions, and what it printed."""
    out = tmp_path_factory.mktemp("built")
    done = build(kit, out, "--precision", "int8", "--precision", "fp16")
    assert done.exit_code == 0, done.stderr
    return out / "quad", done


def test_a_build_writes_both_files_and_says_how_good_they_are(built):
    folder, done = built
    for name, kind in (("quad.int8.onnx", "int8"), ("quad.fp16.onnx", "fp16")):
        [line] = [each for each in done.stdout.splitlines() if name in each]
        assert " dB, " in line
        assert "accuracy 9" in line or "accuracy 100" in line
        record = json.loads((folder / "manifest.json").read_text())["precisions"][kind]
        assert record["pictures"] == 200
        assert record["snr_db"]["head"] >= 25
        assert record["agreement"] >= 0.98
        assert abs(record["accuracy"] - record["float32_accuracy"]) <= 0.01
        assert record["float32_accuracy"] > 0.9
        assert record["latency"]["milliseconds"] > 0
    assert done.stderr == ""
    assert {each.name for each in folder.iterdir()} == {
        "quad.onnx",
        "quad.int8.onnx",
        "quad.fp16.onnx",
        "quad.safetensors",
        "manifest.json",
    }


def test_an_int8_file_has_the_layers_the_contract_and_a_hash_of_its_own(built):
    folder, _ = built
    files = {kind: onnx.load(folder / f"quad.{kind}onnx") for kind in ("", "int8.", "fp16.")}
    facts = {kind: read_model(folder / f"quad.{kind}onnx").metadata for kind in files}
    for kind, model in files.items():
        assert {"stem", "body", "head"} <= {node.name for node in model.graph.node}
        assert Contract.from_json(facts[kind][contract.CONTRACT]) == Contract.from_json(facts[""][contract.CONTRACT])
        assert model.graph.input == files[""].graph.input
        assert model.graph.output == files[""].graph.output
        arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        assert model.producer_name == "cnnc"
        if kind:
            assert facts[kind][contract.WEIGHTS_SHA256] == digest(arrays)
            assert facts[kind][contract.FLOAT_WEIGHTS_SHA256] == facts[""][contract.WEIGHTS_SHA256]
            assert json.loads(facts[kind][contract.PRECISION])["precision"] == kind.rstrip(".")
    weights = {each.name: each for each in files["int8."].graph.initializer}
    assert numpy_helper.to_array(weights["stem.weight_quantized"]).dtype == np.int8
    assert weights["stem.weight_scale"].dims == [8]  # a scale for each channel
    assert not any(node.op_type == "BatchNormalization" for node in files["int8."].graph.node)


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_infer_and_eval_take_the_files(kit, built, kind):
    folder, _ = built
    pictures, labels = drawn(1, 2)
    Image.fromarray(pictures[0]).save(kit / "one.png")
    done = run_command("infer", folder / f"quad.{kind}.onnx", kit / "one.png", "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["label"] == SPEC["labels"][labels[0]]
    done = run_command("eval", folder / f"quad.{kind}.onnx", "--data", kit / "quad.npz", "--format", "json")
    record = json.loads((folder / "manifest.json").read_text())["precisions"][kind]
    assert json.loads(done.stdout)["accuracy"] == record["accuracy"]


def test_inspect_says_how_a_file_was_quantized(built):
    done = run_command("inspect", built[0] / "quad.int8.onnx")
    assert "precision  int8, calibrated with 256 pictures (percentile)" in done.stdout
    done = run_command("inspect", built[0] / "quad.fp16.onnx", "--format", "json")
    assert json.loads(done.stdout)["precision"] == {"precision": "fp16", "calibration": None, "in_float32": []}
    assert json.loads(run_command("inspect", built[0] / "quad.onnx", "--format", "json").stdout)["precision"] is None


def test_quantized_weights_are_no_weights(kit, built):
    done = run_command("build", kit / "quad.yaml", "--weights", built[0] / "quad.int8.onnx", "-o", kit / "no")
    assert done.exit_code == 1
    assert "error[E402]: cannot read weights from" in done.stderr
    assert "they are quantized to 8 bits" in done.stderr


def test_a_damaged_int8_file_is_refused(built, kit, tmp_path):
    data = bytearray((built[0] / "quad.int8.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "m.onnx").write_bytes(data)
    done = run_command("eval", tmp_path / "m.onnx", "--data", kit / "quad.npz")
    assert done.exit_code == 1
    assert "damaged" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "int8"], "--precision int8 needs --calibrate"),
        (["--calibrate", "quad.npz"], "--calibrate needs --precision"),
        (["--precision", "fp16", "--run", "runs/quad"], "--run needs --calibrate"),
        (["--precision", "int8", "--calibrate", "quad.npz"], "--precision int8 needs --weights"),
        (["--precision", "fp16", "--target", "torchscript"], "--precision needs the target onnx"),
        (["--precision", "int4"], "'int4' is not one of 'fp16', 'int8'"),
        (["--precision", "fp16", "--max-drop", "101"], "must be at least 0 and at most 100"),
    ],
)
def test_a_wrong_command_line_is_refused_at_once(kit, tmp_path, words, said):
    done = run_command("build", kit / "quad.yaml", "-o", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_python_gets_the_same_refusals(kit, tmp_path):
    with pytest.raises(CnncError, match=r"E203.*needs --calibrate"):
        cnnc.build(SPEC, precision="int8", out=tmp_path, weights=kit / "quad.safetensors")
    with pytest.raises(CnncError, match=r"E203.*there is no precision `int4`"):
        cnnc.build(SPEC, precision=["int4"], out=tmp_path)


def test_random_weights_are_quantized_if_everything_is_accepted(kit, tmp_path):
    given = {"precision": "int8", "calibrate": kit / "quad.npz", "max_drop": 100, "targets": "onnx"}
    assert "quad.int8.onnx" in cnnc.build(SPEC, **given, out=tmp_path).files


def zeroed(model, ranges, **more):
    """The quantizer, with one layer that it forgets."""
    result = QUANTIZED(model, ranges, **more)
    for each in result.graph.initializer:
        if each.name == "body.weight_quantized":
            each.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(each), each.name))
    return result


def narrow(*given):
    """The ranges, a hundredth as wide as they are."""
    found = RANGES(*given)
    for name in found:
        low, high = found[name].range_value
        found[name].lowest, found[name].highest = low / np.float32(100), high / np.float32(100)
    return found


QUANTIZED, RANGES = int8.quantized, calibration.ranges


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("fault", ["zeroed", "narrow"])
def test_a_broken_quantization_is_refused(kit, tmp_path, monkeypatch, fault, labelled):
    """An earlier build stays as it was."""
    if not labelled:
        (tmp_path / "pictures").mkdir()
        for at, picture in enumerate(drawn(160, 5)[0]):
            Image.fromarray(picture).save(tmp_path / "pictures" / f"{at}.png")
    data = "quad.npz" if labelled else tmp_path / "pictures"
    out = tmp_path / "out"
    assert build(kit, out, "--precision", "int8", calibrate=data).exit_code == 0
    before = {each.name: each.read_bytes() for each in (out / "quad").iterdir()}
    if fault == "zeroed":
        monkeypatch.setattr(int8, "quantized", zeroed)
    else:
        monkeypatch.setattr(calibration, "ranges", narrow)
    monkeypatch.setattr(int8, "layers", lambda model: [node for node in model.graph.node if node.name == "head"])
    done = build(kit, out, "--precision", "int8", calibrate=data)
    assert done.exit_code == 1
    pictures = f"on {200 if labelled else 40} pictures that did not calibrate it"
    assert "error[E409]: the int8 file is not accurate enough: " in done.stderr
    assert f"its error is larger than what the outputs differ by {pictures}" in done.stderr
    assert {each.name: each.read_bytes() for each in (out / "quad").iterdir()} == before


def test_few_pictures_are_remarked_on(kit, tmp_path):
    done = build(kit, tmp_path, "--precision", "int8", "--calibration-pictures", "8")
    assert done.exit_code == 0
    assert "note: int8: calibrated with 8 pictures; with fewer than 64" in done.stderr


def test_pictures_that_do_not_fit_are_refused(kit, tmp_path):
    np.savez(kit / "rgb.npz", x_train=np.zeros((9, 12, 12, 5), np.uint8), y_train=np.zeros(9, np.int64))
    done = build(kit, tmp_path, "--precision", "int8", calibrate="rgb.npz")
    assert done.exit_code == 1
    assert "error[" in done.stderr
    np.savez(kit / "more.npz", x_train=drawn(9, 0)[0], y_train=np.arange(9))
    done = build(kit, tmp_path, "--precision", "int8", calibrate="more.npz")
    assert done.exit_code == 1
    assert "error[E510]: the data has the label" in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_a_network_without_layers_has_no_int8_version(kit, tmp_path):
    spec = {"cnnc": 1, "name": "none", "input": {"image": [1, 12, 12]}, "nodes": ["relu"]}
    given = {"precision": "int8", "calibrate": kit / "quad.npz", "max_drop": 100, "out": tmp_path}
    with pytest.raises(CnncError, match=r"E410.*no convolution, linear layer or matrix product"):
        cnnc.build(spec, **given)


def test_only_pictures_calibrate(kit, tmp_path):
    spec = {"cnnc": 1, "name": "v", "input": {"vector": [4]}, "nodes": [{"linear": {"out": 2}}]}
    given = {"calibrate": kit / "quad.npz", "max_drop": 100, "out": tmp_path, "targets": "onnx"}
    with pytest.raises(CnncError, match=r"E410.*pictures cannot calibrate v.onnx"):
        cnnc.build(spec, precision="int8", **given)
    del given["calibrate"]
    built = cnnc.build(spec, precision="fp16", **given)
    assert "within" in str(built.versions[0])


def test_a_model_above_the_limit_of_protobuf_is_refused(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(of_build, "LARGEST", 100)
    with pytest.raises(CnncError, match=r"E410.*larger than 2 GiB"):
        cnnc.build(SPEC, precision="fp16", out=tmp_path)


def test_numbers_beyond_fp16_are_refused_at_their_node(tmp_path):
    spec = {
        "cnnc": 1,
        "name": "big",
        "input": {"image": [1, 4, 4]},
        "nodes": ["flatten", {"linear": {"name": "grow", "out": 4}}, {"linear": {"name": "shrink", "out": 2}}],
    }
    weights = {
        key: value * (1e6 if key == "grow.weight" else 1e-6) for key, value in cnnc.compile(spec).state_dict().items()
    }
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(CnncError, match=r"E410.*`grow` computes values up to [\d,]+, but fp16 ends at 65,504"):
        cnnc.build(spec, precision="fp16", out=tmp_path, targets="onnx", weights=tmp_path / "w.safetensors")


def test_the_tools_leave_no_trace(kit, tmp_path, capfd):
    path, folder = [*sys.path], tempfile.tempdir
    assert build(kit, tmp_path, "--precision", "int8", "--calibration", "entropy").exit_code == 0
    assert capfd.readouterr() == ("", "")
    assert sys.path == path
    assert tempfile.tempdir == folder


@pytest.mark.usefixtures("no_child")
def test_files_that_take_pixels_are_reduced_as_well(kit, tmp_path):
    done = build(kit, tmp_path, "--precision", "int8", "--precision", "fp16", "--uint8")
    assert done.exit_code == 0, done.stderr
    found = json.loads((tmp_path / "quad" / "manifest.json").read_text())["precisions"]
    for kind in ("int8", "fp16"):
        file = tmp_path / "quad" / f"quad.{kind}.onnx"
        assert onnx.load(file).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert found[kind]["snr_db"]["head"] > (50 if kind == "fp16" else 25)
        assert f"{kind}: 6 weight tensors" in str(cnnc.verify(SPEC, file, weights=kit / "quad.safetensors"))
    assert "within" in str(cnnc.build(SPEC, precision="fp16", uint8=True, targets="onnx", out=tmp_path).versions[0])
    again = run_command("quantize", tmp_path / "quad" / "quad.onnx", "--calibrate", kit / "quad.npz")
    assert again.exit_code == 0, again.stderr


def test_labels_of_another_data_set_do_not_decide(kit, tmp_path, monkeypatch):
    """float32 finds none of them, and so does a file that is broken."""
    pictures, labels = drawn(300, 1)
    np.savez(kit / "others.npz", x_train=pictures, y_train=(labels + 1) % 4)
    done = build(kit, tmp_path, "--precision", "int8", calibrate="others.npz")
    assert done.exit_code == 0
    assert "hardly better than guessing: the network has learned little, or other classes" in done.stderr
    monkeypatch.setattr(int8, "quantized", zeroed)
    monkeypatch.setattr(int8, "layers", lambda model: [node for node in model.graph.node if node.name == "head"])
    done = build(kit, tmp_path, "--precision", "int8", calibrate="others.npz")
    assert done.exit_code == 1
    assert "its error is larger than what the outputs differ by on 75 pictures that did not calibrate it" in done.stderr
