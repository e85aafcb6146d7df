"""A batch becomes what `cnnc infer` makes of each of its pictures; and what augmentation may change."""

import numpy as np
import pytest
import torch
from PIL import Image

import cnnc
from cnnc.artifacts.contract import Contract, InputContract
from cnnc.artifacts.metadata import contract_of
from cnnc.data.dataset import DecodedSplit, Files
from cnnc.data.pictures import DecodedPicture as Opened
from cnnc.data.pictures import open_picture, prepare
from cnnc.data.preprocess import Preprocess, in_two_passes
from cnnc.diagnostics import CnncError
from cnnc.graph.graph import Input, Picture
from cnnc.inference.evaluation_batches import feed
from cnnc.ops.types import TensorType
from cnnc.train.augment import crop, flip, recolour
from cnnc.train.epoch_order import Range
from cnnc.train.share import Share
from cnnc.train.streamed import Pictures

CASES = {
    "as they are": ((1, 20, 14), Picture("grey", (0.0,), (1.0,))),
    "larger": ((1, 33, 40), Picture("grey", (0.1307,), (0.3081,))),
    "smaller": ((3, 9, 7), Picture("rgb", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))),
    "resized and cropped": ((3, 24, 24), Picture("rgb", (), (), 30, (24, 24))),
    "of another shape": ((1, None, None), Picture("grey", (), (), (10, 31))),
    "an odd crop": ((1, 17, 11), Picture("grey", (), (), None, (17, 11))),
}


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_what_infer_makes_of_each_picture(case, colours):
    shape, picture = CASES[case]
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 14, colours), dtype=np.uint8)
    make = Preprocess(Input("image", TensorType(shape), picture))
    found = make(make.settle(torch.from_numpy(images)))
    contract = InputContract(
        name="image",
        shape=shape,
        mode=picture.mode,
        mean=picture.mean,
        std=picture.std,
        resize=picture.resize,
        crop=picture.crop,
    )
    scale = min(picture.std or (1.0,))
    for image, made in zip(images, found, strict=True):
        opened = Image.fromarray(image[..., 0] if colours == 1 else image)
        wanted = prepare(Opened("p.png", opened), contract)
        assert made.shape == wanted.shape
        assert np.abs(made.numpy() - wanted).max() <= 1.001 / 255 / scale


