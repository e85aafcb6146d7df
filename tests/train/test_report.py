"""The report of a run and the list of runs, from real runs on the command line."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import cnnc
from cnnc.data.dataset import DecodedSplit, Files
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError
from cnnc.train.answers import ClassAnswers, record
from cnnc.train.batches import source
from cnnc.train.monitor import tested
from cnnc.train.report import page, run_folder
from cnnc.train.report.charts import MOST, Series, chart, thinned
from cnnc.train.report.confusion import matrix, worst
from cnnc.train.run_file import read_run, write_run
from cnnc.train.running import lock_of, running
from tests.command import run_command
from tests.train.conftest import draw, spec

ROOT = Path(__file__).parents[2]
NAMES = ["<script>alert(1)</script>", "b & c", "d", "e"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one network: one that learns, one that hardly does, in the folder that is returned."""
    folder = tmp_path_factory.mktemp("runs")
    (images, labels), (tests, answers) = draw(70, 1), draw(40, 2)
    data = folder / "squares.npz"
    np.savez(data, x_train=images, y_train=labels, x_test=tests, y_test=answers, classes=np.array(NAMES))
    (folder / "net.json").write_text(json.dumps(spec(dropout=0, batch=16, seed=1)))
    for out, options in (("good", ["--epochs", 2]), ("bad", ["--epochs", 1, "--lr", 1e-6])):
        done = run_command("train", folder / "net.json", "--data", data, "-o", folder / out, *options)
        assert done.exit_code == 0, done.stderr
        assert "not up to date" not in done.stdout
        assert "not drawn" not in done.stderr
    return folder


