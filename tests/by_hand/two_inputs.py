"""Networks of two inputs: a siamese network (Koch et al., 2015), a picture with a vector (FiLM: Perez et al., 2018)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class Siamese(nn.Module):
    def __init__(self, width: int = 64, features: int = 4096) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(1, width, 10),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 7),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 2 * width, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 4 * width, 4),
            nn.ReLU(),
        )
        self.fc = nn.Linear(4 * width * 6 * 6, features)
        self.out = nn.Linear(features, 1)

    def encode(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.fc(self.convs(x).flatten(1)))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.out((self.encode(left) - self.encode(right)).abs())


class FiLM(nn.Module):
    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 2 * channels)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        factor, shift = self.linear(vector)[:, :, None, None].chunk(2, dim=1)
        return relu(factor * x + shift)


class PictureAndVector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 16)
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.film1 = FiLM(16, 8)
        self.conv2 = nn.Conv2d(8, 16, 3, 2, 1)
        self.film2 = FiLM(16, 16)
        self.fc = nn.Linear(32, 2)

    def forward(self, picture: Tensor, measurements: Tensor) -> Tensor:
        hidden = torch.tanh(self.hidden(measurements))
        x = self.film1(self.conv1(picture), hidden)
        x = self.film2(self.conv2(x), hidden)
        return self.fc(torch.cat([x.mean(dim=(2, 3)), hidden], dim=1))
