"""ONNX files that take pictures as uint8: the same numbers, bit for bit, in every command."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import cnnc
from cnnc.data.pictures import open_picture, prepare
from cnnc.diagnostics import CnncError
from cnnc.inference.predict import infer, load_model
from tests.command import run_command

MODES = {
    "grey": {"shape": [1, 12, 10], "mean": [0.4], "std": [0.3]},
    "plain": [3, 12, 10],
    "rgb": {"shape": [3, 12, 10], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop": [12, 10]},
    "bgr": {"shape": [3, 12, 10], "mode": "bgr", "scale": 255, "mean": [103.939, 116.779, 123.68]},
    "open": {"shape": [3, None, None], "std": [0.1, 0.2, 0.3]},
}


def spec(mode):
    nodes = [{"conv": {"out": 4, "kernel": 3}}, "relu", "global_avg_pool", "flatten", {"linear": {"out": 5}}]
    return {"cnnc": 1, "name": "net", "input": {"image": MODES[mode]}, "nodes": nodes}


@pytest.fixture(scope="module", params=MODES)
def both(request, tmp_path_factory):
    """The float32 file and the uint8 file of one spec."""
    folder = tmp_path_factory.mktemp(request.param)
    for name, uint8 in (("float", False), ("uint8", True)):
        cnnc.build(spec(request.param), targets=["onnx", "torchscript"], uint8=uint8, out=folder / name)
    (folder / "spec.json").write_text(json.dumps(spec(request.param)))
    return folder


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    for at in range(2):
        folder = tmp_path / "data" / "test" / f"class{at}"
        folder.mkdir(parents=True)
        (tmp_path / "data" / "train" / f"class{at}").mkdir(parents=True)
        for part in ("test", "train"):
            Image.fromarray(np.roll(pixels, 3 * at, 0)).save(tmp_path / "data" / part / f"class{at}" / "p.png")
    return tmp_path / "data" / "test" / "class0" / "p.png"


def test_infer_gets_the_same_bits(both, photo):
    found = []
    for name in ("float", "uint8"):
        with load_model(both / name / "net/net.onnx", "cpu") as model:
            found.append([(each.index, each.score) for each in infer(model, photo).predictions])
    assert found[0] == found[1]


def test_the_network_gets_the_same_bits_for_every_value(both):
    """All 256 values of each channel, through the nodes that the file puts before the network."""
    model = onnx.load(both / "uint8/net/net.onnx")
    conv = next(each for each in model.graph.node if each.op_type == "Conv")
    first = next(each for each in model.graph.node if each.name == conv.input[0])
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(first.output[0], onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with (
        load_model(both / "uint8/net/net.onnx", "cpu") as taken,
        load_model(both / "float/net/net.onnx", "cpu") as plain,
    ):
        about, floats = taken.contract.input, plain.contract.input
    height, width = (side or 20 for side in about.shape[1:])
    for start in range(0, 256, height * width):
        values = np.arange(start, start + height * width).astype(np.uint8).reshape(height, width)
        picture = (
            np.stack([values, values.T.reshape(height, width), values[::-1]], 2) if about.shape[0] == 3 else values
        )
        Image.fromarray(picture).save(both / "p.png")
        opened = open_picture(both / "p.png")
        pixels, wanted = prepare(opened, about), prepare(opened, floats)
        assert (pixels.dtype, pixels.shape) == (np.uint8, (height, width, about.shape[0]))
        (found,) = session.run(None, {"image": pixels[None]})
        np.testing.assert_array_equal(found[0], wanted)


def test_eval_scores_the_same(both, photo):
    def scored(name):
        words = ("--data", photo.parents[2], "--device", "cpu", "--format", "json")
        done = run_command("eval", both / name / "net/net.onnx", *words)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    assert scored("float") == scored("uint8")


@pytest.mark.usefixtures("no_child")
def test_verify_takes_it(both):
    done = run_command("verify", both / "spec.json", both / "uint8/net/net.onnx")
    assert done.exit_code == 0, done.stderr
    assert "of torch" in done.stdout


@pytest.mark.usefixtures("no_child")
def test_a_wrong_normalisation_is_not_verified(both, tmp_path):
    model = onnx.load(both / "uint8/net/net.onnx")
    constants = [each for each in model.graph.initializer if each.name.startswith("image/constant")]
    if not [each for each in constants if each.data_type == onnx.TensorProto.FLOAT]:
        pytest.skip("nothing is scaled")
    for each in constants:
        if each.data_type == onnx.TensorProto.FLOAT:
            each.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(each) * np.float32(1.1), each.name))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "net.onnx")
    done = run_command("verify", both / "spec.json", tmp_path / "net.onnx")
    assert done.exit_code == 1
    assert "`conv` (conv) is the first node that differs" in done.stderr


def test_the_files_says_so(both):
    model = onnx.load(both / "uint8/net/net.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    about = json.loads(run_command("inspect", both / "uint8/net/net.onnx", "--format", "json").stdout)
    sides = about["inputs"][0]["shape"]
    assert (about["inputs"][0]["type"], sides[0], sides[3]) == (
        "uint8",
        "batch",
        about["contract"]["input"]["shape"][0],
    )
    assert about["contract"]["input"]["uint8"] is True
    assert json.loads((both / "uint8/net/manifest.json").read_text())["uint8"] is True
    assert "from uint8 pixels" in run_command("inspect", both / "uint8/net/net.onnx").stdout


@pytest.mark.usefixtures("no_bench_child")
def test_bench_feeds_it(both):
    words = ("--rounds", 1, "--seconds", 0.01, "--provider", "cpu", "--batch", 2, "--depth", 1, "--format", "json")
    done = run_command("bench", both / "uint8/net/net.onnx", *words)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["latency_ms"]["p50"] > 0


@pytest.mark.parametrize(
    ("change", "targets", "reason"),
    [
        ({}, ["torchscript"], "of the targets torchscript, none is an ONNX file"),
        ({"input": {"image": [7, 12, 10]}}, ["onnx"], "the network takes image [7, 12, 10], and not one picture"),
    ],
)
def test_what_takes_no_pixels(tmp_path, change, targets, reason):
    with pytest.raises(CnncError, match="E406") as caught:
        cnnc.build({**spec("rgb"), **change}, targets=targets, uint8=True, out=tmp_path)
    assert reason in caught.value.diagnostics[0].message
    assert not list(tmp_path.iterdir())


def test_other_precisions_take_pixels_too(tmp_path, photo):
    cnnc.build(spec("bgr"), targets=["onnx"], uint8=True, precision="fp16", max_drop=100, out=tmp_path)
    found = []
    for name in ("net.onnx", "net.fp16.onnx"):
        with load_model(tmp_path / "net" / name, "cpu") as model:
            assert model.contract.input.uint8
            found.append({each.index: each.score for each in infer(model, photo).predictions})
    assert found[0] == pytest.approx(found[1], rel=1e-2)
    assert found[0] != found[1]
