"""YOLOv3-tiny (Redmon and Farhadi, 2018), as Darknet's configuration file describes it."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad


def unit(channels: int, out: int, kernel: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, padding=(kernel - 1) // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.LeakyReLU(0.1))


class YoloV3Tiny(nn.Module):
    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        widths = [3, 16, 32, 64, 128, 256, 512, 1024]
        self.units = nn.ModuleList(unit(*pair) for pair in pairwise(widths))
        self.neck = unit(1024, 256, 1)
        self.large = nn.Sequential(unit(256, 512), nn.Conv2d(512, 3 * (5 + classes), 1))
        self.lateral = unit(256, 128, 1)
        self.small = nn.Sequential(unit(128 + 256, 256), nn.Conv2d(256, 3 * (5 + classes), 1))
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for unit in self.units[:4]:
            x = self.pool(unit(x))
        fine = self.units[4](x)
        x = self.units[5](self.pool(fine))
        x = nn.functional.max_pool2d(pad(x, (0, 1, 0, 1), value=float("-inf")), 2, 1)  # keeps the size
        x = self.neck(self.units[6](x))
        up = interpolate(self.lateral(x), scale_factor=2, mode="nearest")
        return self.large(x), self.small(torch.cat([up, fine], dim=1))
