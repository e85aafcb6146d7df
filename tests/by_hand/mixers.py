"""MLP-Mixer (Tolstikhin et al., 2021) and ConvMixer (Trockman and Kolter, 2022)."""

from torch import Tensor, nn


class Mlp(nn.Sequential):
    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, features))


class MixerBlock(nn.Module):
    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.mlp_tokens = Mlp(tokens, width // 2)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp_channels = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class MlpMixer(nn.Module):
    def __init__(self, classes: int = 1000, depth: int = 8, width: int = 512) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 16, 16)
        self.blocks = nn.Sequential(*(MixerBlock(width, 14 * 14) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


class Residual(nn.Module):
    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


class ConvMixer(nn.Sequential):
    def __init__(self, classes: int = 1000, width: int = 768, depth: int = 32) -> None:
        def unit(*conv, **options) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(*conv, **options), nn.ReLU(), nn.BatchNorm2d(width))

        blocks = (
            nn.Sequential(
                Residual(unit(width, width, 7, groups=width, padding="same")),
                unit(width, width, 1),
            )
            for _ in range(depth)
        )
        super().__init__(
            unit(3, width, 7, stride=7),
            *blocks,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, classes),
        )
