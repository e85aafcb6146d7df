"""Random changes of pictures: the operations are Pillow's, the random sizes torchvision's, the numbers the share's."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

import cnnc
from cnnc.data.dataset import IGNORED, Data, DecodedSplit
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError
from cnnc.language.recipe import Train
from cnnc.train import picture_ops as ops
from cnnc.train.augment import Augment
from cnnc.train.balance import balanced_order, class_weights
from cnnc.train.epoch_order import Plan, Range
from cnnc.train.erasing import erase
from cnnc.train.loss import Objective
from cnnc.train.mixing import Mixing
from cnnc.train.policies import ALL, RAND, _apply, randaugment, trivialaugment
from cnnc.train.resized_crop import boxes, filters
from cnnc.train.share import Share
from tests.train.conftest import spec

PICTURES = torch.randint(0, 256, (5, 3, 20, 30), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
PICTURES[1] //= 3
PICTURES[2, :, :10] = 7
PICTURES[3] = 90


def share(count, epoch=0):
    return Share(1, epoch, Range(0, count), Range(0, count))


def by_pillow(change):
    """What `change` makes of each picture as a Pillow image."""
    images = [change(Image.fromarray(each.permute(1, 2, 0).numpy())) for each in PICTURES]
    return torch.from_numpy(np.stack([np.asarray(each) for each in images])).permute(0, 3, 1, 2)


def enhanced(kind):
    return lambda image: kind(image).enhance(1.6)


@pytest.mark.parametrize(
    ("op", "amount", "change"),
    [
        (ops.equalize, 0, ImageOps.equalize),
        (ops.autocontrast, 0, ImageOps.autocontrast),
        (ops.posterize, 3, lambda image: ImageOps.posterize(image, 3)),
        (ops.solarize, 100, lambda image: ImageOps.solarize(image, 100)),
        (ops.brightness, 0.6, enhanced(ImageEnhance.Brightness)),
        (ops.color, 0.6, enhanced(ImageEnhance.Color)),
        (ops.contrast, 0.6, enhanced(ImageEnhance.Contrast)),
        (ops.sharpness, 0.6, enhanced(ImageEnhance.Sharpness)),
    ],
)
def test_operations_are_pillows(op, amount, change):
    found = op(PICTURES, torch.full((len(PICTURES),), float(amount)))
    assert (found.int() - by_pillow(change).int()).abs().max() <= (2 if op in (ops.contrast, ops.sharpness) else 1)


def test_a_resized_part_is_pillows():
    top, left, high, wide = 3.0, 5.0, 11.0, 17.0
    rows = filters(torch.tensor([top]), torch.tensor([high]), 20, 8)
    columns = filters(torch.tensor([left]), torch.tensor([wide]), 30, 24)
    found = (rows[:, None] @ PICTURES.float() @ columns[:, None].mT).round()
    box = (left, top, left + wide, top + high)
    assert (
        found - by_pillow(lambda image: image.crop(box).resize((24, 8), Image.Resampling.BILINEAR))
    ).abs().max() <= 1


def test_rotations_turn_around_the_centre():
    turns = ops.rotations(torch.tensor([0.0, 180.0, 90.0]), 20, 20)
    square = PICTURES[:3, :, :, :20]
    found = ops.move(square, turns)
    assert found[0].equal(square[0])
    assert found[1].equal(square[1].flip(1, 2))
    assert any(found[2].equal(square[2].rot90(times, (1, 2))) for times in (1, 3))


@pytest.mark.parametrize(("height", "width"), [(20, 30), (10, 200), (200, 10), (1, 1)])
def test_parts_have_the_areas_and_ratios_of_torchvision(height, width):
    top, left, high, wide = boxes(height, width, share(500)).unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + high <= height).all()
    assert (left + wide <= width).all()
    if (height, width) == (20, 30):
        ratios, areas = wide / high, wide * high / 600
        assert 0.7 < ratios.min() < 0.8
        assert 1.25 < ratios.max() < 1.45
        assert 0.06 < areas.min() < 0.12
        assert areas.max() > 0.8
    if height == 200:  # nothing fits in ten tries: the centre, with the nearest ratio
        assert {*zip(top.tolist(), high.tolist(), wide.tolist(), strict=True)} == {(93.0, 13.0, 10.0)}


def test_policies_apply_every_operation():
    magnitudes = torch.ones(len(ALL))
    picture = PICTURES[1]  # dark, so that stretching changes it
    found = _apply(picture.expand(len(ALL), -1, -1, -1), torch.arange(len(ALL)), magnitudes, magnitudes < 0, RAND)
    assert [name for name, one in zip(ALL, found, strict=True) if one.equal(picture)] == ["identity"]
    assert found[ALL.index("translate_x")][:, :, 13:].equal(picture[:, :, :-13])
    assert found[ALL.index("translate_y")][:, 9:].equal(picture[:, :-9])
    many = PICTURES[:1].repeat(300, 1, 1, 1)
    for policy, changed in ((randaugment, 0.99), (trivialaugment, 0.85)):
        assert (policy(many, share(300)) != many).flatten(1).any(1).float().mean() > changed - 0.1


def test_erased_parts_are_zero_and_as_frequent_as_asked():
    found = erase(torch.ones(500, 2, 20, 30), 0.5, share(500)) == 0
    sizes = found[:, 0].flatten(1).float().mean(1)
    assert (sizes > 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert sizes.max() < 0.36
    assert found[:, 0].equal(found[:, 1])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_pairs_are_mixed_as_their_targets_are(mixup, cutmix):
    pictures = torch.arange(7.0).view(7, 1, 1, 1).expand(7, 1, 16, 16)
    mixed, targets = Mixing(mixup, cutmix, 7)(pictures, torch.arange(7), share(7))
    # the mean of a picture is the mean of its targets: each pixel of picture i is i
    torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ torch.arange(7.0))
    assert targets.sum(1).tolist() == pytest.approx([1] * 7)
    assert targets[6].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert not targets[:6, :6].equal(torch.eye(6))
    if not mixup:
        assert {*mixed[:2].flatten().tolist()} <= {0.0, 1.0}


def test_shares_draw_what_the_whole_batch_draws():
    plan = Plan(11, 11, world=3, unit=2)
    (batch,) = plan.step(0)
    parts = [plan.share(batch, rank) for rank in range(3)]
    assert [(each.start, each.stop) for each in parts] == [(0, 4), (4, 8), (8, 11)]
    whole = Share(1, 4, batch, batch)
    shares = [Share(1, 4, batch, part) for part in parts]
    for draw in (lambda each: each.uniform(3), lambda each: each.beta(0.4), lambda each: each.uniform()):
        assert torch.cat([draw(each) for each in shares]).equal(draw(whole))
    assert not Share(1, 5, batch, batch).uniform(3).equal(Share(1, 4, batch, batch).uniform(3))
    empty = Share(1, 4, batch, Range(11, 11))
    assert (empty.counts, len(empty.uniform())) == (False, 1)


LABELS = np.array([0] * 80 + [2] * 15 + [3] * 5)


def test_balanced_orders_draw_all_classes_equally_often():
    drawn = np.bincount(LABELS[balanced_order(np.repeat(LABELS, 20), 1, 0).numpy() // 20], minlength=4)
    assert drawn[1] == 0
    assert (abs(drawn[[0, 2, 3]] - 2000 / 3) < 80).all()
    assert balanced_order(LABELS, 1, 0).equal(balanced_order(LABELS, 1, 0))
    assert not balanced_order(LABELS, 1, 0).equal(balanced_order(LABELS, 1, 1))


def test_class_weights_weigh_the_loss():
    data = Data("d", DecodedSplit(np.zeros((100, 1, 1, 1), np.uint8), LABELS), None, None, "d", "")
    found = class_weights(Train.model_validate({"class_weights": "balanced"}), data, 4)
    assert found[0] * 80 == pytest.approx(found[3] * 5) == pytest.approx(25)
    scores, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 0])
    _, loss, _, _ = Objective(cnnc.load(spec()), weights=[1.0, 2.0, 3.0, 0.0])(scores, labels)
    each = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
    assert loss.item() == pytest.approx((each * torch.tensor([1.0, 2, 3, 0, 1, 1])).sum().item(), rel=1e-5)
    with pytest.raises(CnncError, match=r"E510.*`class_weights` has 2 numbers, but there are 4 classes"):
        class_weights(Train.model_validate({"class_weights": [1.0, 2.0]}), data, 4)
    assert len(class_weights(Train.model_validate({"class_weights": "balanced"}), data, 6)) == 6  # two do not occur
    assert class_weights(Train.model_validate({"class_weights": [1.0] * 6}), data, 6) == [1.0] * 6


def test_masks_move_with_their_pictures():
    recipe = Train.model_validate({"augment": ["flip", "crop"]})
    graph = cnnc.load({"cnnc": 1, "name": "n", "input": {"image": [3, 16, 24]}, "nodes": ["relu"]})
    augment = Augment(recipe, Preprocess(graph.inputs[0]))
    images = torch.randint(1, 256, (5, 3, 16, 24), dtype=torch.uint8)
    moved, masks = augment(images, images[:, 0] % 7, share(5))
    outside = masks == IGNORED
    assert moved.shape == images.shape
    assert outside.any()
    assert (moved[:, 0][outside] == 0).all()
    assert masks[~outside].equal(moved[:, 0][~outside] % 7)
    turning = Augment(
        Train.model_validate({"rotation": 90.0, "augment": ["resized_crop"]}), Preprocess(graph.inputs[0])
    )
    flat = torch.full_like(images, 100)
    flat[:, :, :, 12:] = 200
    moved, masks = turning(flat, flat[:, 0] // 100, share(5))
    assert {*masks.unique().tolist()} == {1, 2, IGNORED}
    inner = moved[:, 0].float()
    assert ((inner == 100) <= ((masks == 1) | (masks == IGNORED))).all()
    assert ((inner == 200) <= ((masks == 2) | (masks == IGNORED))).all()