class Page(HTMLParser):
    """The elements of a page: tags, attributes by tag, texts by tag."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attributes for each, attributes in self.found if each == tag]


def test_a_run_writes_its_report(runs):
    folder = runs / "bad" / "net"
    text = (folder / "report.html").read_text()
    shown = Page(text)
    assert not re.search(r"(src|href)=\"(?!data:image/(png|jpeg|svg\+xml);base64,|#)|url\(|@import|https?:", text)
    labels = [each["aria-label"] for each in shown.all("svg")]
    starts = ["Loss", "Accuracy, best 0.25 in epoch 1", "Macro-F1", "Learning rate", "Examples per second"]
    assert [each.partition(" by epoch. ")[0] for each in labels] == starts
    assert "train: " in labels[0]
    assert "test: " in labels[0]
    assert {each["id"] for each in shown.all("section")} >= {"curves", "confusion-matrix", "recipe", "network"}
    assert "1e-06" in {data for tag, data in shown.texts if tag == "td"}
    assert all(each["alt"] for each in shown.all("img"))
    assert "<script>alert" not in text
    assert cnnc.load(folder / "spec.yaml").name == "net"
    assert (folder / "network.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("name", ["good", "bad"])
def test_the_matrix_and_the_pictures_are_those_of_the_best_weights(runs, name):
    run = run_folder.read(runs / name / "net")
    assert run.tested.classes == NAMES
    assert run.tested.epoch == run.best["epoch"]
    assert [sum(row) for row in run.tested.matrix] == [10] * 4
    right = sum(run.tested.matrix[at][at] for at in range(4))
    assert right / 40 == pytest.approx(run.score)
    assert len(run.tested.worst) == min(16, 40 - right)
    sure = [each.label_probability for each in run.tested.worst]
    assert sure == sorted(sure)
    assert all(each.label != each.predicted for each in run.tested.worst)


def test_a_picture_of_the_report_is_that_of_the_data(runs):
    found = run_folder.read(runs / "bad" / "net").tested.worst[0]
    images, labels = draw(40, 2)
    with Image.open(BytesIO(base64.b64decode(found.picture.partition(",")[2]))) as picture:
        assert (np.asarray(picture) == images[int(found.name), :, :, 0]).all()
    assert labels[int(found.name)] == found.label


def test_a_report_of_many_classes_and_epochs_stays_small():
    size = 100
    rows = [[90 * (at == to) + (to == (at + 1) % size) for to in range(size)] for at in range(size)]
    many = tested.Tested(
        1, [f"class {at}" for at in range(size)], rows, [tested.Mistake("a.png", 0, 1, 0.1, 0.9, None)]
    )
    assert matrix(many).count("<tr>") == 31
    assert "30 of 100 pairs" in matrix(many)
    assert "a.png" in worst(many)
    wave = [(float(at), float(at == 777)) for at in range(10_000)]
    assert len(thinned(wave)) <= MOST + 1
    assert (777.0, 1.0) in thinned(wave)
    assert len(chart("Loss", [Series("train", wave)], 10_000, from_zero=True)) < 12_000


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [-1.0, -1.0], [1e-9, 2e-9], [float("nan"), 1.0], [1e12, 1.0]])
def test_charts_of_all_values(values):
    points = [(float(at), value) for at, value in enumerate(values, 1)]
    drawn = chart("Loss", [Series("train", points)], len(points), from_zero=False)
    assert "nan" not in drawn
    numbers = [float(each) for each in re.findall(r'cy="(.*?)"', drawn)]
    assert all(0 <= each <= 250 for each in numbers)


def test_a_report_before_the_first_epoch(runs, tmp_path):
    about = read_run(runs / "bad" / "net" / "run.json")
    write_run(tmp_path / "run.json", {**about, "epochs_done": 0, "best": None})
    shutil.copy(runs / "bad" / "net" / "metrics.jsonl", tmp_path)  # of a session that was killed before its checkpoint
    assert "No epoch is complete yet" in page.draw(run_folder.read(tmp_path))


def listed(*words):
    done = run_command("runs", *words)
    assert done.exit_code == 0, done.stderr
    return done


def test_runs_stand_side_by_side(runs):
    lines = listed(runs, "--sort", "best").stdout.splitlines()
    assert lines[0].split() == ["run", "state", "epochs", "best", "accuracy", "in", "epoch", "time", "lr"]
    assert [line.split()[0] for line in lines[1:]] == ["good/net", "bad/net"]
    assert "finished     1/1         0.2500" in lines[2]
    assert lines[2].endswith("  1e-06")
    assert [each.split()[0] for each in listed(runs, "--reverse").stdout.splitlines()[1:]] == ["good/net", "bad/net"]
    found = json.loads(listed(runs, "--format", "json", "--sort", "epochs").stdout)
    assert [each["run"] for each in found["runs"]] == ["good/net", "bad/net"]
    assert found["differing"] == ["lr"]
    assert found["runs"][0]["recipe"]["batch"] == 16
    assert found["runs"][1]["best"] == 0.25


def test_a_score_of_the_training_part_is_marked_and_ranks_behind(runs, tmp_path):
    for name, best in (("tested", 0.25), ("untested", None)):
        shutil.copytree(runs / "good" / "net", tmp_path / name)
        about = read_run(tmp_path / name / "run.json")
        write_run(
            tmp_path / name / "run.json",
            {**about, "best": {**about["best"], "train_accuracy": 0.75, "test_accuracy": best}},
        )
    lines = listed(tmp_path, "--sort", "best").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["tested", "untested"]
    assert "  train 0.7500  " in lines[2]
    assert "train" not in lines[1]
    found = json.loads(listed(tmp_path, "--format", "json").stdout)["runs"]
    assert [(each["best"], each["tested"]) for each in found] == [(0.25, True), (0.75, False)]


def test_the_states_of_runs(runs, tmp_path, monkeypatch):
    folder = tmp_path / "cut"
    shutil.copytree(runs / "good" / "net", folder)
    about = read_run(folder / "run.json")
    write_run(folder / "run.json", {**about, "recipe": {**about["recipe"], "epochs": 20}})
    assert listed(tmp_path).stdout.splitlines()[1].split()[:3] == ["cut", "stopped", "2/20"]
    with running(folder):
        with pytest.raises(CnncError, match=r"E405.*another training is running"), running(folder):
            raise AssertionError("it has begun")
        assert json.loads(listed(folder, "--format", "json").stdout)["runs"][0]["state"] == "running"
    assert not lock_of(folder).exists()
    monkeypatch.chdir(folder)
    assert lock_of(Path()) == lock_of(folder)
    patience = {**about["recipe"], "epochs": 20, "patience": 1}
    write_run(folder / "run.json", {**about, "recipe": patience, "best": {**about["best"], "epoch": 1}})
    assert "finished" in listed(tmp_path).stdout


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("run.json", "{", "run.json: it is damaged or was changed"),
        ("run.json", None, "run.json: it is missing"),
        ("metrics.jsonl", '{"epoch"', "metrics.jsonl: it is not what cnnc wrote"),
        ("metrics.jsonl", "[]", "metrics.jsonl: it is not what cnnc wrote"),
        ("metrics.jsonl", '{"epoch": 1, "seconds": 1, "lr": "a"}', "metrics.jsonl: it is not what cnnc wrote"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_are_listed(runs, tmp_path, file, content, says):
    for name in ("one", "two"):
        shutil.copytree(runs / "good" / "net", tmp_path / name)
    (tmp_path / "two" / file).unlink()
    if content is not None:
        (tmp_path / "two" / file).write_text(content)
    done = listed(tmp_path)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert says in json.loads(listed(tmp_path, "--format", "json").stdout)["damaged"][0]
    alone = run_command("runs", tmp_path / "two", "--report")
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert alone.stderr.startswith("error[E518]: cannot read ")


def test_folders_without_runs(tmp_path):
    done = listed(tmp_path)
    assert (done.stdout, done.stderr.startswith("note: there is no run in")) == ("", True)
    missing = run_command("runs", tmp_path / "nowhere")
    assert (missing.exit_code, "there is no such folder" in missing.stderr) == (1, True)


def test_a_report_is_drawn_again(runs, tmp_path):
    shutil.copytree(runs / "good" / "net", tmp_path / "net")
    before = (tmp_path / "net" / "report.html").read_text()
    (tmp_path / "net" / "report.html").unlink()
    assert listed(tmp_path, "--report").stdout == f"{tmp_path / 'net' / 'report.html'}\n"
    after = (tmp_path / "net" / "report.html").read_text()
    assert before.partition("<footer")[0] == after.partition("<footer")[0]


def test_the_list_needs_no_framework(runs):
    code = "import sys; from cnnc.cli.app import answer; answer(sys.argv[1:]); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert not {"torch", "numpy", "matplotlib", "plotille", "rich", "networkx", "pydantic"} & {*done.stdout.split()}


def test_a_resumed_run_has_a_report_of_all_epochs(runs, tmp_path):
    shutil.copytree(runs / "good" / "net", tmp_path / "net")
    options = ["--data", runs / "squares.npz", "-o", tmp_path, "--resume", "--epochs", 3, "--live"]
    done = run_command("train", runs / "net.json", *options)
    recipe, epoch, *_ = done.stdout.splitlines()
    assert recipe.startswith("train: {data: ")
    assert epoch.startswith("epoch 3/3  ")  # a line, since this is no terminal
    text = (tmp_path / "net" / "report.html").read_text()
    assert [each["aria-label"].count("in epoch 3") > 0 for each in Page(text).all("svg")] == [True] * 5
    assert text.count('<th scope="row" class="number">') == 3


def test_a_summary_that_was_damaged_comes_back(runs, tmp_path):
    shutil.copytree(runs / "good" / "net", tmp_path / "net")
    (tmp_path / "net" / "run.json").unlink()
    (tmp_path / "net" / "metrics.jsonl").write_text("[]")
    done = run_command("train", runs / "net.json", "--data", runs / "squares.npz", "-o", tmp_path, "--resume")
    assert done.exit_code == 0, done.stderr
    lists = [listed(folder).stdout for folder in (tmp_path, runs / "good")]
    assert lists[0] == lists[1]


def test_two_trainings_do_not_share_a_folder(runs, tmp_path):
    (tmp_path / "net").mkdir()
    with running(tmp_path / "net"):
        done = run_command("train", runs / "net.json", "--data", runs / "squares.npz", "-o", tmp_path)
    assert (done.exit_code, "E405" in done.stderr) == (1, True)
    assert f"cannot write {tmp_path / 'net'}: another training is running in it" in done.stderr


@pytest.mark.parametrize(
    "change", [{"matrix": [[1]]}, {"matrix": [["a"] * 4] * 4}, {"worst": [{}]}, {"epoch": 1}, {"x": 1}]
)
def test_a_damaged_record_of_a_test_is_left_out(runs, tmp_path, change):
    plain = json.loads((runs / "bad" / "net" / "test.json").read_text())
    (tmp_path / "test.json").write_text(json.dumps({**plain, **change}))
    assert (tested.read(tmp_path) is not None) == (change == {"epoch": 1})


def test_a_report_names_the_metrics_of_the_task(runs, tmp_path):
    about = read_run(runs / "bad" / "net" / "run.json")
    scores = {"train_loss": 1, "train_mae": 2.5, "train_mean_iou": 0.5, "test_loss": None, "test_mae": None}
    line = {"epoch": 1, **scores, "test_mean_iou": None, "lr": 0.1, "seconds": 1, "examples_per_second": 70}
    write_run(tmp_path / "run.json", {**about, "best": line})
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line))
    labels = [each["aria-label"] for each in Page(page.draw(run_folder.read(tmp_path))).all("svg")]
    starts = ["Loss", "MAE, best 2.5 in epoch 1", "Mean IoU"]
    assert [each.partition(" by epoch")[0] for each in labels[:3]] == starts
    assert "test" not in labels[1]
    write_run(tmp_path / "run.json", {**about, "best": line, "recipe": {**about["recipe"], "best": "loss"}})
    assert run_folder.read(tmp_path).metric == "loss"


def test_a_picture_file_is_named_by_its_path(tmp_path):
    path = tmp_path / "one.png"
    Image.fromarray(draw(1, 1)[0][0, :, :, 0]).save(path)
    files = Files((path,), np.zeros(1, np.int64))
    pictures = source(files, Preprocess(cnnc.load(spec()).inputs[0]), torch.device("cpu"))
    name, picture = pictures.example(0)
    assert name == str(path)
    assert (picture[0].numpy() == draw(1, 1)[0][0, :, :, 0]).all()
    path.write_bytes(b"")
    assert pictures.example(0) == (str(path), None)


@pytest.mark.parametrize("mode", ["rgb", "bgr"])
def test_pictures_of_the_report_have_their_own_colours(mode):
    pixels = np.zeros((1, 12, 12, 3), np.uint8) + np.array([250, 100, 0], np.uint8)
    preprocess = Preprocess(cnnc.load({**spec(), "input": {"image": {"shape": [3, 12, 12], "mode": mode}}}).inputs[0])
    pictures = source(DecodedSplit(pixels, np.zeros(1, np.int64)), preprocess, torch.device("cpu"))
    answers = ClassAnswers()
    answers.add(torch.eye(2)[1:], torch.tensor([0]))
    (mistake,) = record(1, [answers.rows()], None, pictures, preprocess).worst
    with Image.open(BytesIO(base64.b64decode(mistake.picture.partition(",")[2]))) as picture:
        assert picture.getpixel((0, 0)) == (250, 100, 0)


@pytest.mark.parametrize(("shape", "kind", "size"), [((1, 28, 28), "png", (28, 28)), ((3, 200, 100), "jpeg", (48, 96))])
def test_pictures_of_the_report_are_small(shape, kind, size):
    scores, labels = torch.eye(2), torch.tensor([1, 1])
    answers = ClassAnswers()
    answers.add(scores, labels)
    answers.add(torch.zeros(2, 2, 3), labels)  # not classes of whole pictures
    pictures = SimpleNamespace(example=lambda index: ("a", torch.zeros(shape, dtype=torch.uint8)))
    preprocess = Preprocess(cnnc.load(spec()).inputs[0])
    found = record(1, [answers.rows()], None, pictures, preprocess)
    assert found.matrix == [[0, 0], [1, 1]]
    head, _, data = found.worst[0].picture.partition(",")
    assert head == f"data:image/{kind};base64"
    with Image.open(BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == size
    assert record(1, [ClassAnswers().rows()], None, pictures, preprocess) is None
