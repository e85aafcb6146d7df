"""`cnnc eval` of the weights of a run finds the part that the run held out, and scores it as the run did."""

import json

import numpy as np
import pytest
from PIL import Image

import cnnc
from cnnc.train.tasks import TASKS
from tests.command import run_command
from tests.train.test_tasks import data, network, scenes  # noqa: F401 - data is a fixture


@pytest.mark.parametrize("kind", TASKS)
def test_what_a_run_held_out_scores_as_in_the_run(trained, data, kind, tmp_path):  # noqa: F811
    source = network(kind, epochs=3, val_split=0.3, limit=50)
    if kind == "segmentation":  # an output of half the size
        source["nodes"][0]["conv"]["stride"] = 2
    run = trained(source, data=data(kind))
    spec = tmp_path / "net.json"
    spec.write_text(json.dumps(source))
    done = run_command("eval", spec, "--weights", run.weights, "--format", "json", "--device", "cpu")
    found, metric = json.loads(done.stdout), run.best.metric
    assert "the run in" in done.stderr
    assert "held out: 30%" in done.stderr
    assert found[metric] == pytest.approx(run.best.test[metric], abs=1e-5)
    if kind != "segmentation":
        assert found["loss"] == pytest.approx(run.best.test_loss, rel=1e-4)
    model = cnnc.build(spec, weights=str(run.weights), out=tmp_path / "build", targets=["onnx"]).folder / "net.onnx"
    built = run_command("eval", model, "--run", run.folder, "--format", "json", "--device", "cpu")
    assert json.loads(built.stdout)[metric] == pytest.approx(found[metric], abs=1e-3)
    text = run_command("eval", model, "--run", run.folder, "--device", "cpu").stdout
    assert f"{found[metric]:.3f}"[:4] in text


def save(folder, count, seed):
    images, labels = scenes(count, seed)
    for number, (image, label) in enumerate(zip(images, labels["classes"], strict=True)):
        path = folder / "abcd"[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def test_a_flat_folder_is_split_by_class_and_a_change_is_noticed(trained, tmp_path):
    folder = save(tmp_path / "set", 40, 1)
    run = trained(network("classes", epochs=1), data=str(folder), val_split=0.2)
    about = json.loads((run.folder / "run.json").read_text())
    assert about["labels"] == ["a", "b", "c", "d"]
    spec = tmp_path / "net.json"
    spec.write_text(json.dumps(network("classes")))
    weights = ("--weights", run.weights, "--device", "cpu")
    scored = run_command("eval", spec, *weights, "--format", "json")
    per_class = [len(list((folder / name).iterdir())) for name in "abcd"]
    assert json.loads(scored.stdout)["examples"] == sum(max(1, round(0.2 * count)) for count in per_class)
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(folder / "a" / "new.png")
    assert "has changed since the run" in run_command("eval", spec, *weights).stderr
    elsewhere = run_command("eval", spec, *weights, "--data", save(tmp_path / "other", 20, 2), "--part", "train")
    assert "held out" not in elsewhere.stderr
    assert "20 examples" in elsewhere.stdout


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    spec = tmp_path / "net.json"
    spec.write_text(json.dumps(network("classes")))
    cnnc.build(spec, out=tmp_path / "build", targets=["onnx"])
    weights = tmp_path / "build" / "net" / "net.safetensors"
    missing = run_command("eval", spec, "--weights", weights, "--device", "cpu")
    assert missing.exit_code == 2
    assert "--data is required, unless --run" in missing.stderr
    no_run = run_command("eval", spec, "--weights", weights, "--run", tmp_path, "--device", "cpu")
    assert "E512" in no_run.stderr
    (tmp_path / "run.json").write_text('{"name": "of another tool"}')
    other = run_command("eval", spec, "--weights", weights, "--run", tmp_path, "--device", "cpu")
    assert "E512" in other.stderr
    assert "it is not one of `cnnc train`" in other.stderr
    (tmp_path / "run.json").write_text('{"recipe": {}, "sha256": "0"}')
    changed = run_command("eval", spec, "--weights", weights, "--run", tmp_path, "--device", "cpu")
    assert "it is damaged or was changed" in changed.stderr
