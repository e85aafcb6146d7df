"""Every kind of output, of a network that cnnc built and of a foreign file, against numbers computed here."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import cnnc
from cnnc.graph.output_kinds import OUTSIDE, default_kind, misfit
from cnnc.inference.output_folder import open_folder
from cnnc.inference.predict import answer, infer, load_model, read_picture, run_batch
from cnnc.inference.results import Classes, Drawing, Mask, Values
from tests.command import run_command

LABELS = ["sky", "road", "car", "tree", "dog"]
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
SPEC = {
    "cnnc": 1,
    "name": "all",
    "input": {
        "image": {"shape": [3, 12, 10], "mean": [*MEAN], "std": [*STD], "resize": [14, 16], "crop": [12, 10]},
    },
    "labels": LABELS,
    "nodes": [
        {"conv": {"name": "body", "out": 8, "kernel": 3, "padding": 1, "act": "relu"}},
        {"conv": {"name": "head", "out": 5, "kernel": 1}},
        {"conv": {"name": "paint", "from": "body", "out": 3, "kernel": 1}},
        {"max_pool": {"name": "pooled", "from": "body", "kernel": 2}},
        {"conv": {"name": "yes", "from": "pooled", "out": 1, "kernel": 1}},
        {"global_avg_pool": {"from": "body"}},
        "flatten",
        {"linear": {"name": "fc", "from": "flatten", "out": 5}},
        {"linear": {"name": "tags", "from": "flatten", "out": 6}},
        {"sigmoid": {"from": "tags"}},
    ],
    "outputs": {
        "logits": "fc",
        "mask": "head",
        "tags": {"from": "tags", "as": "probabilities"},
        "sure": {"from": "sigmoid", "as": "probabilities"},
        "binary": {"from": "yes", "as": "segmentation"},
        "drawn": {"from": "paint", "as": "picture"},
        "embedding": {"from": "flatten", "as": "vector"},
        "features": {"from": "pooled", "as": "raw"},
    },
}
SIZES = [(30, 20), (16, 14), (9, 33)]  # width, height


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return cnnc.build(SPEC, targets="onnx", out=tmp_path_factory.mktemp("built"), seed=3).folder / "all.onnx"


@pytest.fixture(scope="module")
def foreign(built, tmp_path_factory):
    """The same network without what cnnc wrote about it."""
    model = onnx.load(built)
    del model.metadata_props[:]
    path = tmp_path_factory.mktemp("foreign") / "foreign.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for at, (width, height) in enumerate(SIZES):
        pixels = np.random.default_rng(at).integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{at}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def prepared(path, ours):
    """What goes into the network, by hand."""
    image = Image.open(path)
    if not ours:
        image = image.resize((10, 12), Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)
    image = image.resize((16, 14), Image.Resampling.BILINEAR).crop((3, 1, 13, 13))
    x = np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)
    return (x - np.array(MEAN, np.float32)[:, None, None]) / np.array(STD, np.float32)[:, None, None]


def direct(path, picture, ours):
    """The outputs for one picture, from onnxruntime itself."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    found = session.run(names, {"image": prepared(picture, ours)[None].astype(np.float32)})
    return {name: each[0] for name, each in zip(names, found, strict=True)}


def softmax(x):
    odds = np.exp(x - x.max())
    return odds / odds.sum()


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def by_hand(classes, size, ours):
    """A mask at the picture's own size, pixel by pixel: the way of each pixel's centre through resize and crop."""
    width, height = size
    mask = np.full((height, width), OUTSIDE, np.uint8)
    tall, wide, top, left = (14, 16, 1, 3) if ours else (12, 10, 0, 0)
    for y in range(height):
        for x in range(width):
            row = ((y + 0.5) * tall / height - top) * classes.shape[0] / 12
            column = ((x + 0.5) * wide / width - left) * classes.shape[1] / 10
            if 0 <= row < classes.shape[0] and 0 <= column < classes.shape[1]:
                mask[y, x] = classes[int(row), int(column)]
    return mask


def answers(path, pictures, batch):
    with load_model(path, "cpu") as model:
        results = []
        for start in range(0, len(pictures), batch):
            read = [read_picture(model, each) for each in pictures[start : start + batch]]
            rows, milliseconds = run_batch(model, read)
            results += [answer(model, *each, milliseconds, 9) for each in zip(read, rows, strict=True)]
    return results


def scores(predictions):
    return np.array([each.score for each in sorted(predictions, key=lambda each: each.index)])


