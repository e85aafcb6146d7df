"""Random changes to the pictures of a training batch, made on their device without asking anything of it.

All draw from torch's own generator of the device, whose state checkpoints keep. kornia's transforms would do: on a CPU
they take as long. But they draw on the CPU and choose pictures by boolean masks, and every copy of these to a GPU waits
until it has done all that was queued before. These change all pictures, some by nothing, and the CPU runs ahead.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 8  # a crop shifts a picture by up to an eighth of its side
STRENGTH = 0.3  # brightness, contrast and saturation change by up to this factor


class Augment:
    """`flip`: every other picture, left to right. `crop`: shifted, black where nothing is. `color`: see STRENGTH."""

    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = frozenset(kinds)

    def move(self, images: "Tensor") -> "Tensor":
        """Flip and shift (N, C, H, W) of any type; before a resize, where that makes pictures larger, this is cheap."""
        if "flip" in self._kinds:
            images = flip(images)
        return crop(images) if "crop" in self._kinds else images

    def recolour(self, images: "Tensor") -> "Tensor":
        """Change the colours of uint8-ranged (N, C, H, W); the type stays."""
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
