"""Model files of every kind, good and bad, and what comes out of them for good and bad pictures."""

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from cnnc.artifacts.contract import OutputContract
from cnnc.diagnostics import CnncError, Code
from cnnc.inference import session
from cnnc.inference.predict import infer, infer_many, load_model
from cnnc.inference.providers import Choice
from cnnc.inference.results import Failed, Prediction, Result
from tests.command import run_command
from tests.onnx_files import RELU, WEIGHTS, contract, dies_of_white, linear, means, model_of


def predict(path, *pictures, top_k=3):
    with load_model(path, "cpu") as model:
        return [infer(model, one, top_k) for one in pictures]


def softmax(values):
    return np.exp(values - np.max(values)) / np.exp(values - np.max(values)).sum()


def test_a_model_of_ours(save, picture):
    about = contract(mean=(0.5,), std=(0.5,))
    (result,) = predict(save(linear(), about), picture())
    assert [(one.index, one.label) for one in result.predictions] == [(2, "coat"), (1, "bag"), (0, "boot")]
    np.testing.assert_allclose([one.score for one in result.predictions], softmax([38.0, 22.0, 6.0]), rtol=1e-5)
    assert result.provider == "cpu"
    assert result.milliseconds > 0
    assert json.loads(json.dumps(result.as_json()))["predictions"][0]["label"] == "coat"


def test_top_k(save, picture):
    path, shown = save(linear(), contract()), picture()
    assert [len(predict(path, shown, top_k=k)[0].predictions) for k in (1, 2, 99)] == [1, 2, 3]
    with pytest.raises(ValueError, match="top_k"):
        predict(path, shown, top_k=0)


@pytest.mark.parametrize(("scores", "expected"), [("logits", softmax([1, 0, 0.2])), ("probabilities", [1, 0, 0.2])])
def test_scores_are_what_the_contract_says(save, picture, scores, expected):
    about = contract(shape=(3, None, None), mode="rgb", scores=scores, labels=None)
    (result,) = predict(save(means(), about), picture((255, 0, 51), (4, 3), "RGB"))
    found = sorted((one.index, one.score) for one in result.predictions)
    np.testing.assert_allclose([score for _, score in found], expected, rtol=1e-5)


def test_log_probabilities(save, picture):
    path = save(
        linear(np.log([[0.7] * 4, [0.2] * 4, [0.1] * 4]).astype("f4") / 4), contract(scores="log_probabilities")
    )
    assert [one.score for one in predict(path, picture())[0].predictions] == pytest.approx([0.7, 0.2, 0.1])


@pytest.mark.parametrize(("colour", "softmaxed"), [((255, 0, 0), False), ((255, 255, 0), True)])
def test_without_a_contract_scores_that_look_like_probabilities_are_kept(save, picture, colour, softmaxed):
    path = save(means())
    with load_model(path, "cpu") as model:
        assert any("no cnnc contract" in note for note in model.notes)
        best = infer(model, picture(colour, (5, 4), "RGB")).predictions[0]
    assert best.label is None
    assert best.score == pytest.approx(softmax(np.array([1.0, 1, 0]))[0] if softmaxed else 1)


def test_one_logit_is_a_yes_or_no(save, picture):
    path = save(means(1, output=("N", 1)), contract(shape=(1, None, None), labels=None))
    assert predict(path, picture(0), picture(255, name="q.png"))[1].predictions[0].score == pytest.approx(
        1 / (1 + np.exp(-1))
    )


def test_sides_of_one_are_no_map(save, picture):
    pool = helper.make_node("GlobalAveragePool", ["image"], ["y"])
    path = save(model_of(pool, image=("N", 3, "H", "W"), output=("N", 3, "h", "w")))
    assert predict(path, picture((255, 0, 0), (5, 4), "RGB"))[0].predictions[0].index == 0


def test_a_picture_is_held_against_the_contract_before_the_run(save, picture):
    path = save(means(), contract(shape=(3, None, None), mode="rgb", smallest=(4, 4)))
    assert fails(path, picture(size=(3, 9)))[0] == Code.PICTURE_MISFIT


def fails(path, shown):
    with load_model(path, "cpu") as model, pytest.raises(CnncError) as caught:
        infer(model, shown)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, diagnostic.message