@pytest.mark.parametrize("batch", [1, 3])
def test_every_kind_of_a_network_of_ours(built, pictures, batch):
    for picture, size, result in zip(pictures, SIZES, answers(built, pictures, batch), strict=True):
        raw = direct(built, picture, ours=True)
        assert list(result.outputs) == [name for name in SPEC["outputs"] if name != "logits"]
        np.testing.assert_allclose(scores(result.predictions), softmax(raw["logits"]), rtol=1e-5)
        assert {each.label for each in result.predictions} == set(LABELS)
        for name, expected in (("tags", sigmoid(raw["tags"])), ("sure", raw["sure"])):
            shown = result.outputs[name]
            assert isinstance(shown, Classes)
            np.testing.assert_allclose(scores(shown.predictions), expected, rtol=1e-5)
            assert (np.diff([each.score for each in shown.predictions]) <= 0).all()
            assert shown.predictions[0].label is None  # five labels do not name six tags
        check_mask(result.outputs["mask"], by_hand(raw["mask"].argmax(0), size, ours=True), LABELS)
        check_mask(result.outputs["binary"], by_hand(raw["binary"][0] > 0, size, ours=True), None)
        drawn = raw["drawn"] * np.array(STD)[:, None, None] + np.array(MEAN)[:, None, None]
        drawing = result.outputs["drawn"]
        assert isinstance(drawing, Drawing)
        expected = np.clip(drawn * 255, 0, 255).transpose(1, 2, 0)
        assert np.abs(drawing.pixels - expected).max() <= 0.51
        for name in ("embedding", "features"):
            shown = result.outputs[name]
            assert isinstance(shown, Values)
            np.testing.assert_allclose(shown.array, raw[name], rtol=1e-4, atol=1e-6)


def check_mask(shown, expected, labels):
    assert isinstance(shown, Mask)
    np.testing.assert_array_equal(shown.mask, expected)
    seen = (expected != OUTSIDE).sum()
    assert shown.outside == (expected == OUTSIDE).sum()
    assert {each.index: each.pixels for each in shown.areas} == {
        index: count for index in range(OUTSIDE) if (count := (expected == index).sum())
    }
    assert [each.share for each in shown.areas] == sorted((each.pixels / seen for each in shown.areas), reverse=True)
    assert [each.label for each in shown.areas] == [labels and labels[each.index] for each in shown.areas]


@pytest.mark.parametrize("batch", [1, 3])
def test_every_kind_of_a_foreign_file(foreign, pictures, batch):
    """Its shapes decide: vectors are classes, maps of several channels are masks, maps of one channel are numbers."""
    for picture, size, result in zip(pictures, SIZES, answers(foreign, pictures, batch), strict=True):
        raw = direct(foreign, picture, ours=False)
        kinds = {name: each.kind for name, each in result.outputs.items()}
        classes, maps = dict.fromkeys(("tags", "sure", "embedding"), "classes"), ("mask", "drawn", "features")
        assert kinds == {**classes, "binary": "raw", **dict.fromkeys(maps, "segmentation")}
        np.testing.assert_allclose(scores(result.predictions), softmax(raw["logits"]), rtol=1e-5)
        np.testing.assert_allclose(scores(result.outputs["tags"].predictions), softmax(raw["tags"]), rtol=1e-5)
        for name in maps:
            check_mask(result.outputs[name], by_hand(raw[name].argmax(0), size, ours=False), None)
        np.testing.assert_allclose(result.outputs["binary"].array, raw["binary"], rtol=1e-4, atol=1e-6)


def test_what_is_written(built, pictures, tmp_path):
    with load_model(built, "cpu") as model, open_folder(tmp_path / "out") as folder:
        result = infer(model, pictures[0], 5, folder)
    raw = direct(built, pictures[0], ours=True)
    place = tmp_path / "out" / pictures[0].relative_to("/")
    assert result.files == {
        **{name: f"{place}.{name}.png" for name in ("mask", "binary", "drawn")},
        **dict.fromkeys(("embedding", "features"), f"{place}.npz"),
    }
    mask = Image.open(result.files["mask"])
    assert (mask.mode, mask.size) == ("P", SIZES[0])
    np.testing.assert_array_equal(np.asarray(mask), result.outputs["mask"].mask)
    assert mask.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    assert mask.getpalette()[-3:] == [224, 224, 192]
    np.testing.assert_array_equal(np.asarray(Image.open(result.files["drawn"])), result.outputs["drawn"].pixels)
    with np.load(result.files["features"]) as arrays:
        assert set(arrays.files) == set(SPEC["outputs"])
        for name in arrays.files:
            np.testing.assert_array_equal(arrays[name][0], raw[name])


