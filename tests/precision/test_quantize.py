"""`cnnc quantize`: an ONNX file of cnnc or of another tool to int8."""

import json
import platform

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import cnnc
from cnnc.artifacts import contract
from cnnc.diagnostics import CnncError
from cnnc.files.onnx_header import read_model
from tests.command import run_command
from tests.precision.quadrants import SPEC, data_set, drawn, trained


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """A folder with a data set and three files: of cnnc, without its contract, and without an open batch."""
    folder = tmp_path_factory.mktemp("kit")
    data_set(folder / "quad.npz", test=0)
    weights = trained(SPEC, folder / "quad.safetensors")
    built = cnnc.build(SPEC, weights=weights, out=folder, targets="onnx")
    (folder / "ours.onnx").write_bytes((built.folder / "quad.onnx").read_bytes())
    model = onnx.load(folder / "ours.onnx")
    del model.metadata_props[:]
    mean, deviation = (numpy_helper.from_array(np.float32(each), name) for each, name in ((0.4, "m"), (0.25, "d")))
    model.graph.initializer.extend([mean, deviation])
    for name, node in (("Sub", ["image", "m"]), ("Div", ["less", "d"])):  # a foreign file gets pixels of 0..1
        model.graph.node.append(helper.make_node(name, node, ["less" if name == "Sub" else "ready"]))
    first = next(node for node in model.graph.node if node.name == "stem")
    first.input[0] = "ready"
    order = [*model.graph.node[-2:], *model.graph.node[:-2]]
    del model.graph.node[:]
    model.graph.node.extend(order)
    onnx.save(model, folder / "theirs.onnx")
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 7
    del model.graph.value_info[:]
    onnx.save(model, folder / "sevens.onnx")
    return folder


@pytest.mark.usefixtures("no_child")
def test_it_is_compared_on_what_the_run_of_its_weights_held_out(kit, tmp_path):
    """Or else a note says that the network may have learned from the pictures."""
    (tmp_path / "quad.json").write_text(json.dumps(SPEC))
    data = kit / "quad.npz"
    options = ("--epochs", "1", "--val-split", "0.3", "--device", "cpu", "-o", tmp_path)
    done = run_command("train", tmp_path / "quad.json", "--data", data, *options)
    assert done.exit_code == 0, done.stderr
    out = ("-o", tmp_path / "small.onnx", "--max-drop", "100", "--format", "json")
    alone = run_command("quantize", kit / "ours.onnx", "--calibrate", data, *out)
    assert json.loads(alone.stdout)["compared_on"] == "pictures that did not calibrate"
    assert "the accuracy is of pictures that the network may have learned from" in alone.stderr
    of_run = run_command("quantize", kit / "ours.onnx", "--calibrate", data, "--run", tmp_path / "quad", *out)
    weights = ("--weights", tmp_path / "quad" / "best.safetensors", "--max-drop", "100", "-o", tmp_path / "build")
    words = ("--target", "onnx", "--precision", "int8", "--calibrate", data, *weights)
    built = run_command("build", tmp_path / "quad.json", *words)
    manifest = json.loads((tmp_path / "build" / "quad" / "manifest.json").read_text())
    for done, said in ((of_run, json.loads(of_run.stdout)), (built, manifest["precisions"]["int8"])):
        assert (said["compared_on"], said["pictures"]) == ("held-out pictures", 90)
        assert "held out: 30%" in done.stderr
        assert "may have learned" not in done.stderr


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("name", ["ours", "theirs", "sevens"])
def test_a_file_is_quantized(kit, name):
    if name == "ours":
        done = run_command("quantize", kit / f"{name}.onnx", "--calibrate", kit / "quad.npz", "--format", "json")
        assert done.exit_code == 0, done.stderr
        said = json.loads(done.stdout)
    else:
        said = cnnc.quantize(kit / f"{name}.onnx", calibrate=kit / "quad.npz").as_json()
    assert said["snr_db"]["head"] >= 25
    assert said["float32_accuracy"] > 0.9
    assert said["pictures"] == (75 if name != "sevens" else 70)  # a quarter of 300
    target = kit / f"{name}.int8.onnx"
    metadata = read_model(target).metadata
    assert (contract.CONTRACT in metadata) == (name == "ours")
    assert json.loads(metadata[contract.PRECISION])["calibration"] == {"method": "percentile", "pictures": 225}
    pictures, labels = drawn(1, 2)
    if name != "sevens":
        Image.fromarray(pictures[0]).save(kit / "one.png")
        done = run_command("infer", target, kit / "one.png", "--format", "json", "--top", 1)
        assert json.loads(done.stdout)["predictions"][0]["index"] == labels[0]
    assert not [each for each in kit.iterdir() if each.name.startswith(".cnnc")]


