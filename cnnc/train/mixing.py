"""Mix pairs of examples: mixup (Zhang et al., 2018) and cutmix (Yun et al., 2019).

The pairs are neighbours in the epoch's random order, so that both are on the same rank. Targets are mixed as the
pictures are: class indices become probabilities.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

PAIR = 2
"""Examples that belong together; see `Plan.unit`."""


@dataclass(frozen=True)
class Mixing:
    """Mixes with weights from Beta(alpha, alpha), an alpha for each of the two ways; 0 is never.

    With both, each pair is mixed in one of the two ways, with equal probability.
    """

    mixup: float
    cutmix: float
    classes: int

    def __call__(self, images: "Tensor", targets: "Tensor", share: Share) -> "tuple[Tensor, Tensor]":
        """Return float pictures (N, C, H, W) and targets, int64 (N,) or float (N, …), mixed with their partners."""
        import torch
        from torch.nn.functional import one_hot

        here = torch.arange(len(images))
        partner = torch.where(here ^ 1 < len(images), here ^ 1, here).to(images.device)
        kept, parts = (each.to(images.device) for each in self._weights(images, share))
        mixed = torch.lerp(images[partner], images, kept)
        if not targets.is_floating_point():
            targets = one_hot(targets, self.classes).to(torch.float32)
        return mixed, torch.lerp(targets[partner], targets, parts.view(-1, *[1] * (targets.dim() - 1)))

    def _weights(self, images: "Tensor", share: Share) -> "tuple[Tensor, Tensor]":
        """Return the weight of each pixel of a picture, and of the whole picture; the rest is its partner's."""
        import torch

        height, width = images.shape[-2:]
        cut = _of_pair(share.uniform()[:, 0]) < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        mixed, pasted = (_of_pair(share.beta(alpha or 1.0)) for alpha in (self.mixup, self.cutmix))
        inside = _boxes(pasted, height, width, _of_pair(share.uniform(2)))
        pixels = torch.where(cut[:, None, None], 1 - inside, mixed[:, None, None])
        return pixels[:, None], pixels.mean((1, 2))


def _of_pair(values: "Tensor") -> "Tensor":
    """Give both examples of a pair the value of the first."""
    return values[::2].repeat_interleave(2, 0)[: len(values)]


def _boxes(kept: "Tensor", height: int, width: int, centres: "Tensor") -> "Tensor":
    """Return (N, H, W): 1 in a box with 1 - `kept` of the area around a centre, cut off at the borders, else 0."""
    import torch

    sides = (1 - kept).sqrt()
    ranges = []
    for axis, size in enumerate((height, width)):
        half, centre = (sides * size).floor() // 2, (centres[:, axis] * size).floor()
        places = torch.arange(size)
        ranges.append((places >= (centre - half)[:, None]) & (places < (centre + half)[:, None]))
    return (ranges[0][:, :, None] & ranges[1][:, None, :]).to(torch.float32)