def test_the_command_prints_it_as_json_and_as_text(built, pictures, tmp_path):
    done = run_command("infer", built, pictures[0], "--provider", "cpu", "--format", "json", "--save", tmp_path / "out")
    found = json.loads(done.stdout)
    assert list(found) == ["image", "predictions", "provider", "milliseconds", "notes", "outputs"]
    kinds = {name: each["as"] for name, each in found["outputs"].items()}
    assert kinds == {
        "mask": "segmentation",
        **dict.fromkeys(("tags", "sure"), "probabilities"),
        "binary": "segmentation",
        "drawn": "picture",
        "embedding": "vector",
        "features": "raw",
    }
    assert found["outputs"]["mask"]["size"] == [20, 30]
    assert (
        sum(each["pixels"] for each in found["outputs"]["mask"]["areas"]) + found["outputs"]["mask"]["outside"] == 600
    )
    assert len(found["outputs"]["embedding"]["values"]) == 8
    assert found["outputs"]["features"]["shape"] == [8, 6, 5]
    assert found["outputs"]["tags"]["file"] is None
    text = run_command("infer", built, pictures[0], "--provider", "cpu", "--top", 1).stdout
    assert "  mask: segmentation, 20 × 30 (height × width) (--save FOLDER writes it)\n" in text
    assert "  features: raw, 8 × 6 × 5; min " in text
    assert "     … and " in text


def test_a_network_without_padding_sees_the_centre_of_the_picture(tmp_path):
    """A 5 × 5 kernel loses two pixels at each side of the prepared picture, which is twice as large as the file's."""
    spec = {
        "cnnc": 1,
        "name": "valid",
        "input": {"image": {"shape": [1, 24, 24], "resize": [24, 24]}},
        "nodes": [{"conv": {"out": 3, "kernel": 5}}],
    }
    path = cnnc.build(spec, targets="onnx", out=tmp_path).folder / "valid.onnx"
    Image.effect_noise((12, 12), 90).save(tmp_path / "p.png")
    with load_model(path, "cpu") as model:
        mask = infer(model, tmp_path / "p.png").outputs["conv"].mask
    x = np.asarray(Image.open(tmp_path / "p.png").resize((24, 24), Image.Resampling.BILINEAR), np.float32) / 255
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    classes = session.run(None, {"image": x[None, None]})[0][0].argmax(0)
    assert classes.shape == (20, 20)
    expected = np.full((12, 12), OUTSIDE, np.uint8)
    expected[1:-1, 1:-1] = classes[
        1::2, 1::2
    ]  # the centre of pixel i is at 2 i + 1, which is pixel 2 i - 1 of the output
    np.testing.assert_array_equal(mask, expected)


def test_an_output_of_an_open_size_is_read_by_its_shape_unless_the_spec_says_what_it_is(tmp_path):
    spec = {
        "cnnc": 1,
        "name": "open",
        "input": {"image": [1, None, None]},
        "nodes": [{"conv": {"out": 3, "kernel": 4}}],
        "outputs": {"plain": "conv", "mask": {"from": "conv", "as": "segmentation"}},
    }
    path = cnnc.build(spec, targets="onnx", out=tmp_path).folder / "open.onnx"
    kinds = []
    for side in (4, 6):
        Image.effect_noise((side, side), 90).save(tmp_path / "p.png")
        with load_model(path, "cpu") as model:
            result = infer(model, tmp_path / "p.png")
        kinds.append((len(result.predictions), {name: each.kind for name, each in result.outputs.items()}))
    masks = {"plain": "segmentation", "mask": "segmentation"}
    assert kinds == [(3, {"mask": "segmentation"}), (0, masks)]


@pytest.mark.parametrize(
    ("shape", "labels", "expected"),
    [
        ((10,), 0, "classes"),
        ((10, 1, 1), 0, "classes"),
        ((1,), 0, "classes"),
        ((1, 1, 1), 0, "classes"),
        ((2, 8, 8), 0, "segmentation"),
        ((3, None, None), 0, "segmentation"),
        ((255, 8, 1), 0, "segmentation"),
        ((256, 8, 8), 0, "raw"),
        ((1, 8, 8), 0, "raw"),
        ((1, 8, 8), 2, "segmentation"),
        ((1, 8, 8), 1, "raw"),
        ((100, 4), 0, "raw"),
        ((1, 100), 0, "classes"),
        ((2, 3, 4, 5), 0, "raw"),
    ],
)
def test_the_default_kind_of_a_shape(shape, labels, expected):
    assert default_kind(shape, labels) == expected
    assert misfit(expected, shape) is None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("classes", [(3,), (3, 1, 1), (3, None, None)], [(3, 2, 1), (3, None, 2), (4, 5)]),
        ("probabilities", [(1,), (7, None, 1)], [(2, 2), (3, 4, 5)]),
        ("segmentation", [(1, 5, 5), (255, None, None), (4, 1, 1)], [(256, 5, 5), (5,), (5, 5)]),
        ("picture", [(1, None, None), (3, 4, 5)], [(2, 4, 5), (4, 4, 5), (3,), (3, 4)]),
        ("vector", [(9,), (9, 1, 1)], [(9, 2, 2), (3, 3)]),
        ("raw", [(2, 3, 4), (5,), ()], []),
    ],
)
def test_which_shapes_a_kind_takes(kind, good, bad):
    assert [misfit(kind, shape) for shape in good] == [None] * len(good)
    assert None not in [misfit(kind, shape) for shape in bad]