SIZES = {
    "as it is": {},
    "larger": {"resize": [31, 26]},
    "taller and narrower": {"resize": [33, 9]},
    "lower and wider": {"resize": [12, 30]},
    "smaller": {"resize": [11, 10]},
    "the shorter side": {"resize": 10},
    "cropped": {"crop": [12, 9]},
    "resized and cropped": {"resize": 25, "crop": [18, 23]},
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("mode", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("colours", [1, 3])
def test_training_sees_the_numbers_that_infer_sees(tmp_path, colours, mode, scale, interpolation, sizes):
    channels = 1 if mode == "grey" else 3
    about = {"shape": [channels, None, None], "mode": mode, "scale": scale, "interpolation": interpolation}
    about |= {"mean": [0.3 * scale, 0.4 * scale, 0.5 * scale][:channels], "std": [scale, scale / 2, scale][:channels]}
    spec = {"cnnc": 1, "input": {"image": {**about, **SIZES[sizes]}}, "nodes": ["global_avg_pool", "flatten"]}
    graph = cnnc.load(spec)
    contract = Contract.from_json(contract_of(graph).to_json())
    pixels = np.random.default_rng(0).integers(0, 256, (20, 14, colours), dtype=np.uint8)
    Image.fromarray(pixels[..., 0] if colours == 1 else pixels).save(tmp_path / "p.png")

    wanted = prepare(open_picture(tmp_path / "p.png"), contract.input)
    make = Preprocess(graph.inputs[0])
    found = [make(make.settle(torch.from_numpy(pixels[None])))]
    if make.fixed:
        read, _ = Pictures(Files((tmp_path / "p.png",), np.zeros(1, np.int64)), make)[0]
        assert make(read[None]).equal(found[0])
    found += feed(DecodedSplit(pixels[None], np.zeros(1, np.int64)), contract.input)
    assert wanted.shape[0] == channels
    # torch's bilinear differs from Pillow's in the last bit
    tolerance = 0 if interpolation == "bicubic" or sizes in ("as it is", "cropped") else 2.002 / 255
    for (each,) in found:
        assert each.shape == wanted.shape
        assert np.abs(each.numpy() - wanted).max() <= tolerance + 1e-6 * scale


def test_a_scale_and_an_order_of_channels_are_what_they_say(tmp_path):
    Image.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "p.png")
    for mode, scale, wanted in (
        ("rgb", 1, [10 / 255, 20 / 255, 30 / 255]),
        ("rgb", 255, [10, 20, 30]),
        ("bgr", 255, [30, 20, 10]),
    ):
        contract = InputContract(name="x", shape=(3, 4, 4), mode=mode, scale=scale)
        found = prepare(open_picture(tmp_path / "p.png"), contract)
        np.testing.assert_allclose(found[:, 0, 0], wanted, rtol=1e-6)
    contract = InputContract(name="x", shape=(3, 4, 4), mode="bgr", scale=255, mean=(30, 20, 0), std=(1, 1, 2))
    assert prepare(open_picture(tmp_path / "p.png"), contract)[:, 0, 0].tolist() == [0, 0, 5]


@pytest.mark.parametrize("size", [(31, 26), (33, 9), (12, 30)])
def test_bicubic_on_a_device_is_that_of_pillow(size):
    """By floats and in Pillow's two passes; the last bit may differ."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 14), dtype=np.uint8)
    wide = Image.fromarray(pixels).resize((size[1], 20), Image.Resampling.BICUBIC)
    wanted = np.asarray(wide.resize(size[::-1], Image.Resampling.BICUBIC))
    found = in_two_passes(torch.from_numpy(pixels)[None, None], size)[0, 0].numpy()
    assert np.abs(found - wanted.astype(np.float32)).max() <= 1


def test_pictures_of_other_channels_are_refused():
    make = Preprocess(Input("image", TensorType((4, 8, 8))))
    with pytest.raises(CnncError, match=r"E510.*have 3 channels, but the network takes 4"):
        make.settle(torch.zeros((2, 8, 8, 3), dtype=torch.uint8))


def test_a_picture_smaller_than_the_crop_is_refused():
    make = Preprocess(Input("image", TensorType((1, 24, 24)), Picture("grey", (), (), None, (24, 24))))
    with pytest.raises(CnncError, match=r"E510.*20 × 14.*24 × 24"):
        make.require(20, 14, 1)


def test_only_sizes_that_are_settled_count_as_fixed():
    picture = Picture("grey", (), ())
    assert Preprocess(Input("image", TensorType((1, 8, 8)), picture)).fixed
    assert Preprocess(Input("image", TensorType((1, None, None)), Picture("grey", (), (), (8, 9)))).fixed
    assert not Preprocess(Input("image", TensorType((1, None, 8)), picture)).fixed
    assert not Preprocess(Input("image", TensorType((1, None, None)), Picture("grey", (), (), 8))).fixed


SHARE = Share(0, 0, Range(0, 64), Range(0, 64))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randint(1, 256, (64, 3, 16, 24), dtype=torch.uint8)


def test_a_flip_mirrors_some_pictures_and_no_others(batch):
    found = flip(batch, SHARE)
    mirrored = [bool(new.equal(old.flip(-1))) for new, old in zip(found, batch, strict=True)]
    kept = [bool(new.equal(old)) for new, old in zip(found, batch, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_crop_shifts_each_picture_as_a_whole(batch):
    found = crop(batch, SHARE)
    assert found.shape == batch.shape
    shifts = set()
    for new, old in zip(found, batch, strict=True):
        padded = torch.nn.functional.pad(old, (3, 3, 2, 2))
        places = [(y, x) for y in range(5) for x in range(7) if padded[:, y : y + 16, x : x + 24].equal(new)]
        assert len(places) == 1
        shifts.add(places[0])
    assert len(shifts) > 20
    assert {y for y, _ in shifts} == set(range(5))


def test_colours_change_and_stay_bytes(batch):
    found = recolour(batch, SHARE)
    assert found.dtype == torch.uint8
    assert not found.equal(batch)
    assert (found.float() - batch.float()).abs().mean() < 60
