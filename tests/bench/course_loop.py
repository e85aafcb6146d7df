"""The training loop of the course, written out by hand: what `cnnc train` is measured against.

A DataLoader whose workers resize and convert each picture by Pillow, SGD, and the loss and the accuracy taken off the
device at every batch. `Resize` and `ToTensor` do what torchvision's do, which is not there. In one thing this is faster
than the course: the workers stay for the next epoch, or starting them would be most of a short epoch's time.
"""

from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

WORKERS = 4  # as the course has it


class Pictures(Dataset[tuple[Tensor, int]]):
    """Grey pictures (N, H, W), resized and converted one by one as they are asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int]) -> None:
        self.images, self.labels = images, labels
        self.mode, self.size = "L" if shape[0] == 1 else "RGB", shape[:0:-1]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index]).convert(self.mode)
        if image.size != self.size:
            image = image.resize(self.size, Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).view(*image.size[::-1], -1)
        return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255), int(self.labels[index])


class Course:
    """A network in training; `module` lies on `device`."""

    def __init__(self, module: nn.Module, data: Pictures, batch: int, lr: float, device: str) -> None:
        self.module, self.device = module, device
        self.loader = DataLoader(data, batch, shuffle=True, num_workers=WORKERS, persistent_workers=True)
        self.optimizer = torch.optim.SGD(module.parameters(), lr=lr)

    def epoch(self) -> float:
        """Train for an epoch; the seconds that it took."""
        entropy = nn.CrossEntropyLoss()
        loss_sum, right = 0.0, 0.0
        self.module.train()
        start = perf_counter()
        for x, y in self.loader:
            self.optimizer.zero_grad()
            images, labels = x.to(self.device), y.to(self.device)
            scores = self.module(images)
            loss = entropy(scores, labels)
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                loss_sum += loss.item() * len(labels)
                right += (scores.argmax(1) == labels).sum().item()
        return perf_counter() - start
