"""Changes of pictures by given magnitudes, one for each picture: the operations of RandAugment and TrivialAugment.

Each takes uint8 pictures (N, C, H, W) and float32 magnitudes (N,) on their device, and returns uint8 pictures. They are
defined as in torchvision, where a magnitude of 0 changes nothing if it has a sign.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
SMOOTHING = ((1, 1, 1), (1, 5, 1), (1, 1, 1))


def move(images: "Tensor", matrices: "Tensor", mode: str = "nearest") -> "Tensor":
    """Take each pixel (x, y) from matrices (N, 2, 3) @ (x, y, 1), counted from the first pixel; outside is black."""
    import torch
    from torch.nn.functional import grid_sample

    height, width = images.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=images.device),
        torch.arange(width, dtype=torch.float32, device=images.device),
        indexing="ij",
    )
    places = torch.stack([x, y, torch.ones_like(x)], -1) @ matrices.mT[:, None]
    sizes = places.new_tensor([width, height])
    grid = (2 * places + 1) / sizes - 1
    moved = grid_sample(images.to(torch.float32), grid, mode=mode, padding_mode="zeros", align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8)


def rotations(degrees: "Tensor", height: int, width: int) -> "Tensor":
    """Return the matrices of `move` that turn pictures around their centre: (N, 2, 3)."""
    import torch

    angles = degrees.deg2rad()
    cos, sin = angles.cos(), angles.sin()
    x, y = (width - 1) / 2, (height - 1) / 2
    rows = [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]
    return torch.stack(rows, 1).view(-1, 2, 3)


def brightness(images: "Tensor", amounts: "Tensor") -> "Tensor":
    """Move values away from black."""
    return _blend(images, images.float() * 0, amounts)


def color(images: "Tensor", amounts: "Tensor") -> "Tensor":
    """Move colours away from the grey of their pixel."""
    return _blend(images, _grey(images), amounts)


def contrast(images: "Tensor", amounts: "Tensor") -> "Tensor":
    """Move values away from the mean grey of the picture."""
    return _blend(images, _grey(images).floor().mean((1, 2, 3), keepdim=True), amounts)


def sharpness(images: "Tensor", amounts: "Tensor") -> "Tensor":
    """Blend with the picture smoothed by SMOOTHING, whose border is that of the picture."""
    import torch
    from torch.nn.functional import conv2d

    smooth = images.to(torch.float32)
    count = images.shape[1]
    kernel = smooth.new_tensor(SMOOTHING)
    kernel = (kernel / kernel.sum()).expand(count, 1, 3, 3)
    if min(images.shape[-2:]) > 2:
        inner = conv2d(smooth, kernel, groups=count).round_()
        smooth[..., 1:-1, 1:-1] = inner
    return _blend(images, smooth, amounts)


def posterize(images: "Tensor", bits: "Tensor") -> "Tensor":
    """Keep the highest bits of each value."""
    import torch

    masks = 256 - torch.pow(2, 8 - bits)
    return images & masks.to(torch.uint8)[:, None, None, None]


def solarize(images: "Tensor", thresholds: "Tensor") -> "Tensor":
    """Invert the values from the threshold on."""
    import torch

    return torch.where(images >= thresholds[:, None, None, None], 255 - images, images)


def autocontrast(images: "Tensor", _: "Tensor") -> "Tensor":
    """Stretch the values of each channel to 0..255; a channel with a single value stays."""
    import torch

    values = images.to(torch.float32)
    least, most = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    stretched = (values - least) * (255 / (most - least).clamp_min(1))
    return torch.where(most > least, stretched, values).clamp_(0, 255).to(torch.uint8)


def equalize(images: "Tensor", _: "Tensor") -> "Tensor":
    """Spread the values of each channel so that all are about as frequent, as Pillow does."""
    import torch

    values = images.flatten(2).long()
    counts = torch.zeros((*values.shape[:2], 256), dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    highest = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - highest) // 255
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp_min(1)).clamp_(0, 255)
    spread = torch.where(step > 0, table.gather(2, values), values)
    return spread.view(images.shape).to(torch.uint8)


def _grey(images: "Tensor") -> "Tensor":
    """Return the brightness of pixels, float32 (N, 1, H, W)."""
    import torch

    values = images.to(torch.float32)
    if images.shape[1] != len(LUMA):
        return values.mean(1, keepdim=True)
    return (values * values.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _blend(images: "Tensor", others: "Tensor", amounts: "Tensor") -> "Tensor":
    """Move pictures away from others (or towards them, if below 0), by parts of their difference."""
    import torch

    values = others + (1 + amounts)[:, None, None, None] * (images.to(torch.float32) - others)
    return values.clamp_(0, 255).to(torch.uint8)
