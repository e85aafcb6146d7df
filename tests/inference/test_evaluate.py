"""`cnnc eval`: numbers that can be done by hand, the same ones from every kind of file, and what is said of misfits."""

import csv
import json
import math
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from cnnc import compiler
from cnnc.cli import eval as cli_eval
from cnnc.data import folder as picture_folder
from cnnc.data.dataset import DecodedSplit, Files
from cnnc.diagnostics import CnncError, Code
from cnnc.inference import scorers
from cnnc.inference.evaluate import Evaluation, evaluate
from cnnc.targets import torch_module as target
from cnnc.weights import load as weight_files
from tests.command import run_command
from tests.onnx_files import contract, linear, means, model_of

SPEC = """
cnnc: 1
name: small
input: {image: {shape: [1, 12, 12], mean: [0.3], std: [0.4], resize: 14, crop: [12, 12]}}
nodes:
  - conv: {out: 4, kernel: 3}
  - batch_norm
  - relu
  - global_avg_pool
  - flatten: {name: features}
  - linear: {out: 3, name: helper}
  - linear: {out: 3, name: classes, from: features}
"""
OUTPUTS = "outputs: {y: classes, aux: {from: helper, only: train}}\n"
RNG = np.random.default_rng(0)


def split(count=7, side=9, channels=1, classes=3):
    images = RNG.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    return DecodedSplit(images, np.arange(count, dtype=np.int64) % classes)


@pytest.fixture
def built(tmp_path):
    """A spec, and what `cnnc build` makes of it."""
    (tmp_path / "small.yaml").write_text(SPEC + OUTPUTS, encoding="utf-8")
    return tmp_path / "small.yaml", compiler.build(tmp_path / "small.yaml", out=tmp_path / "build", seed=3).folder


def of_spec(spec, weights):
    graph = compiler.load(spec)
    return scorers.of_graph(str(spec), graph, weight_files.read(weights, target.shapes(graph)), "cpu")


def error_of(action, code):
    with pytest.raises(CnncError, match=code) as caught:
        action()
    return str(caught.value)


@pytest.mark.parametrize("shape", [(3, 2, 2), ()])
def test_scores_that_are_not_one_per_class_are_refused(shape):
    scorer = scorers.Scorer("m.onnx", contract(), lambda pictures: torch.zeros(len(pictures), *shape), "cpu")
    text = error_of(lambda: evaluate(scorer, split(4, side=2)), "E502")
    assert f"its output is {[4, *shape]}, expected one score per class" in text


def test_a_spec_cannot_be_accepted_as_changed(built):
    done = run_command("eval", built[0], "--data", "mnist", "--accept-changed", "--weights", "w.safetensors")
    assert done[0] == 2
    assert "--accept-changed is only for .onnx and .pt files, not for a spec" in done.stderr


def test_accuracy_loss_and_classes_by_hand(save):
    """Scores are pixels: the brightest of three names the class."""
    weights = np.eye(3, 4, dtype=np.float32) * 10
    path = save(linear(weights), contract())
    images = np.zeros((4, 2, 2, 1), np.uint8)
    images.reshape(4, 4)[range(4), [0, 1, 2, 0]] = 255
    result = evaluate(scorers.of_onnx(str(path), "cpu"), DecodedSplit(images, np.array([0, 1, 2, 2])))
    right, wrong = math.log(math.exp(10) + 2) - 10, math.log(math.exp(10) + 2)
    assert result.as_json() == {
        "accuracy": 0.75,
        "loss": pytest.approx((3 * right + wrong) / 4),
        "examples": 4,
        "skipped": 0,
        "top5_accuracy": 1.0,
        "macro_f1": pytest.approx((2 / 3 + 1 + 2 / 3) / 3),
        "balanced_accuracy": pytest.approx((1 + 1 + 0.5) / 3),
    }
    assert result.matrix.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    boot, bag, coat = result.per_class
    assert (boot.name, boot.precision, boot.recall, boot.count) == ("boot", 0.5, 1.0, 1)
    assert (bag.precision, bag.recall) == (1.0, 1.0)
    assert (coat.precision, coat.recall, coat.count) == (1.0, 0.5, 2)


def test_every_kind_of_file_scores_the_same(built):
    spec, folder = built
    data = split(count=1100)  # more than a batch, of pictures that are resized and cropped
    kinds = [
        of_spec(spec, folder / "small.safetensors"),
        scorers.of_onnx(str(folder / "small.onnx"), "cpu"),
        scorers.of_torchscript(str(folder / "small.pt"), compiler.load, "cpu"),
    ]
    first, *others = [evaluate(kind, data) for kind in kinds]
    assert first.examples == 1100
    for other in others:
        assert (other.matrix == first.matrix).all()
        assert other.loss == pytest.approx(first.loss, rel=1e-6)


