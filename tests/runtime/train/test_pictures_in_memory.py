"""A batch becomes what `cnnc infer` makes of each of its pictures; and what augmentation may change."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnc.diagnostics import CnncError
from cnnc.graph.graph import Input, Picture
from cnnc.ops.types import TensorType
from cnnc.runtime.contract import InputContract
from cnnc.runtime.pictures import Picture as Opened
from cnnc.runtime.pictures import prepare
from cnnc.runtime.train.augment import Augment
from cnnc.runtime.train.preprocess import Preprocess

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


def test_pictures_of_other_channels_are_refused():
    make = Preprocess(Input("image", TensorType((4, 8, 8))))
    with pytest.raises(CnncError, match=r"E510.*have 3 channels, and the network takes 4"):
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


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randint(1, 256, (64, 3, 16, 24), dtype=torch.uint8)


def test_a_flip_mirrors_some_pictures_and_no_others(batch):
    found = Augment(["flip"]).move(batch)
    mirrored = [bool(new.equal(old.flip(-1))) for new, old in zip(found, batch, strict=True)]
    kept = [bool(new.equal(old)) for new, old in zip(found, batch, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_crop_shifts_each_picture_as_a_whole(batch):
    found = Augment(["crop"]).move(batch)
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
    found = Augment(["color"]).recolour(batch)
    assert found.dtype == torch.uint8
    assert not found.equal(batch)
    assert (found.float() - batch.float()).abs().mean() < 60


def test_what_is_not_asked_for_does_not_happen(batch):
    none = Augment([])
    assert none.move(batch) is batch
    assert none.recolour(batch) is batch
