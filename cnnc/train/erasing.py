"""Erase a random rectangle of pictures (Zhong et al., 2020), as torchvision's RandomErasing does with its defaults.

The rectangle has 2 % to 33 % of the area and a ratio of height to width of 0.3 to 3.3. Of ten such sizes, the first
that fits counts; if none fits, the picture stays. Erased pixels are 0 after the normalisation.
"""

from math import log
from typing import TYPE_CHECKING

from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

AREA, RATIO = (0.02, 0.33), (0.3, 3.3)
TRIES = 10


def erase(images: "Tensor", probability: float, share: Share) -> "Tensor":
    """Return normalised pictures (N, C, H, W), of which each has an erased part with that probability."""
    import torch

    height, width = images.shape[-2:]
    chosen = share.uniform()[:, 0] < probability
    areas = height * width * (AREA[0] + (AREA[1] - AREA[0]) * share.uniform(TRIES))
    ratios = (log(RATIO[0]) + (log(RATIO[1]) - log(RATIO[0])) * share.uniform(TRIES)).exp()
    high, wide = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    fits = (high < height) & (wide < width)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    sizes = torch.cat([high.gather(1, first), wide.gather(1, first)], 1)
    starts = (share.uniform(2) * (torch.tensor([height, width]) - sizes + 1)).floor()
    inside = [
        (torch.arange(size) >= starts[:, axis, None]) & (torch.arange(size) < (starts + sizes)[:, axis, None])
        for axis, size in enumerate((height, width))
    ]
    erased = inside[0][:, :, None] & inside[1][:, None, :] & (chosen & fits.any(1))[:, None, None]
    return images.masked_fill(erased[:, None].to(images.device), 0.0)