def test_pictures_in_files_are_prepared_as_infer_does(built, tmp_path):
    _, folder = built
    data = split(count=5, side=14)
    paths = tuple(tmp_path / f"{i}.png" for i in range(5))
    for path, image in zip(paths, data.images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    with scorers.of_onnx(str(folder / "small.onnx"), "cpu") as scorer:
        streamed, held = evaluate(scorer, Files(paths, data.labels)), evaluate(scorer, data)
    assert streamed.loss == pytest.approx(held.loss, rel=1e-6)
    assert (streamed.matrix == held.matrix).all()


@pytest.mark.parametrize("end", ["softmax", "log_softmax"])
def test_a_network_that_ends_in_probabilities_has_the_loss_of_its_logits(tmp_path, end):
    losses = []
    for nodes in ("", f"  - {end}\n"):
        (tmp_path / "small.yaml").write_text(SPEC.replace("  - linear: {out: 3, name: helper}\n", "") + nodes)
        folder = compiler.build(tmp_path / "small.yaml", out=tmp_path, seed=3, targets=["onnx"]).folder
        losses.append(evaluate(scorers.of_onnx(str(folder / "small.onnx"), "cpu"), split_of_one()).loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def split_of_one():
    return DecodedSplit(np.full((1, 12, 12, 1), 70, np.uint8), np.array([2]))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_scores_that_nobody_explains_are_taken_for_what_they_look_like(save, scale):
    """Without a contract: probabilities where they are some, else logits."""
    pooled = helper.make_node("GlobalAveragePool", ["image"], ["p"]), helper.make_node("Flatten", ["p"], ["f"])
    last = helper.make_node("Softmax", ["f"], ["y"]) if scale == 1 else helper.make_node("Mul", ["f", "s"], ["y"])
    weights = {"s": np.array(scale, np.float32)} if scale != 1 else {}
    path = save(model_of(*pooled, last, weights=weights, image=("N", 3, 2, 2)))
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[..., 0] = 255
    with scorers.of_onnx(str(path), "cpu") as scorer:
        result = evaluate(scorer, DecodedSplit(image, np.array([0])))
    assert result.loss == pytest.approx(math.log(1 + 2 * math.exp(-scale)), rel=1e-5, abs=1e-12)
    assert any("no cnnc contract" in note for note in result.notes)


def test_a_model_that_takes_one_picture_gets_one_at_a_time(save):
    path = save(linear(image=(1, 1, 2, 2), output=(1, 3)), contract())
    assert evaluate(scorers.of_onnx(str(path), "cpu"), split(count=3, side=2)).examples == 3


def test_names_are_the_model_s_and_a_difference_is_noted(save):
    scorer = scorers.of_onnx(str(save(linear(), contract())), "cpu")
    same = evaluate(scorer, split(side=2), ("boot", "bag", "coat"))
    other = evaluate(scorer, split(side=2), ("boot", "coat", "bag"))
    fewer = evaluate(scorer, split(side=2), ("boot", "bag"))
    assert same.classes == other.classes == ("boot", "bag", "coat")
    assert not same.notes
    assert other.notes == (
        "model and data name their classes differently: class 1 is 'bag' in the model, 'coat' in the data",
    )
    assert fewer.notes == (
        "model and data name their classes differently: class 2 is 'coat' in the model, missing in the data",
    )
    nameless = scorers.of_onnx(str(save(linear(), contract(labels=None))), "cpu")
    assert evaluate(nameless, split(side=2), ("a", "b")).classes == ("a", "b", "2")


def test_progress_counts_pictures(save):
    told = []
    path = save(linear(image=(1, 1, 2, 2), output=(1, 3)), contract())
    evaluate(scorers.of_onnx(str(path), "cpu"), split(3, 2), progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (split(4, 2, classes=4), "E510.*label 3.*classes 0 to 2"),
        (split(4, 3, channels=2), "E510.*2 channels"),
    ],
)
def test_data_that_is_not_the_model_s_is_a_diagnostic(save, data, said):
    scorer = scorers.of_onnx(str(save(linear(), contract())), "cpu")
    error_of(lambda: evaluate(scorer, data), said)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"smallest": (8, 8), "divisor": 1}, "at least 8 × 8"),
        ({"smallest": (2, 2), "divisor": 4}, "multiples of 4"),
        ({"resize": (6, 6), "crop": (7, 7)}, "the centre crop of 7 × 7"),
    ],
)
def test_sizes_that_the_network_cannot_take_never_reach_it(save, rest, said):
    path = save(means(image=("N", 3, "H", "W")), contract(shape=(3, None, None), mode="rgb", **rest))
    message = error_of(lambda: evaluate(scorers.of_onnx(str(path), "cpu"), split(side=6)), "E510")
    assert said in message


