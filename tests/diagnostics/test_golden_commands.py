"""What commands say of weights, models, pictures and data, word for word: a golden text for each E4xx and E5xx.

Each row of `COMMANDS` writes files into an empty folder and returns the words of a command, which runs there. After a
change of words run `UPDATE_GOLDEN=1 pytest tests/diagnostics/test_golden_commands.py`, and read the difference. Codes
whose text depends on the machine or on other processes have a test of their own, in `ELSEWHERE`.
"""

import ast
import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file

import cnnc
from cnnc.artifacts.contract import CONTRACT
from cnnc.diagnostics import Code
from tests.command import run_command
from tests.onnx_files import contract, linear, means, model_of

GOLDEN = Path(__file__).parent / "golden" / "commands"
ROOT = Path(__file__).parents[2]
ELSEWHERE = {  # the test that holds the words, which depend on the drivers, the installation, or other processes
    Code.NO_PROVIDER: "tests/inference/test_providers.py::test_a_gpu_that_does_not_work",
    Code.MISSING_EXTRA: "tests/diagnostics/test_missing_packages.py::test_what_is_lacking_is_named",
    Code.RANK_DIED: "tests/train/test_processes.py::test_a_rank_that_dies_ends_the_run_with_one_message",
    Code.OUT_OF_MEMORY: "tests/train/test_running.py::test_a_run_without_enough_memory_says_what_takes_less",
    Code.NOT_COMPILED: "tests/train/test_compiled.py::test_without_a_compiler_it_is_said_and_the_run_can_go_on_without",
}

NET = """cnnc: 1
name: net
input: {image: [1, 4, 4]}
nodes:
- conv: {name: left, out: 2, kernel: 3}
- conv: {name: right, out: 2, kernel: 3, from: image}
- add: {from: [left, right]}
- flatten
- linear: {name: fc, out: 3}
train: {epochs: 1, batch: 4}
"""


def weights(**changed):
    Path("net.yaml").write_text(NET)
    state = dict(cnnc.compile("net.yaml").state_dict())
    save_file({key: each for key, each in {**state, **changed}.items() if each is not None}, "w.safetensors")


def data(classes=3, side=4):
    labels = np.arange(12) % classes
    pictures = np.zeros((12, side, side), np.uint8) + 20 * labels.astype(np.uint8)[:, None, None]
    np.savez("data.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    Path("net.yaml").write_text(NET)


def model(made=None, about=None, name="m.onnx"):
    made = made or linear()
    if about is not None:
        helper.set_model_props(made, {CONTRACT: about.to_json()})
    Path(name).write_bytes(made.SerializeToString())


def misnamed_weights():
    weights(**{"fc.weight": None, "head.weight": torch.zeros(3, 8), "left.bias": torch.zeros(3)})
    return "build", "net.yaml", "--weights", "w.safetensors"


def empty_weights():
    Path("net.yaml").write_text(NET)
    Path("w.pth").touch()
    return "build", "net.yaml", "--weights", "w.pth"


def diverged_weights():
    weights(**{"fc.bias": torch.tensor([0.0, torch.nan, torch.inf])})
    return "build", "net.yaml", "--weights", "w.safetensors"


def changed_model():
    weights()
    cnnc.build("net.yaml", weights="w.safetensors", targets="onnx", out=".")
    built = onnx.load("net/net.onnx")
    kernel = next(each for each in built.graph.initializer if each.name == "left.weight")
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) + 1, kernel.name))
    onnx.save(built, "changed.onnx")
    return "verify", "net.yaml", "changed.onnx", "--weights", "w.safetensors"


def blocked_folder():
    Path("net.yaml").write_text(NET)
    Path("out").touch()
    return "build", "net.yaml", "--out", "out/here"


def numbers_as_pixels():
    Path("net.yaml").write_text("cnnc: 1\nname: net\ninput: {x: [3]}\nnodes: [relu]\n")
    return "build", "net.yaml", "--uint8"


def branches_in_any_order():
    weights()
    state = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(8, 3)).state_dict()
    save_file({f"part.{key}": each for key, each in state.items()}, "theirs.safetensors")
    return "weights", "net.yaml", "theirs.safetensors", "--out", "map.yaml"


def misspelt_map():
    weights()
    Path("map.yaml").write_text("weights:\n  left.weight: left.wieght\n")
    return "build", "net.yaml", "--weights", "w.safetensors", "--map", "map.yaml"


def inaccurate():
    """One channel is so large that 8 bits leave nothing of the others, which alone matter."""
    data()
    kernel, head = torch.ones(2, 1, 3, 3), torch.ones(3, 8)
    kernel[0] *= 1e5
    head[:, :4] = 0
    weights(**{"left.weight": kernel, "right.weight": torch.ones(2, 1, 3, 3), "fc.weight": head})
    Path("net.yaml").write_text(NET + "outputs: {embedding: {from: fc, as: vector}}\n")
    words = ("--weights", "w.safetensors", "--precision", "int8", "--calibrate", "data.npz")
    return "build", "net.yaml", "--target", "onnx", *words


def nothing_to_quantize():
    model(means(channels=1))
    data()
    return "quantize", "m.onnx", "--calibrate", "data.npz"


