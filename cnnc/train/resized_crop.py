"""Crop a random part of each picture and resize it to the network's size (Szegedy et al., 2015, "Going Deeper").

As torchvision's RandomResizedCrop: the part has 8 % to 100 % of the area and a ratio of width to height of 3/4 to 4/3.
Of ten such sizes, the first that fits counts, at a random place; if none fits, the largest part from the centre with
the nearest ratio.
"""

from math import log
from typing import TYPE_CHECKING

from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
TRIES = 10


def resize_parts(images: "Tensor", parts: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Resize a part of each of uint8 (N, C, H, W), as drawn by `boxes`, to `size`, height and width."""
    import torch

    top, left, high, wide = parts.unbind(1)
    rows, columns = filters(top, high, images.shape[-2], size[0]), filters(left, wide, images.shape[-1], size[1])
    # (N, 1, h, H) @ (N, C, H, W) @ (N, 1, W, w)
    resized = rows[:, None] @ images.to(torch.float32) @ columns[:, None].mT
    return resized.round_().clamp_(0, 255).to(images.dtype)


def resize_mask_parts(masks: "Tensor", parts: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Resize a part of each of uint8 (N, H, W); each pixel takes the nearest value."""
    import torch

    top, left, high, wide = parts.unbind(1)
    rows, columns = (
        (start[:, None] + (torch.arange(count, device=masks.device) + 0.5) * (length / count)[:, None]).long()
        for start, length, count in ((top, high, size[0]), (left, wide, size[1]))
    )
    each = torch.arange(len(masks), device=masks.device)[:, None, None]
    return masks[each, rows[:, :, None], columns[:, None, :]]


def boxes(height: int, width: int, share: Share) -> "Tensor":
    """Draw top, left, height and width of a part for each example: float32 (n, 4) of whole numbers, on the CPU."""
    import torch

    areas, ratios = share.uniform(TRIES), share.uniform(TRIES)
    areas = height * width * (AREA[0] + (AREA[1] - AREA[0]) * areas)
    ratios = (log(RATIO[0]) + (log(RATIO[1]) - log(RATIO[0])) * ratios).exp()
    high, wide = (areas / ratios).sqrt().round(), (areas * ratios).sqrt().round()
    fits = (high > 0) & (high <= height) & (wide > 0) & (wide <= width)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    sizes = torch.stack([high.gather(1, first)[:, 0], wide.gather(1, first)[:, 0]], 1)
    largest = torch.tensor(_largest(height, width), dtype=torch.float32)
    found = fits.any(1, keepdim=True)
    sizes = torch.where(found, sizes, largest)
    room = torch.tensor([height, width]) - sizes
    corners = torch.where(found, (share.uniform(2) * (room + 1)).floor(), (room / 2).floor())
    return torch.cat([corners, sizes], 1)


def _largest(height: int, width: int) -> tuple[int, int]:
    """Return the largest height and width whose ratio is allowed."""
    if width < RATIO[0] * height:
        return round(width / RATIO[0]), width
    if width > RATIO[1] * height:
        return height, round(height * RATIO[1])
    return height, width


def filters(start: "Tensor", length: "Tensor", size: int, result: int) -> "Tensor":
    """Return (N, result, size): how `result` pixels are averaged from the part `start`, `length` of `size` pixels.

    A triangle filter as wide as a resulting pixel, but at least as an original one: Pillow's bilinear resize.
    """
    import torch

    scale = (length / result)[:, None]
    centres = start[:, None] + (torch.arange(result, device=start.device) + 0.5) * scale
    pixels = torch.arange(size, device=start.device) + 0.5
    distances = (centres[:, :, None] - pixels) / scale.clamp_min(1)[:, :, None]
    inside = (pixels > start[:, None]) & (pixels < (start + length)[:, None])
    weights = (1 - distances.abs()).clamp_min(0) * inside[:, None]
    return weights / weights.sum(2, keepdim=True)