def test_a_fixed_size_is_held_against_the_pictures_too(save):
    path = save(linear(), contract(resize=(3, 2)))
    assert "3 × 2" in error_of(lambda: evaluate(scorers.of_onnx(str(path), "cpu"), split(side=6)), "E510")


def test_scores_that_are_not_finite_are_a_diagnostic(save):
    weights = np.full((3, 4), np.inf, np.float32)
    scorer = scorers.of_onnx(str(save(linear(weights), contract())), "cpu")
    message = error_of(
        lambda: evaluate(scorer, DecodedSplit(np.full((2, 2, 2, 1), 9, np.uint8), np.array([0, 1]))), "E507"
    )
    assert "6 of the 6 scores of a batch" in message


def test_one_score_tells_no_classes_apart(save):
    path = save(linear(np.ones((1, 4), np.float32), output=("N", 1)), contract(labels=None))
    error_of(lambda: evaluate(scorers.of_onnx(str(path), "cpu"), split(side=2)), "E502.*1 score")


def test_a_model_without_pictures_is_refused(tmp_path):
    spec = {"cnnc": 1, "name": "flat", "input": {"x": [4]}, "nodes": [{"linear": {"out": 2}}]}
    graph, module = compiler.load(spec), compiler.compile(spec)
    scorer = scorers.of_graph("flat", graph, module.state_dict(), "cpu")
    error_of(lambda: evaluate(scorer, split()), "E502.*not a picture")


def test_a_model_with_a_second_input_is_refused():
    nodes = [{"add": {"from": ["a", "b"]}}, "flatten", {"linear": {"out": 2}}]
    spec = {"cnnc": 1, "name": "two", "inputs": {"a": [1, 4, 4], "b": [1, 4, 4]}, "nodes": nodes}
    scorer = scorers.of_graph("two", compiler.load(spec), compiler.compile(spec).state_dict(), "cpu")
    error_of(lambda: evaluate(scorer, split()), r"E502.*it has 2 inputs \(a, b\)")


def test_a_torchscript_file_needs_its_manifest_and_must_be_the_file_in_it(built):
    _, folder = built
    path, manifest = folder / "small.pt", folder / "manifest.json"

    def load():
        return scorers.of_torchscript(str(path), compiler.load)

    path.write_bytes(path.read_bytes() + b"\0")
    assert "SHA-256 differs" in error_of(load, "E501")
    manifest.write_text("{}")
    assert "does not list this file" in error_of(load, "E501")
    manifest.unlink()
    assert "no such file" in error_of(load, "E501")
    path.unlink()
    assert "cannot read the model" in error_of(load, "E501")


def test_a_state_dict_is_no_torchscript(built):
    _, folder = built
    path, manifest = folder / "small.pt", folder / "manifest.json"
    torch.save({"weight": torch.zeros(1)}, path)
    said = json.loads(manifest.read_text())
    said["files"]["small.pt"] = {"sha256": sha256(path.read_bytes()).hexdigest()}
    manifest.write_text(json.dumps(said))
    error_of(lambda: scorers.of_torchscript(str(path), compiler.load), "E501")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_diagnostic():
    error_of(lambda: scorers.choose("cuda"), "E514")
    assert scorers.choose("auto") == "cpu"


@pytest.fixture
def data(tmp_path):
    some = split(count=6)
    np.savez(tmp_path / "d.npz", x_train=some.images, y_train=some.labels, x_test=some.images, y_test=some.labels)
    return tmp_path / "d.npz"


def call(*arguments):
    return run_command("eval", *arguments)


def test_the_command_answers_in_one_json_line_or_a_table(built, data, tmp_path):
    spec, folder = built
    options = ["--data", data, "--device", "cpu", "--format", "json", "-o", tmp_path / "confusion.png"]
    answers = [
        call(spec, "--weights", folder / "small.safetensors", *options),
        call(folder / "small.onnx", *options),
        call(folder / "small.pt", *options),
    ]
    lines = [answer.stdout.splitlines() for answer in answers]
    assert [len(each) for each in lines] == [1, 1, 1]
    found = [json.loads(each[0]) for each in lines]
    assert list(found[0])[:4] == ["accuracy", "loss", "examples", "skipped"]
    assert len({each["accuracy"] for each in found}) == 1
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    table = call(folder / "small.onnx", "--data", data, "--device", "cpu", "--limit", 5)
    assert "5 examples (cpu)" in table.stdout
    assert len(table.stdout.splitlines()) == 3 + 1 + 3


