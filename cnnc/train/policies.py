"""RandAugment (Cubuk et al., 2020) and TrivialAugment (Müller and Hutter, 2021), with torchvision's operations.

RandAugment applies two random operations, each with magnitude 9 of 30; TrivialAugment applies one, with a random
magnitude of 0 to 30. `Ranges` holds what magnitude 30 is. Half of the signed magnitudes are negative.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnc.train import picture_ops as ops
from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

BINS = 30
NAMES = ("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLOURS = {
    "brightness": ops.brightness,
    "color": ops.color,
    "contrast": ops.contrast,
    "sharpness": ops.sharpness,
    "posterize": ops.posterize,
    "solarize": ops.solarize,
    "autocontrast": ops.autocontrast,
    "equalize": ops.equalize,
}
ALL = (*NAMES, *COLOURS)


@dataclass(frozen=True)
class Ranges:
    """The largest magnitudes: a shear, pixels or a part of the side, degrees, a factor, and the bits left out."""

    shear: float
    pixels: float | None
    part: float
    degrees: float
    factor: float
    bits: int


RAND = Ranges(shear=0.3, pixels=None, part=150 / 331, degrees=30.0, factor=0.9, bits=4)
TRIVIAL = Ranges(shear=0.99, pixels=32.0, part=0.0, degrees=135.0, factor=0.99, bits=6)


def randaugment(images: "Tensor", share: Share, count: int = 2, magnitude: int = 9) -> "Tensor":
    """Apply `count` random operations to each of uint8 (N, C, H, W)."""
    import torch

    for _ in range(count):
        drawn = share.uniform(2)
        levels = torch.full((len(images),), magnitude / BINS)
        images = _apply(images, _choice(drawn[:, 0], len(ALL)), levels, drawn[:, 1] < 0.5, RAND)
    return images


def trivialaugment(images: "Tensor", share: Share) -> "Tensor":
    """Apply a random operation with a random magnitude to each of uint8 (N, C, H, W)."""
    drawn = share.uniform(3)
    levels = _choice(drawn[:, 1], BINS + 1) / BINS
    return _apply(images, _choice(drawn[:, 0], len(ALL)), levels, drawn[:, 2] < 0.5, TRIVIAL)


def _choice(drawn: "Tensor", count: int) -> "Tensor":
    return (drawn * count).long().clamp_max(count - 1)


def _apply(images: "Tensor", chosen: "Tensor", levels: "Tensor", negative: "Tensor", ranges: Ranges) -> "Tensor":
    """Apply to each picture the operation `chosen`, with a level of 0 to 1; all but `images` are on the CPU."""
    import torch

    signed = torch.where(negative, -levels, levels)
    moved = ((chosen > 0) & (chosen < len(NAMES))).nonzero()[:, 0]
    images = images.clone()
    if len(moved):
        matrices = _matrices(chosen[moved], signed[moved], ranges, *images.shape[-2:])
        images[moved] = ops.move(images[moved], matrices.to(images.device))
    for number, (name, op) in enumerate(COLOURS.items(), start=len(NAMES)):
        rows = (chosen == number).nonzero()[:, 0]
        if len(rows):
            images[rows] = op(images[rows], _amounts(name, levels[rows], signed[rows], ranges).to(images.device))
    return images


def _matrices(chosen: "Tensor", signed: "Tensor", ranges: Ranges, height: int, width: int) -> "Tensor":
    """Return the matrices of `move`. A shear keeps the upper or left border, a shift is of whole pixels."""
    import torch

    matrices = torch.eye(2, 3).repeat(len(chosen), 1, 1)
    for axis, size in enumerate((width, height)):
        shears = torch.where(chosen == 1 + axis, signed * ranges.shear, 0.0)
        shifts = signed * (size * ranges.part if ranges.pixels is None else ranges.pixels)
        shifts = torch.where(chosen == 3 + axis, shifts.trunc(), 0.0)
        matrices[:, axis, 1 - axis] += shears
        matrices[:, axis, 2] += shears / 2 - shifts  # borders are half a pixel before the first centre
    turned = chosen == NAMES.index("rotate")
    turns = ops.rotations(signed * ranges.degrees, height, width)
    return torch.where(turned[:, None, None], turns, matrices)


def _amounts(name: str, levels: "Tensor", signed: "Tensor", ranges: Ranges) -> "Tensor":
    if name == "posterize":
        return 8 - (levels * ranges.bits).round()
    return 255 * (1 - levels) if name == "solarize" else signed * ranges.factor
