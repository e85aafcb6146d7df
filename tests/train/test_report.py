"""The report of a run and the list of runs, from real runs on the command line."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import cnnc
from cnnc.train.monitor import tested
from cnnc.train.report import page, run_folder
from cnnc.train.report.charts import MOST, Series, chart, thinned
from cnnc.train.report.confusion import matrix, worst
from tests.command import run_command
from tests.train.conftest import draw, spec

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
        assert (done.exit_code, done.stderr) == (0, ""), done.stderr
        assert "note" not in done.stdout
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
    assert not re.search(r"(src|href)=\"(?!data:image/(png|jpeg);base64,|#)|url\(|@import|https?:", text)
    labels = [each["aria-label"] for each in shown.all("svg")]
    starts = ["Loss", "Accuracy, best 0.25 in epoch 1", "Learning rate", "Examples per second"]
    assert [each.partition(" by epoch. ")[0] for each in labels] == starts
    assert "train: " in labels[0]
    assert "test: " in labels[0]
    assert {each["id"] for each in shown.all("section")} >= {"curves", "confusion-matrix", "recipe", "network"}
    assert "1e-06" in {data for tag, data in shown.texts if tag == "td"}
    assert all(each["alt"] for each in shown.all("img"))
    assert "<script>alert" not in text
    assert cnnc.load(folder / "spec.yaml").name == "net"


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
    import base64
    from io import BytesIO

    from PIL import Image

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
    about = json.loads((runs / "bad" / "net" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**about, "epochs_done": 0, "best": None, "sha256": None}))
    assert "No epoch is complete yet" in page.draw(run_folder.read(tmp_path))