def test_every_prediction_becomes_a_row_of_a_csv_file(built, data, tmp_path):
    _, folder = built
    named = tmp_path / "predictions.csv"
    done = call(folder / "small.onnx", "--data", data, "--device", "cpu", "-o", named, "-o", tmp_path / "c.png")
    assert done.stdout.endswith(f"\n{named}\n\n{tmp_path / 'c.png'}\n")
    rows = list(csv.DictReader(named.read_text().splitlines()))
    assert list(rows[0]) == ["picture", "label", "predicted", "probability", "probability_of_label"]
    assert [(each["picture"], each["label"]) for each in rows] == [(str(n), str(n % 3)) for n in range(6)]
    right = [each["label"] == each["predicted"] for each in rows]
    assert f"accuracy {sum(right) / 6:.4f}" in done.stdout
    for each, is_right in zip(rows, right, strict=True):
        assert 1 / 3 < float(each["probability"]) <= 1
        assert (each["probability"] == each["probability_of_label"]) == is_right


def test_macro_f1_balanced_accuracy_and_the_five_best():
    matrix = np.zeros((11, 11), np.int64)
    matrix[0, 0], matrix[0, 1], matrix[1, 1], matrix[2, 0] = 6, 2, 4, 1
    found = Evaluation("m", 0.1, matrix, tuple("abcdefghijk"), "cpu", top5=0.9)
    assert found.balanced_accuracy == pytest.approx((6 / 8 + 1 + 0) / 3)
    assert found.macro_f1 == pytest.approx((12 / 15 + 8 / 10 + 0) / 3)
    assert "top-5 accuracy 0.9000" in found.as_text()


def test_pictures_that_cannot_be_read_are_all_told_or_left_out(built, tmp_path, monkeypatch):
    for part, count in (("train", 1), ("test", 6)):
        for index in range(count):
            path = tmp_path / f"files/{part}/{'abc'[index % 3]}/{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (14, 14 + index), 40 * index).save(path)
    for name in "bc":
        (tmp_path / f"files/train/{name}").mkdir()
        Image.new("L", (14, 14)).save(tmp_path / f"files/train/{name}/0.png")
    for name in ("b/4", "c/5"):
        (tmp_path / f"files/test/{name}.png").write_text("text")
    options = [built[1] / "small.onnx", "--data", tmp_path / "files", "--device", "cpu", "--format", "json"]
    for room in (picture_folder.IN_MEMORY, 0):  # found while the set is loaded, or while the model runs
        monkeypatch.setattr(picture_folder, "IN_MEMORY", room)
        told = call(*options).stderr
        assert told.startswith(f"error[{Code.DATA_UNREADABLE}]: ")
        notes = [line for line in told.splitlines() if " = note: " in line]
        assert [Path(line.split(": ")[1]).name for line in notes] == ["4.png", "5.png"]
    answer = call(*options, "--skip-unreadable")
    found = json.loads(answer.stdout)
    assert (found["examples"], found["skipped"]) == (4, 2)
    assert "note: left out 2 of the 6 pictures in" in answer.stderr
    assert "b/4.png" in answer.stderr


def test_wrong_calls_are_told_apart_from_wrong_files(built, data, tmp_path):
    spec, folder = built
    for arguments, said in [
        ([spec], "--weights"),
        ([folder / "small.onnx", "--weights", "w.safetensors"], "only for a spec"),
        ([folder / "small.pt", "--set", "a=1"], "only for a spec"),
        ([folder / "small.safetensors"], "pass the spec"),
        ([spec, "--weights", folder / "small.safetensors", "--set", "a"], "--set"),
    ]:
        result = call(*arguments, "--data", data)
        assert result.exit_code == 2
        assert said in result.stderr
    np.savez(tmp_path / "train.npz", x_train=np.zeros((2, 9, 9), np.uint8), y_train=np.array([0, 1]))
    result = call(folder / "small.onnx", "--data", tmp_path / "train.npz")
    assert (result.exit_code, "no test part" in result.stderr) == (2, True)
    assert call(folder / "small.onnx", "--data", tmp_path / "train.npz", "--part", "train").exit_code == 0
    assert call(folder / "no.onnx", "--data", data).exit_code == 1


def test_importing_the_command_imports_nothing_heavy():
    source = Path(cli_eval.__file__).read_text(encoding="utf-8")
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in top if re.search(r"cnnc\.(?!cli)|torch|numpy", line)]


def test_kinds_of_numbers_that_onnx_may_give_are_taken(save):
    node = helper.make_node("Cast", ["f"], ["y"], to=TensorProto.DOUBLE)
    pool, flatten = helper.make_node("GlobalAveragePool", ["image"], ["p"]), helper.make_node("Flatten", ["p"], ["f"])
    kinds = (TensorProto.FLOAT, TensorProto.DOUBLE)
    path = save(model_of(pool, flatten, node, image=("N", 3, 2, 2), kinds=kinds), contract(shape=(3, 2, 2), mode="rgb"))
    assert evaluate(scorers.of_onnx(str(path), "cpu"), split(2, 2, 3)).examples == 2
