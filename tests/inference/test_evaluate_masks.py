"""The scores of a segmentation on pictures with masks, against numbers computed here."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import cnnc
from cnnc import compiler
from cnnc.artifacts.contract import OutputContract
from cnnc.data.masks import Pair, find_pairs, prepare_mask, read_mask
from cnnc.data.placement import Framing, place
from cnnc.diagnostics import CnncError
from cnnc.inference import scorers
from cnnc.inference.evaluate_masks import evaluate_masks
from tests.command import run_command
from tests.onnx_files import RELU, contract, linear, model_of

RGB = model_of(RELU, image=("N", 3, "H", "W"), output=("N", 3, "H", "W"))
COLOURS = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)  # the network's class is the brightest colour


def save_mask(path, values, mode="P"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette([7] * 768)
    image.save(path)


@pytest.fixture
def data(tmp_path):
    """Three pictures of random classes, and masks in which some pixels differ or do not count."""
    rng = np.random.default_rng(0)
    truths, seen = [], []
    for at, size in enumerate([(4, 6), (4, 6), (5, 3)]):
        classes, truth = rng.integers(0, 3, size), rng.integers(0, 3, size)
        truth[rng.random(size) < 0.2] = 255
        path = tmp_path / "set" / "images" / ("deep" if at == 2 else "") / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLOURS[classes]).save(path)
        save_mask(tmp_path / "set" / "masks" / path.parent.name.replace("images", "") / f"{at}.png", truth)
        truths.append(truth.reshape(-1))
        seen.append(classes.reshape(-1))
    return tmp_path / "set", np.concatenate(truths), np.concatenate(seen)


def by_hand(truth, seen, classes=3):
    counts = truth != 255
    truth, seen = truth[counts], seen[counts]
    ious = [((truth == k) & (seen == k)).sum() / ((truth == k) | (seen == k)).sum() for k in range(classes)]
    return np.mean(ious), (truth == seen).mean(), ious


def test_the_scores_are_those_of_the_definition(save, data):
    folder, truth, seen = data
    mean_iou, accuracy, ious = by_hand(truth, seen)
    done = run_command("eval", save(RGB), "--data", folder, "--format", "json", "--device", "cpu")
    found = json.loads(done.stdout)
    assert found["mean_iou"] == pytest.approx(mean_iou)
    assert found["pixel_accuracy"] == pytest.approx(accuracy)
    assert [each["iou"] for each in found["classes"]] == pytest.approx(ious)
    assert [each["pixels"] for each in found["classes"]] == [(truth == k).sum() for k in range(3)]
    assert (found["examples"], found["pixels"], found["ignored"]) == (3, (truth != 255).sum(), (truth == 255).sum())
    assert list(found) == ["mean_iou", "pixel_accuracy", "examples", "pixels", "ignored", "skipped", "classes"]
    text = run_command("eval", save(RGB), "--data", folder / "images", "--masks", folder / "masks", "--device", "cpu")
    assert f"mean IoU {mean_iou:.4f}, pixel accuracy {accuracy:.4f}, 3 examples (cpu)" in text.stdout
    assert f"1      {ious[1]:.4f}" in text.stdout


SPEC = {
    "cnnc": 1,
    "name": "seg",
    "input": {"image": {"shape": [1, 12, 10], "resize": [14, 16], "crop": [12, 10]}},
    "labels": ["sky", "road", "car"],
    "nodes": [
        {"conv": {"out": 4, "kernel": 3, "padding": 1, "stride": 2, "act": "relu"}},
        {"conv": {"out": 3, "kernel": 1}},
    ],
}


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(1)
    for at in range(5):
        size = (int(rng.integers(9, 30)), int(rng.integers(9, 30)))
        path = tmp_path / "images" / f"{at}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(path)
        save_mask(tmp_path / "masks" / f"{at}.png", rng.choice([0, 1, 2, 255], size))
    return find_pairs(tmp_path)


def test_every_kind_of_file_scores_the_same_and_as_by_hand(pairs, tmp_path):
    """Masks go the way of their pictures: a pixel of the crop is compared with the output's pixel that covers it."""
    folder = compiler.build(SPEC, out=tmp_path / "build", seed=3).folder
    graph, module = compiler.load(SPEC), compiler.compile(SPEC, seed=3)
    results = [
        evaluate_masks(scorers.of_onnx(str(folder / "seg.onnx"), "cpu"), pairs),
        evaluate_masks(scorers.of_graph("seg", graph, module.state_dict(), "cpu"), pairs),
        evaluate_masks(scorers.of_torchscript(str(folder / "seg.pt"), compiler.load, "cpu"), pairs),
    ]
    truths, seen = [], []
    with scorers.of_onnx(str(folder / "seg.onnx"), "cpu") as scorer:
        for pair in pairs:
            image, mask = Image.open(pair.picture), Image.open(pair.mask)
            box = (3, 1, 13, 13)
            x = np.asarray(image.resize((16, 14), Image.Resampling.BILINEAR).crop(box), np.float32) / np.float32(255)
            truths.append(np.asarray(mask.resize((16, 14), Image.Resampling.NEAREST).crop(box)).reshape(-1))
            classes = scorer.scores(torch.from_numpy(x[None, None])).numpy()[0].argmax(0)
            assert classes.shape == (6, 5)
            seen.append(classes.repeat(2, 0).repeat(2, 1).reshape(-1))
    mean_iou, accuracy, _ = by_hand(np.concatenate(truths), np.concatenate(seen))
    for result in results:
        assert (result.mean_iou, result.pixel_accuracy) == pytest.approx((mean_iou, accuracy))
        assert result.classes == ("sky", "road", "car")
        assert (result.matrix == results[0].matrix).all()
    assert "road" in results[0].as_text()