@pytest.mark.parametrize("about", [None, contract()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite(save, picture, about, value):
    code, text = fails(save(linear(WEIGHTS + np.float32(value)), about), picture())
    assert code == Code.MODEL_FAILED
    assert "3 of the 3 output values" in text


def test_labels_that_do_not_count_up(save, picture):
    code, text = fails(save(linear(), contract(labels=("boot",))), picture())
    assert code == Code.MODEL_UNSUITED
    assert "has 1 classes, but its output has 3" in text


def test_a_map_where_the_contract_has_classes(save, picture):
    path = save(model_of(RELU, image=("N", 1, "H", "W"), output=("N", 1, "H", "W")), of_kind("classes"))
    code, text = fails(path, picture(size=(5, 4)))
    assert code == Code.MODEL_UNSUITED
    assert "its output 'y' is [1, 1, 4, 5], expected a vector, one score per class" in text


def of_kind(kind):
    details = (OutputContract(name="y", kind=kind),)
    return dataclasses.replace(contract(shape=(1, None, None), labels=None), details=details)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors do not trap here")
def test_a_model_that_kills_its_process_is_a_diagnostic_and_the_others_go_through(save, picture):
    black, white = picture(0, name="black.png"), picture(255, name="white.png")
    with load_model(save(dies_of_white()), "cpu") as model:
        first, second, third = infer_many(model, [black, white, black])
    assert isinstance(first, Result)
    assert isinstance(third, Result)
    assert isinstance(second, Failed)
    assert second.error.diagnostics[0].code == Code.MODEL_FAILED
    assert "SIGFPE" in second.error.diagnostics[0].message
    assert first.predictions == third.predictions


@pytest.mark.skipif(sys.platform != "linux", reason="needs real-time signals")
def test_a_process_that_is_killed_by_a_signal_without_a_name(save, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -40 $$\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(CnncError, match="was killed by signal 40 while loading the model"):
        load_model(save(linear()), "cpu")


def never_ends_on(white):
    """For white, or for whatever picture, a loop that goes on; for black its body does not run."""
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["max"], keepdims=0),
        helper.make_node("Cast", ["max" if white else "yes"], ["go"], to=TensorProto.BOOL),
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Loop", ["", "go", "flat"], ["y"], body=loop_body()),
    ]
    return model_of(*nodes, weights={"yes": np.float32(1)}, output=("N", 4))


def loop_body():
    kinds = {"number": TensorProto.INT64, "on": TensorProto.BOOL, "on_out": TensorProto.BOOL}
    known = {name: helper.make_tensor_value_info(name, kind, []) for name, kind in kinds.items()}
    value, value_out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("value", "value_out"))
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("on", "value")]
    return helper.make_graph(nodes, "body", [known["number"], known["on"], value], [known["on_out"], value_out])


def test_a_model_that_never_ends_is_stopped_and_the_others_go_through(save, picture):
    black, white = picture(0, name="black.png"), picture(255, name="white.png")
    with load_model(save(never_ends_on(white=True)), "cpu", timeout=3) as model:
        first, second, third = infer_many(model, [black, white, black])
    assert isinstance(first, Result)
    assert isinstance(third, Result)
    assert isinstance(second, Failed)
    (told,) = second.error.diagnostics
    assert told.code == Code.MODEL_FAILED
    assert "did not finish running the model on a picture of 2 × 2 (height × width) within 3 s" in told.message
    assert "--timeout" in told.help


