"""Many pictures on several threads: the same numbers in the same order, in bounded memory."""

import platform
import threading
import time
import warnings
from functools import partialmethod

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from cnnc.data.pictures import decoders, open_picture
from cnnc.inference import child, session
from cnnc.inference.pipeline import AHEAD, in_order
from cnnc.inference.predict import infer, infer_many, load_model
from cnnc.inference.results import Failed, Result
from tests.onnx_files import contract, dies_of_white, linear, means, model_of


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_results_come_in_the_order_of_the_items(batch, workers):
    def work(numbers):
        time.sleep(0.002 * (numbers[0] % 5))
        return [-number for number in numbers]

    assert [*in_order(range(50), work, batch=batch, workers=workers)] == [-number for number in range(50)]


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (4, 1), (1, 3), (4, 3)])
def test_few_items_are_taken_ahead_of_the_results(batch, workers):
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(items(), lambda numbers: numbers, batch=batch, workers=workers)
    for number in range(100):
        assert next(results) == number
    results.close()
    assert len(taken) <= 100 + batch * (AHEAD * workers + 1)


def test_an_exception_of_the_work_or_the_items_reaches_the_caller_and_ends_the_threads():
    def broken():
        yield from range(5)
        raise KeyError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(in_order(range(100), lambda numbers: [1 / (number - 7) for number in numbers], workers=3))
    with pytest.raises(KeyError):
        list(in_order(broken(), lambda numbers: numbers, workers=3))
    assert threading.active_count() == before


def test_a_caller_that_stops_early_does_not_wait_for_the_rest():
    done = []

    def work(numbers):
        time.sleep(0.01)
        done.extend(numbers)
        return numbers

    results = in_order(range(1000), work, workers=2)
    assert next(results) == 0
    results.close()
    assert len(done) <= AHEAD * 2 + 2


def test_threads_show_no_warnings_of_the_decoder(tmp_path, monkeypatch):
    """Each decoder silences warnings for itself: where two overlap, the first to end would end the other's silence."""
    Image.new("L", (100, 100)).save(tmp_path / "p.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)  # every picture is worth a warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with decoders(4) as threads:
            list(threads.map(lambda _: open_picture(tmp_path / "p.png"), range(400)))


@pytest.fixture
def photographs(tmp_path):
    """Pictures of two sizes in turns, and two files that are none."""
    random = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(24):
        size = (9, 7, 3) if number % 3 else (6, 8, 3)
        Image.fromarray(random.integers(0, 256, size, np.uint8)).save(folder / f"{number:02}.png")
    (folder / "05.png").write_bytes(b"no picture")
    (folder / "17.png").write_bytes(b"")
    return folder


def essence(results):
    """What does not depend on the clock."""
    return [{**each.as_json(), "milliseconds": None} for each in results]


def one_by_one(path, folder):
    """The results of `infer`, for one picture after the other."""
    with load_model(path, "cpu") as model:
        good = [each for each in sorted(folder.iterdir()) if each.name not in ("05.png", "17.png")]
        return {str(each): infer(model, each) for each in good}


OPEN = contract(shape=(3, None, None), mode="rgb", labels=None, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


@pytest.mark.parametrize("about", [OPEN, None])
@pytest.mark.parametrize(
    ("batch", "workers", "threads"), [(1, 1, None), (1, 4, 1), (5, 1, 1), (5, 3, 2), (100, 1, None)]
)
def test_results_are_those_of_one_picture_at_a_time(save, photographs, about, batch, workers, threads):
    path = save(means(), about)
    alone = one_by_one(path, photographs)
    with load_model(path, "cpu", threads=threads) as model:
        found = [*infer_many(model, [photographs], batch=batch, workers=workers)]
    assert [each.image for each in found] == [str(each) for each in sorted(photographs.iterdir())]
    assert [each.image[-6:] for each in found if isinstance(each, Failed)] == ["05.png", "17.png"]
    good = [each for each in found if isinstance(each, Result)]
    assert essence(good) == essence(alone.values())


def test_batches_are_runs_of_pictures_of_one_size(save, photographs, monkeypatch):
    with load_model(save(means(), OPEN), "cpu") as model:
        sizes, run = [], model.runner.run
        monkeypatch.setattr(
            model.runner, "run", lambda feeds, targets: sizes.append(feeds["image"].shape) or run(feeds, targets)
        )
        list(infer_many(model, [photographs], batch=12))
    assert sizes == [(4, 3, 6, 8), (7, 3, 9, 7), (4, 3, 6, 8), (7, 3, 9, 7)]


def test_a_model_of_batch_one_gets_one_picture_at_a_time(save, photographs):
    pool = helper.make_node("GlobalAveragePool", ["image"], ["y"])
    path = save(model_of(pool, image=(1, 3, "H", "W"), output=(1, 3, 1, 1)), OPEN)
    with load_model(path, "cpu") as model:
        found = [*infer_many(model, [photographs], batch=8, workers=2)]
    assert sum(isinstance(each, Result) for each in found) == 22


def test_of_a_batch_that_fails_only_the_picture_at_fault_fails(save, tmp_path):
    """A reshape to [N, 4] of a picture that is larger fails."""
    folder = tmp_path / "f"
    folder.mkdir()
    for number in range(6):
        Image.new("L", (2, 2), 255 if number == 3 else number).save(folder / f"{number}.png")
    with load_model(save(fails_on_white(), contract(labels=None)), "cpu") as model:
        found = [*infer_many(model, [folder], batch=4)]
    assert [isinstance(each, Failed) for each in found] == [False, False, False, True, False, False]


def fails_on_white():
    """Gathers at the index 1 of one row, where a pixel is white."""
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["max"], keepdims=0),
        helper.make_node("Cast", ["max"], ["white"], to=7),
        helper.make_node("Gather", ["one", "white"], ["none"]),
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Add", ["flat", "none"], ["y"]),
    ]
    return model_of(*nodes, weights={"one": np.zeros(1, "f4")}, output=("N", 4))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors do not trap here")
@pytest.mark.parametrize(("batch", "workers"), [(1, 3), (4, 1), (4, 3)])
def test_a_model_that_kills_its_process_fails_for_that_picture_alone(save, tmp_path, batch, workers):
    folder = tmp_path / "f"
    folder.mkdir()
    for number in range(10):
        Image.new("L", (2, 2), 255 if number in (3, 4) else 0).save(folder / f"{number}.png")
    with load_model(save(dies_of_white()), "cpu") as model:
        found = [*infer_many(model, [folder], batch=batch, workers=workers)]
    assert [each.image[-5:] for each in found if isinstance(each, Failed)] == ["3.png", "4.png"]


@pytest.mark.parametrize("option", ["top_k", "batch", "workers"])
def test_numbers_below_one(save, option):
    with load_model(save(linear(), contract()), "cpu") as model, pytest.raises(ValueError, match=option):
        infer_many(model, [], **{option: 0})


@pytest.mark.parametrize(("about", "expected"), [(OPEN, 1), (None, None)])
def test_runs_at_once_have_a_thread_each_if_the_model_allows_them(save, monkeypatch, about, expected):
    seen = []
    for kind in (session.Session, child.Child):
        monkeypatch.setattr(kind, "__init__", partialmethod(record_threads, seen, kind.__init__))
    load_model(save(means(), about), "cpu", at_once=True).runner.close()
    load_model(save(means(), about), "cpu").runner.close()
    load_model(save(means(), about), "cpu", at_once=True, threads=2).runner.close()
    assert seen == [expected, None, 2]


def record_threads(self, seen, load, *words, **how):
    seen.append(how["threads"])
    load(self, *words, **how)