def test_a_network_without_padding_is_scored_where_it_sees(tmp_path):
    spec = {"cnnc": 1, "name": "valid", "input": {"x": [1, 9, 9]}, "nodes": [{"conv": {"out": 2, "kernel": 5}}]}
    Image.effect_noise((9, 9), 90).save(tmp_path / "x.png")
    save_mask(tmp_path / "m" / "x.png", np.zeros((9, 9)))
    scorer = scorers.of_graph("valid", compiler.load(spec), compiler.compile(spec).state_dict(), "cpu")
    result = evaluate_masks(scorer, [Pair(tmp_path / "x.png", tmp_path / "m" / "x.png")])
    assert (result.pixels, result.ignored) == (25, 81 - 25)


def test_masks_of_one_channel_are_no_and_yes(tmp_path, save):
    about = contract(shape=(1, None, None), labels=("no", "yes"), scores="probabilities")
    path = save(model_of(RELU, image=("N", 1, "H", "W"), output=("N", 1, "H", "W")), about)
    save_mask(tmp_path / "images" / "x.png", [[0, 120, 130, 255]], mode="L")
    save_mask(tmp_path / "masks" / "x.bmp", [[0, 1, 1, 0]], mode="L")
    result = evaluate_masks(scorers.of_onnx(str(path), "cpu"), find_pairs(tmp_path))
    assert result.matrix.tolist() == [[1, 1], [1, 1]]
    assert result.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("mask", "mode", "said"),
    [
        (np.zeros((3, 4)), "P", r"E510.*the mask .*x.png is 3 × 4 \(height × width\), but the picture .* is 2 × 3"),
        (np.full((2, 3), 3), "P", r"E510.*x.png has the class 3, but the model .* has the classes 0 to 2"),
        (np.full((2, 3), 300), "I;16", r"E508.*must be class indices, 0 to 255, got values in 300\.\.300"),
        (np.zeros((2, 3, 3)), "RGB", "E508.*must be class indices, got a picture of mode RGB"),
        (np.full((2, 3), 255), "P", "E510.*no pixel of the masks has a class"),
        (None, None, "E508.*1 of the 1 picture in .* have no mask in"),
        (b"text", None, "E503.*cannot read the picture .*masks.x.png: its format is unknown"),
    ],
)
def test_masks_that_do_not_fit_are_diagnostics(save, tmp_path, mask, mode, said):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (3, 2), (200, 0, 0)).save(tmp_path / "images" / "x.png")
    if isinstance(mask, bytes):
        (tmp_path / "masks" / "x.png").write_bytes(mask)
    elif mask is not None:
        save_mask(tmp_path / "masks" / "x.png", mask, mode)
    with scorers.of_onnx(str(save(RGB)), "cpu") as scorer, pytest.raises(CnncError, match=said):
        evaluate_masks(scorer, find_pairs(tmp_path))