def test_the_time_is_given_on_the_command_line(save, picture):
    path = save(never_ends_on(white=False))
    done = run_command("infer", path, picture(), "--provider", "cpu", "--timeout", "1.5")
    assert (done.exit_code, "within 1.5 s" in done.stderr) == (1, True)
    for wrong in ("0", "-1", "nan", "inf", "soon"):
        done = run_command("infer", path, picture(), "--timeout", wrong)
        assert (done.exit_code, done.stderr.startswith("error: --timeout: ")) == (2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_model_that_never_ends_goes_with_its_parent(save, picture):
    path = save(never_ends_on(white=False))
    parent = subprocess.Popen([sys.executable, "-m", "cnnc", "infer", path, picture(), "--provider", "cpu"])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 60
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
    child = Path(f"/proc/{found[0]}")
    while processor_time(child) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while child.exists() and processor_time(child) > 0:
        assert time.monotonic() < deadline, "the model's process has outlived the command"
        time.sleep(0.05)


def processor_time(process):
    """The seconds that a process has computed; 0 where there is no such process any more, or nobody has buried it."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[11]) / os.sysconf("SC_CLK_TCK")


def test_a_model_without_outputs(save):
    model = linear()
    del model.graph.output[:]
    with pytest.raises(CnncError, match=r"E502.*it has no outputs"):
        load_model(save(model), "cpu")
    with pytest.raises(CnncError, match=r"E502.*its contract names 'y', which is not in its graph"):
        load_model(save(model, contract()), "cpu")


def test_notes_cannot_move_the_terminals_cursor():
    assert "\x1b" not in Result("p.png", (Prediction(0, None, 1.0),), "cpu", 1.0, ("a \x1b[2J",)).as_text()


def test_a_folder_with_a_bad_file_among_good_ones(save, picture, tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("b.png", "a.JPG", ".hidden.png"):
        picture(name=f"folder/{name}")
    (tmp_path / "folder" / "c.png").write_text("text")
    (tmp_path / "folder" / "notes.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / "more.png").mkdir()
    with load_model(save(linear(), contract()), "cpu") as model:
        found = list(infer_many(model, [tmp_path / "folder", tmp_path / "none.png", tmp_path / "empty", picture()]))
    names = [os.path.basename(one.image) if isinstance(one, Result) else one.error.diagnostics[0].code for one in found]
    bad = Code.PICTURE_UNREADABLE
    assert names == ["a.JPG", "b.png", bad, bad, bad, "p.png"]
    assert {one.as_json().keys() >= found[0].as_json().keys() for one in found} == {True}
    assert found[3].as_json()["predictions"] == ()
    assert found[3].as_json()["image"] == str(tmp_path / "none.png")
    assert "no such file" in found[3].as_json()["diagnostics"][0]["message"]


@pytest.mark.parametrize("about", [None, contract()])
def test_a_provider_that_cannot_run(save, about):
    program = """
import sys
from cnnc.diagnostics import CnncError
from cnnc.inference.predict import load_model
with load_model(sys.argv[1], "auto") as model:
    told = sum(note.startswith("provider cpu: ") for note in model.notes)
    print(model.runner.choice.name, told == bool(model.runner.choice.reason))
try:
    load_model(sys.argv[1], "cuda")
except CnncError as error:
    print(error.diagnostics[0].code)
"""
    no_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # the driver reads it once a process
    command = [sys.executable, "-c", program, save(linear(), about)]
    assert subprocess.run(command, env=no_gpu, capture_output=True, text=True, check=True).stdout == "cpu True\nE506\n"


@pytest.fixture
def cuda_is_found(monkeypatch):
    """Choose CUDA, as on a machine with a driver; the test says what onnxruntime does then."""
    providers = ("CUDAExecutionProvider", "CPUExecutionProvider")

    def choose(wanted):
        return Choice("cuda", providers, "a CUDA device is available", asked=wanted == "cuda")

    monkeypatch.setattr(session, "choose", choose)
    load = onnxruntime.InferenceSession

    def fake(on_cuda):
        def open_cuda(*model, providers, **more):
            on_cpu = providers == ["CPUExecutionProvider"]
            return load(*model, providers=providers, **more) if on_cpu else on_cuda()

        monkeypatch.setattr(onnxruntime, "InferenceSession", open_cuda)

    return fake


def test_a_model_runs_on_the_cpu_if_cuda_fails_unless_cuda_is_requested(save, picture, cuda_is_found):
    path = save(linear(), contract())

    def fails():
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : CUDA out of memory")

    on_cpu = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    for behaviour, reason in ((fails, "CUDA out of memory"), (lambda: on_cpu, "cannot load its CUDAExecutionProvider")):
        cuda_is_found(behaviour)
        with load_model(path, "auto") as model:
            assert [note for note in model.notes if note.startswith("provider cpu: ") and reason in note]
            assert infer(model, picture()).predictions[0].label == "coat"
        with pytest.raises(CnncError, match=f"E506.*the provider cuda cannot run here: .*{reason}"):
            load_model(path, "cuda")


@pytest.mark.parametrize("about", [None, contract(shape=(1, None, None), labels=None)])
def test_a_run_that_fails_is_an_error_of_the_picture_alone(save, picture, about):
    """A reshape to one row of nine fits one size of pictures, which onnxruntime only finds when it runs."""
    nodes = helper.make_node("Reshape", ["image", "row"], ["y"])
    model = model_of(nodes, weights={"row": np.array([1, 9], np.int64)}, image=(1, 1, "H", "W"), output=(1, "C"))
    pictures = [picture(size=(4, 4), name="bad.png"), picture(size=(3, 3), name="good.png")]
    with load_model(save(model, about), "cpu") as loaded:
        bad, good = infer_many(loaded, map(str, pictures), 3)
    assert isinstance(bad, Failed)
    assert bad.error.diagnostics[0].code == Code.MODEL_FAILED
    assert "onnxruntime could not run the model: " in bad.error.diagnostics[0].message
    assert len(good.predictions) == 3


def test_nothing_but_results_comes_out(save, picture, capfd):
    predict(save(linear()), picture())
    predict(save(linear(), contract()), picture())
    with pytest.raises(CnncError):
        load_model(save(model_of(helper.make_node("Foo", ["image"], ["y"])), contract()))
    assert capfd.readouterr() == ("", "")


def test_nothing_heavy_is_imported(save, picture):
    program = """
import sys
from cnnc.inference.predict import infer, load_model
at_import = set(sys.modules)
with load_model(sys.argv[1], "cpu") as model:
    infer(model, sys.argv[2])
heavy = {"torch", "onnx", "networkx", "pydantic", "yaml", "rich", "typer"}
print(sorted(heavy & set(sys.modules)), "onnxruntime" in at_import)
"""
    path = save(linear(), contract())
    command = [sys.executable, "-c", program, path, picture()]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[] False\n"
