"""Every task of the table: it learns with each of its losses, resumes bit for bit, and names its metrics."""

import io
import json
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cnnc.data.dataset import IGNORED
from cnnc.diagnostics import CnncError
from cnnc.train import task_losses
from cnnc.train.loss import spread
from cnnc.train.tasks import TASKS
from tests.data.test_shards import write

CORNERS = [(0, 0), (0, 6), (6, 0), (6, 6)]


def scenes(count, seed):
    """Noise with a bright square in some corners; and which, the masks of the squares, and the middle of the first."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 80, (count, 12, 12), dtype=np.uint8)
    lit = (rng.random((count, 4)) < 0.4).astype(np.float32)
    lit[np.arange(count), rng.integers(0, 4, count)] = 1
    masks = np.zeros((count, 12, 12), np.uint8)
    for image, mask, each in zip(images, masks, lit, strict=True):
        for (row, column), on in zip(CORNERS, each, strict=True):
            part = slice(row + 1, row + 5), slice(column + 1, column + 5)
            image[part] += np.uint8(150 * on)
            mask[part] = on
    masks[rng.random(masks.shape) < 0.1] = IGNORED
    middles = np.array([np.mean([CORNERS[i] for i in np.flatnonzero(each)], 0) / 6 for each in lit], np.float32)
    return images, {
        "classes": lit.argmax(1),
        "probabilities": lit,
        "segmentation": masks,
        "vector": middles,
    }


@pytest.fixture
def data(tmp_path):
    def write(kind):
        (images, labels), (tests, answers) = scenes(64, 1), scenes(32, 2)
        path = tmp_path / f"{kind}.npz"
        np.savez(path, x_train=images, y_train=labels[kind], x_test=tests, y_test=answers[kind])
        return str(path)

    return write


def network(kind, **recipe):
    head = {
        "segmentation": [{"conv": {"name": "head", "out": 2, "kernel": 3, "padding": 1}}],
        "vector": [{"flatten": {}}, {"linear": {"name": "head", "out": 2}}],
    }.get(kind, [{"flatten": {}}, {"linear": {"name": "head", "out": 4}}])
    stem = [{"conv": {"out": 4, "kernel": 3, "padding": 1, "act": "relu"}}]
    stem += [] if kind == "segmentation" else [{"max_pool": {"kernel": 3}}]
    return {
        "cnnc": 1,
        "name": "net",
        "input": {"image": [1, 12, 12]},
        "nodes": [*stem, *head],
        "outputs": {"out": {"from": "head", "as": kind}},
        "train": {"batch": 16, "epochs": 8, "lr": 0.02, "optimizer": "adamw", "seed": 1, **recipe},
    }


LEARNED = {"classes": 0.9, "probabilities": 0.95, "segmentation": 0.9, "vector": -0.1}
ROWS = [(kind, loss) for kind, task in TASKS.items() for loss in task.losses]


def test_the_table_is_walked():
    assert LEARNED.keys() == TASKS.keys()


@pytest.mark.parametrize(("kind", "loss"), ROWS)
def test_a_task_learns_with_each_of_its_losses(trained, data, kind, loss):
    run = trained(network(kind), data=data(kind), loss=loss, epochs=12)
    assert run.best.merit()[0] > LEARNED[kind]
    about = json.loads((run.folder / "run.json").read_text())
    names = TASKS[kind].metrics([1.0] * TASKS[kind].size(2), 1)
    assert about["task"] == kind
    assert set(about["best"]) >= {f"{part}_{name}" for part in ("train", "test") for name in ("loss", *names)}
    assert run.best.merit() == max(each.merit() for each in run.records)


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_that_is_stopped_goes_on_bit_for_bit(trained, data, stop_at, kind):
    source, path = network(kind, augment=["flip", "crop"], epochs=3, batch=9), data(kind)
    whole = trained(source, out="whole", data=path)
    stop_at(11)
    assert trained(source, out="cut", data=path).signal == signal.SIGTERM
    again = trained(source, out="cut", data=path, resume=True)
    one, two = (load_file(run.folder / "last.safetensors") for run in (whole, again))
    assert all(one[key].equal(two[key]) for key in one)
    assert [each.train for each in whole.records] == [each.train for each in again.records]


@pytest.mark.parametrize("kind", TASKS)
def test_two_halves_of_a_batch_add_up_to_it(kind):
    """Losses and sums add up over examples, and so over processes."""
    task, (_, labels) = TASKS[kind], scenes(6, 3)
    targets = torch.from_numpy(labels[kind])
    torch.manual_seed(0)
    scores = torch.randn((6, 2, 12, 12) if kind == "segmentation" else (6, 2) if kind == "vector" else (6, 4))
    for function in (*(lambda s, t, f=f: f(s, t, 0.0) for f in task.losses.values()), task.sums):
        halves = function(scores[:2], targets[:2]) + function(scores[2:], targets[2:])
        torch.testing.assert_close(function(scores, targets), halves)


def test_the_overlap_is_that_of_the_definition():
    truth = torch.tensor([[[0, 1, 1, 2, IGNORED]]], dtype=torch.uint8)
    found = torch.tensor([[[0, 1, 0, 2, 1]]])
    scores = torch.nn.functional.one_hot(found, 4).movedim(-1, 1).float()
    sums = TASKS["segmentation"].sums(scores, truth).tolist()
    assert TASKS["segmentation"].metrics(sums, 1) == {"mean_iou": (1 / 2 + 1 / 2 + 1) / 3, "pixel_accuracy": 3 / 4}


def test_pixels_that_do_not_count_change_no_loss():
    truth = torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)
    truth[:, 2:] = IGNORED
    scores = torch.randn(2, 3, 4, 4)
    cropped = torch.nn.functional.cross_entropy(scores[:, :, :2], truth[:, :2].long())
    assert task_losses.pixel_cross_entropy(scores, truth, 0.0) == pytest.approx(2 * cropped.item())
    assert task_losses.dice(scores, truth, 0.0) == pytest.approx(
        task_losses.dice(scores[:, :, :2], truth[:, :2], 0.0).item()
    )


def test_the_scores_of_a_smaller_output_spread_over_the_pixels_that_it_sees():
    scores, masks = torch.arange(6.0).reshape(1, 1, 2, 3), torch.zeros(1, 8, 6, dtype=torch.uint8)
    found, kept = spread(scores, masks, (2.0, 2.0))
    assert found[0, 0].tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    assert kept.shape == (1, 4, 6)


def test_outputs_in_every_form_give_the_loss_of_their_logits():
    logits, truth = torch.randn(3, 1, 2, 2), torch.randint(0, 2, (3, 2, 2), dtype=torch.uint8)
    task, loss = TASKS["segmentation"], task_losses.pixel_cross_entropy
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], truth.float())
    for values, form in ((logits, "logits"), (logits.sigmoid(), "probabilities")):
        assert loss(task.scores(values, form), truth, 0.0) == pytest.approx(3 * entropy.item(), rel=1e-4)
    labels = TASKS["probabilities"].scores(logits.sigmoid(), "probabilities")
    torch.testing.assert_close(labels, logits.flatten(1), rtol=1e-4, atol=1e-5)


def outcome(trained, data, source, **given):
    with pytest.raises(CnncError) as caught:
        trained(source, data=data, **given)
    (found,) = caught.value.diagnostics
    return f"{found.code.value} {found.message}; {found.help}"


def test_what_does_not_fit_the_task_is_refused(trained, data):
    picture = {**network("segmentation"), "outputs": {"out": {"from": "head", "as": "raw"}}}
    assert "cannot train the output `out` of `net`, a raw output of 2×12×12" in outcome(trained, "x", picture)
    assert "`loss` of the recipe is `dice`, but the output is trained as `vector`; the losses of vector are mse" in (
        outcome(trained, "x", network("vector", loss="dice"))
    )
    assert "E203 `label_smoothing` of the recipe is 0.1, but the output is trained by `mse`" in outcome(
        trained, "x", network("vector", label_smoothing=0.1)
    )
    assert "the array `y_train` is float32 [64, 2]; labels must be integers" in outcome(
        trained, data("vector"), network("classes")
    )
    several = outcome(trained, data("probabilities"), network("vector"))
    assert "E510 the output `out` is 2, but probabilities.npz has 4 numbers" in several


def test_shards_are_streamed_and_resumed_bit_for_bit(trained, stop_at, tmp_path):
    images, labels = scenes(60, 1)
    for shard in range(4):
        members = []
        for number in range(15 * shard, 15 * (shard + 1)):
            file = io.BytesIO()
            Image.fromarray(images[number]).save(file, "PNG")
            members += [(f"{number}.png", file.getvalue()), (f"{number}.cls", str(labels["classes"][number]))]
        write(tmp_path / "set" / f"train-{shard}.tar", *members)
    source = network("classes", epochs=2, val_split=0.2, augment=["crop"], shuffle_buffer=20)
    whole = trained(source, out="whole", data=str(tmp_path / "set"))
    stop_at(5)
    assert trained(source, out="cut", data=str(tmp_path / "set")).signal == signal.SIGTERM
    again = trained(source, out="cut", data=str(tmp_path / "set"), resume=True)
    one, two = (load_file(run.folder / "last.safetensors") for run in (whole, again))
    assert all(one[key].equal(two[key]) for key in one)
    assert whole.records[-1].train_loss < whole.records[0].train_loss
