"""Augment training batches on their device, without synchronising with it.

All transforms draw from torch's generator of the device, whose state is in checkpoints. kornia's transforms are as fast
on a CPU. But they draw on the CPU and select pictures with boolean masks, and each copy of a mask to a GPU waits for
all queued work. These transforms change all pictures, some by nothing, so that the CPU can run ahead of the GPU.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from cnnc.data.dataset import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 8  # a crop shifts a picture by up to an eighth of its side
STRENGTH = 0.3  # brightness, contrast and saturation change by up to this factor


class Augment:
    """Applies `flip` (half of the pictures, left to right), `crop` (shift, with black borders) and `color`."""

    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = frozenset(kinds)

    def move(self, images: "Tensor", masks: "Tensor | None" = None) -> "tuple[Tensor, Tensor | None]":
        """Flip and shift uint8 (N, C, H, W), and masks (N, H, W) with them, whose borders become IGNORED.

        This is cheapest before a resize that enlarges the pictures.
        """
        import torch

        if masks is None:
            return self._move(images), None
        # a channel more: the borders of a shift are 0, which is IGNORED once inverted
        moved = self._move(torch.cat([images, IGNORED - masks[:, None]], 1))
        return moved[:, :-1], IGNORED - moved[:, -1]

    def _move(self, images: "Tensor") -> "Tensor":
        if "flip" in self._kinds:
            images = flip(images)
        return crop(images) if "crop" in self._kinds else images

    def recolour(self, images: "Tensor") -> "Tensor":
        """Change the colours of (N, C, H, W) with values 0..255, in the same dtype."""
        return recolour(images) if "color" in self._kinds else images


def flip(images: "Tensor") -> "Tensor":
    """Mirror each picture with probability 1/2."""
    import torch

    coin = torch.rand((len(images), 1, 1, 1), device=images.device) < 0.5
    return torch.where(coin, images.flip(-1), images)


def crop(images: "Tensor") -> "Tensor":
    """Shift each picture by up to an eighth of its height and width, up or down, left or right."""
    import torch
    from torch.nn.functional import pad

    count, channels, *sides = images.shape
    margins = [side // MARGIN for side in sides]
    device = images.device
    padded = pad(images, (margins[1], margins[1], margins[0], margins[0]))
    rows, columns = (
        torch.randint(0, 2 * margin + 1, (count, 1), device=device) + torch.arange(side, device=device)
        for margin, side in zip(margins, sides, strict=True)
    )
    each = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    return padded[each, channel, rows[:, None, :, None], columns[:, None, None, :]]


def recolour(images: "Tensor") -> "Tensor":
    """Change each picture's brightness, contrast and saturation by random factors, and clip to 0..255."""
    import torch

    values = images.to(torch.float32)
    brightness, contrast, saturation = (_factor(values) for _ in range(3))
    values = values * brightness
    middle = values.mean((1, 2, 3), keepdim=True)
    values = middle + (values - middle) * contrast
    grey = values.mean(1, keepdim=True)
    values = grey + (values - grey) * saturation
    return values.round_().clamp_(0, 255).to(images.dtype)


def _factor(images: "Tensor") -> "Tensor":
    import torch

    return 1 + STRENGTH * (2 * torch.rand((len(images), 1, 1, 1), device=images.device) - 1)