def unknown_operator():
    model(model_of(helper.make_node("Multinomial", ["image"], ["y"], name="draw"), image=("N", 3)))
    return "import", "m.onnx"


def changed_network():
    weights()
    run_command("check", "net.yaml", "--snapshot", "shapes.json")
    Path("net.yaml").write_text(NET.replace("out: 3", "out: 5"))
    return "check", "net.yaml", "--against", "shapes.json"


def text_as_snapshot():
    weights()
    Path("shapes.json").write_text("cnnc: 1")
    return "check", "net.yaml", "--against", "shapes.json"


def text_as_model():
    Path("m.onnx").write_text("cnnc: 1\n")
    return "infer", "m.onnx", "p.png", "--provider", "cpu"


def two_inputs():
    made = model_of(helper.make_node("Add", ["image", "age"], ["y"]), output=("N", 1, 2, 2))
    made.graph.input.append(helper.make_tensor_value_info("age", onnx.TensorProto.FLOAT, ("N", 1, 2, 2)))
    model(made)
    return "infer", "m.onnx", "p.png", "--provider", "cpu"


def text_as_picture():
    model(about=contract())
    Path("p.png").write_text("no picture")
    return "infer", "m.onnx", "p.png", "--provider", "cpu"


def bomb():
    model(about=contract())
    Image.new("1", (13_000, 13_000)).save("p.png")
    return "infer", "m.onnx", "p.png", "--provider", "cpu"


def small_picture():
    model(means(channels=1), contract(shape=(1, None, None), smallest=(32, 32), labels=None))
    Image.new("L", (5, 3)).save("p.png")
    return "infer", "m.onnx", "p.png", "--provider", "cpu"


def not_a_number():
    model(linear(np.full((3, 4), np.nan, np.float32)), contract())
    Image.new("L", (2, 2)).save("p.png")
    return "infer", "m.onnx", "p.png", "--provider", "cpu"


def missing_data():
    Path("net.yaml").write_text(NET)
    return "train", "net.yaml", "--data", "digits"


def blocked_cache(monkeypatch):
    Path("net.yaml").write_text(NET)
    Path("cache").touch()
    monkeypatch.setenv("CNNC_CACHE", "cache")
    return "train", "net.yaml", "--data", "mnist"


def too_many_classes():
    data(classes=4)
    return "train", "net.yaml", "--data", "data.npz"


def diverging():
    data()
    return "train", "net.yaml", "--data", "data.npz", "--device", "cpu", "--lr", "1e6", "--epochs", 50


def run_without_state():
    data()
    Path("run/net").mkdir(parents=True)
    Path("run/net/best.safetensors").touch()
    Path("run/net/last.safetensors").touch()
    return "train", "net.yaml", "--data", "data.npz", "--out", "run", "--resume"


def half_precision_on_the_cpu():
    data()
    return "train", "net.yaml", "--data", "data.npz", "--device", "cpu", "--precision", "16"


def misspelt_pattern():
    data()
    return "train", "net.yaml", "--data", "data.npz", "--freeze", "lfet.*"


def cut_off_record():
    Path("runs/net").mkdir(parents=True)
    Path("runs/net/run.json").write_text('{"version": ')
    return ("runs",)


COMMANDS = {
    "E401": misnamed_weights,
    "E402": empty_weights,
    "E403": diverged_weights,
    "E404": changed_model,
    "E405": blocked_folder,
    "E406": numbers_as_pixels,
    "E407": branches_in_any_order,
    "E408": misspelt_map,
    "E409": inaccurate,
    "E410": nothing_to_quantize,
    "E411": unknown_operator,
    "E412": changed_network,
    "E413": text_as_snapshot,
    "E501": text_as_model,
    "E502": two_inputs,
    "E503": text_as_picture,
    "E504": bomb,
    "E505": small_picture,
    "E507": not_a_number,
    "E508": missing_data,
    "E509": blocked_cache,
    "E510": too_many_classes,
    "E511": diverging,
    "E512": run_without_state,
    "E514": half_precision_on_the_cpu,
    "E517": misspelt_pattern,
    "E518": cut_off_record,
}


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("code", COMMANDS)
def test_what_a_command_says(code, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write = COMMANDS[code]
    words = write(monkeypatch) if write is blocked_cache else write()
    done = run_command(*words)
    assert done.exit_code == 1
    shown = " ".join(map(str, words))
    text = f"$ cnnc {shown}\n{done.stderr}{capfd.readouterr().err}"
    text = re.sub(r"\b\d+\.\d+\b", "0.0", text)  # measured numbers differ a little between machines
    golden = GOLDEN / f"{code}-{write.__name__.replace('_', '-')}.txt"
    if "UPDATE_GOLDEN" in os.environ:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert f"error[{code}]: " in text


def test_every_code_has_a_golden_text_or_a_test_of_its_own():
    codes = {code for code in Code if code.value[1] in "45"}
    assert codes == {Code(code) for code in COMMANDS} | ELSEWHERE.keys()
    texts = {f"{code}-{write.__name__.replace('_', '-')}.txt" for code, write in COMMANDS.items()}
    assert {path.name for path in GOLDEN.iterdir()} == texts
    for code, place in ELSEWHERE.items():
        file, _, name = place.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        [test] = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name]
        body = ast.unparse(test)
        assert code.value in body or code.name in body, f"{place} does not test {code}"
