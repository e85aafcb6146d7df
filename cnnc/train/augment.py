"""Augment training batches on their device, without synchronising with it.

All random numbers come from the batch's `Share`, so that they are the same in a resumed run and for any number of
devices. kornia's transforms are as fast on a CPU. But they select pictures with boolean masks, and each copy of a mask
to a GPU waits for all queued work. These transforms change all pictures, some by nothing, so the CPU can run ahead.
"""

from typing import TYPE_CHECKING

from cnnc.data.dataset import IGNORED
from cnnc.data.preprocess import Preprocess
from cnnc.language.recipe import Train
from cnnc.train import picture_ops
from cnnc.train.policies import randaugment, trivialaugment
from cnnc.train.resized_crop import boxes, resize_mask_parts, resize_parts
from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 8  # a crop shifts a picture by up to an eighth of its side
STRENGTH = 0.3  # brightness, contrast and saturation change by up to this factor


class Augment:
    """Applies `augment` and `rotation` of the recipe, in the order of the code below."""

    def __init__(self, recipe: Train, preprocess: Preprocess) -> None:
        self._kinds, self._rotation, self._preprocess = frozenset(recipe.augment), recipe.rotation, preprocess

    def __call__(self, images: "Tensor", masks: "Tensor | None", share: Share) -> "tuple[Tensor, Tensor | None]":
        """Return pictures of the network's size with values 0..255, from uint8 (N, C, H, W), and their masks (N, H, W).

        Borders of masks that come from outside the picture are IGNORED.
        """
        images, masks = self._move(images, masks, share)
        if "resized_crop" in self._kinds:
            images, masks = self._cut(images, masks, share)
        else:
            images, masks = self.resize(images, masks)
        if "color" in self._kinds:
            images = recolour(images, share)
        if "randaugment" in self._kinds:
            images = randaugment(images.byte(), share)
        if "trivialaugment" in self._kinds:
            images = trivialaugment(images.byte(), share)
        return images, masks

    def _move(self, images: "Tensor", masks: "Tensor | None", share: Share) -> "tuple[Tensor, Tensor | None]":
        """Flip, shift and turn; this is cheapest before a resize that enlarges the pictures."""
        import torch

        turns = rotations(self._rotation, images, share) if self._rotation else None
        if masks is None:
            images = self._shift(images, share)
            return (images if turns is None else picture_ops.move(images, turns, "bilinear")), None
        # a channel more: outside the picture it is 0, which is IGNORED once inverted
        moved = self._shift(torch.cat([images, IGNORED - masks[:, None]], 1), share)
        images, inverted = moved[:, :-1], moved[:, -1:]
        if turns is not None:
            images, inverted = picture_ops.move(images, turns, "bilinear"), picture_ops.move(inverted, turns)
        return images, IGNORED - inverted[:, 0]

    def _shift(self, images: "Tensor", share: Share) -> "Tensor":
        if "flip" in self._kinds:
            images = flip(images, share)
        return crop(images, share) if "crop" in self._kinds else images

    def resize(self, images: "Tensor", masks: "Tensor | None") -> "tuple[Tensor, Tensor | None]":
        """Resize whole pictures and masks to the network's size."""
        return self._preprocess.resize(images), None if masks is None else self._preprocess.resize_masks(masks)

    def _cut(self, images: "Tensor", masks: "Tensor | None", share: Share) -> "tuple[Tensor, Tensor | None]":
        """Resize a random part of each picture to the network's size."""
        height, width = images.shape[-2:]
        size, parts = self._preprocess.size(height, width), boxes(height, width, share).to(images.device)
        return resize_parts(images, parts, size), None if masks is None else resize_mask_parts(masks, parts, size)


def rotations(degrees: float, images: "Tensor", share: Share) -> "Tensor":
    """Draw rotations around the centre by up to `degrees`, either way, as matrices of `picture_ops.move`."""
    angles = degrees * (2 * share.uniform()[:, 0] - 1)
    return picture_ops.rotations(angles, *images.shape[-2:]).to(images.device)


def flip(images: "Tensor", share: Share) -> "Tensor":
    """Mirror each picture with probability 1/2."""
    import torch

    coin = share.uniform()[:, :, None, None].to(images.device) < 0.5
    return torch.where(coin, images.flip(-1), images)


def crop(images: "Tensor", share: Share) -> "Tensor":
    """Shift each picture by up to an eighth of its height and width, up or down, left or right."""
    import torch
    from torch.nn.functional import pad

    count, channels, *sides = images.shape
    margins = [side // MARGIN for side in sides]
    device = images.device
    padded = pad(images, (margins[1], margins[1], margins[0], margins[0]))
    drawn = share.uniform(2).to(device)
    rows, columns = (
        (drawn[:, axis, None] * (2 * margins[axis] + 1)).long() + torch.arange(side, device=device)
        for axis, side in enumerate(sides)
    )
    each = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    return padded[each, channel, rows[:, None, :, None], columns[:, None, None, :]]


def recolour(images: "Tensor", share: Share) -> "Tensor":
    """Change each picture's brightness, contrast and saturation by random factors, and clip to 0..255."""
    import torch

    values = images.to(torch.float32)
    factors = 1 + STRENGTH * (2 * share.uniform(3).to(values.device) - 1)
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    values = values * brightness
    middle = values.mean((1, 2, 3), keepdim=True)
    values = middle + (values - middle) * contrast
    grey = values.mean(1, keepdim=True)
    values = grey + (values - grey) * saturation
    return values.round_().clamp_(0, 255).to(images.dtype)