@pytest.mark.usefixtures("no_child")
def test_the_text_says_where_and_how_good(kit, tmp_path):
    words = ["--calibrate", kit / "quad.npz", "--calibration", "minmax", "-o", tmp_path / "small.onnx"]
    done = run_command("quantize", kit / "ours.onnx", *words)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{tmp_path / 'small.onnx'}  ")
    assert " dB, " in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["small.onnx"]


def test_calibration_is_required(kit):
    done = run_command("quantize", kit / "ours.onnx")
    assert done.exit_code == 2
    assert "needs" in done.stderr
    assert "--calibrate" in done.stderr


def refusal(kit, model):
    path = kit / "refused.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(CnncError) as caught:
        cnnc.quantize(path, calibrate=kit / "quad.npz")
    assert not (kit / "refused.int8.onnx").exists()
    return str(caught.value)


def test_what_cannot_be_quantized_is_refused(kit):
    quantized = kit / "again.onnx"
    cnnc.quantize(kit / "theirs.onnx", calibrate=kit / "quad.npz", out=quantized)
    assert "error[E410]: cannot quantize refused.onnx: it is quantized already" in refusal(kit, quantized.read_bytes())
    model = onnx.load(kit / "theirs.onnx")
    model.opset_import[0].version = 12
    assert "error[E410]: cannot quantize refused.onnx: its opset is 12" in refusal(kit, model)
    assert "error[E501]: cannot read the model" in refusal(kit, b"no model")
    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", port[:1], port[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert "error[E502]: quantize cannot use the model" in refusal(kit, model)
    assert "it does not take one float32 picture" in refusal(kit, model)


def ahead_of(kit, *nodes, **weights):
    """The foreign file, with `ready` computed by these nodes."""
    model = onnx.load(kit / "theirs.onnx")
    rest = [each for each in model.graph.node if "ready" not in each.output]
    del model.graph.node[:]
    model.graph.node.extend([rest[0], *nodes, *rest[1:]])
    model.graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in weights.items())
    return model


def test_a_power_of_a_constant_factor_is_quantized(kit, tmp_path):
    model = onnx.load(kit / "theirs.onnx")
    last = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == last else name for name in node.output]
    two = helper.make_attribute("value", numpy_helper.from_array(np.float32(2)))
    made = [helper.make_node("Constant", [], ["two"]), helper.make_node("Mul", ["two", "before"], ["double"])]
    made[0].attribute.append(two)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(2), "square"))
    model.graph.node.extend([*made, helper.make_node("Pow", ["double", "square"], [last])])
    (tmp_path / "power.onnx").write_bytes(model.SerializeToString())
    assert cnnc.quantize(tmp_path / "power.onnx", calibrate=kit / "quad.npz", max_drop=100)


def endless(kit):
    value, kinds = helper.make_tensor_value_info, TensorProto
    same = [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in ("go", "x")]
    inputs = [value("at", kinds.INT64, []), value("go_in", kinds.BOOL, []), value("x_in", kinds.FLOAT, None)]
    outputs = [value("go_out", kinds.BOOL, []), value("x_out", kinds.FLOAT, None)]
    body = helper.make_graph(same, "body", inputs, outputs)
    return ahead_of(kit, helper.make_node("Loop", ["", "always", "less"], ["ready"], body=body), always=np.array(True))


def trapping(kit):
    nodes = [
        helper.make_node("Div", ["lowest", "divisor"], ["quotient"]),  # overflows, which the processor traps
        helper.make_node("Cast", ["quotient"], ["q"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["less", "q"], ["ready"]),
    ]
    return ahead_of(kit, *nodes, lowest=np.array([-(2**31)], np.int32), divisor=np.array([-1], np.int32))


X86 = platform.machine() in ("x86_64", "AMD64")  # other processors do not trap


@pytest.mark.parametrize(
    ("model", "limit", "how"),
    [
        (endless, 1, "stopped after 1 s of loading and running the file"),
        pytest.param(trapping, 600, "was killed by signal 8", marks=pytest.mark.skipif(not X86, reason="no trap")),
    ],
)
def test_a_file_that_does_not_finish_is_one_error(kit, model, limit, how):
    onnx.save(model(kit), kit / "hostile.onnx")
    done = run_command("quantize", kit / "hostile.onnx", "--calibrate", kit / "quad.npz", "--timeout", limit)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error[E507]" in done.stderr
    assert how in done.stderr
    assert not [each.name for each in kit.iterdir() if each.name.startswith((".cnnc", "hostile.int8"))]


def test_a_damaged_file_is_refused(kit, capfd):
    data = bytearray((kit / "ours.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    assert "damaged" in refusal(kit, bytes(data))
    done = run_command("quantize", kit / "refused.onnx", "--calibrate", kit / "quad.npz")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error[E501]: the model" in capfd.readouterr().err


def test_an_unwritable_target_is_refused(kit, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(CnncError, match=r"E405.*folder"):
        cnnc.quantize(kit / "ours.onnx", calibrate=kit / "quad.npz", out=tmp_path / "folder.onnx")