def test_folders_that_do_not_fit_are_diagnostics(tmp_path):
    for give, said in (
        ((tmp_path / "none",), "E508.*no such folder"),
        ((tmp_path,), "E508.*images: no such folder"),
        ((tmp_path, tmp_path / "none"), "E508.*none: no such folder"),
        ((tmp_path, tmp_path), "E508.*contains no pictures"),
    ):
        with pytest.raises(CnncError, match=said):
            find_pairs(*give)


def test_pictures_that_cannot_be_read_are_all_told_or_left_out(save, data):
    folder, *_ = data
    (folder / "images" / "1.png").write_text("text")
    options = [save(RGB), "--data", folder, "--device", "cpu", "--format", "json"]
    told = run_command("eval", *options)
    assert (told.exit_code, told.stderr.startswith("error[E508]: cannot read 1 of the 3 pictures")) == (1, True)
    done = run_command("eval", *options, "--skip-unreadable")
    found = json.loads(done.stdout)
    assert (found["examples"], found["skipped"]) == (2, 1)
    assert "note: left out 1 of the 3 pictures" in done.stderr


def test_a_classifier_has_no_use_for_masks(save, data):
    """Where the contract says so, or where the output shows it."""
    classes = dataclasses.replace(contract(), details=(OutputContract(name="y", kind="classes"),))
    for about, said in ((classes, "'y' is classes, but masks score a segmentation"), (contract(), "expected a map of")):
        options = ["--data", data[0] / "images", "--masks", data[0] / "masks", "--device", "cpu"]
        done = run_command("eval", save(linear(), about), *options)
        assert (done.exit_code, done.stderr.startswith("error[E502]"), said in done.stderr) == (1, True, True)


def test_a_mask_is_prepared_as_pillow_does(tmp_path):
    from cnnc.artifacts.contract import InputContract

    rng = np.random.default_rng(2)
    for _ in range(20):
        size = tuple(int(each) for each in rng.integers(20, 60, 2))
        mask = rng.integers(0, 5, size, dtype=np.uint8)
        to = InputContract(name="x", shape=(1, 18, 16), mode="grey", resize=int(rng.integers(18, 30)), crop=(18, 16))
        placed = place(size, to)
        image = Image.fromarray(mask).resize(placed.resized[::-1], Image.Resampling.NEAREST)
        left, top = round((image.width - 16) / 2), round((image.height - 18) / 2)
        expected = np.asarray(image.crop((left, top, left + 16, top + 18)))
        np.testing.assert_array_equal(prepare_mask(mask, placed), expected)


def test_positions_are_exact():
    """The centre of a pixel goes through the resize and the crop as a fraction, so a tie is never rounded away."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        own, resized, length, count = (int(each) for each in rng.integers(1, 40, 4))
        length = min(length, resized)
        start, stride = int(rng.integers(0, resized - length + 1)), [None, 1.0, 2.0, 0.5][rng.integers(4)]
        framed = Framing((own, 1), (resized, 1), (start, 0), (length, 1))
        valid = stride is not None and length - count * stride >= stride
        spanned = count * Fraction(stride) if valid else Fraction(length)
        expected = []
        for pixel in range(own):
            centre = Fraction(2 * pixel + 1, 2) * resized / own - start
            found = (centre - (length - spanned) / 2) * count / spanned
            expected.append(int(found) if 0 <= centre < length and 0 <= found < count else -1)
        assert framed.positions(0, count, stride).tolist() == expected


def test_positions_of_a_very_long_picture():
    side = 1_400_000
    framed = Framing((side, 1), (side, 1), (0, 0), (side, 1))
    assert (framed.positions(0, side) == np.arange(side)).all()


def test_a_mask_of_bits(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "m.png")
    assert read_mask(Pair(tmp_path / "x.png", tmp_path / "m.png"), (1, 2)).tolist() == [[1, 0]]


def test_the_kinds_of_a_built_file_choose_the_score(pairs, tmp_path):
    path = cnnc.build(SPEC, targets="onnx", out=tmp_path / "build").folder / "seg.onnx"
    done = run_command("eval", path, "--data", tmp_path, "--device", "cpu", "-o", tmp_path / "c.png")
    assert "mean IoU" in done.stdout
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    done = run_command("eval", path, "--data", tmp_path, "--device", "cpu", "--part", "train")
    assert "mean IoU" in done.stdout
