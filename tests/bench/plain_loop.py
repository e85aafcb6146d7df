"""The training loop that a competent engineer writes by hand in plain torch, without a framework.

The data is in memory, an epoch is a permutation cut into batches, and nothing waits for a number within an epoch. At
the end of each it tests on the held-out part, prints a line, and saves a checkpoint from which it could go on.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

TEST_BATCH = 256


class Plain:
    """A network in training; `side` is the height and width of the pictures that it takes."""

    def __init__(self, module: nn.Module, data: Path, side: int, last: bool, precision: torch.dtype) -> None:
        arrays = np.load(data)
        self.train, self.test = (
            (torch.from_numpy(arrays[f"x_{part}"])[:, None], torch.from_numpy(arrays[f"y_{part}"]))
            for part in ("train", "test")
        )
        self.format = torch.channels_last if last else torch.contiguous_format
        self.module = module.to(memory_format=self.format)  # type: ignore[call-overload]
        self.side, self.precision = side, precision

    def run(self, epochs: int, batch: int, lr: float, folder: Path) -> list[str]:
        """Train by SGD; the lines that it printed."""
        optimizer = torch.optim.SGD(self.module.parameters(), lr=lr)
        lines = []
        for epoch in range(epochs):
            loss, right = self._train(optimizer, batch)
            tested, hit = self._test()
            lines.append(f"{epoch + 1}: loss {loss:.3f}, accuracy {right:.3f}, test {tested:.3f}, {hit:.3f}")
            print(lines[-1], flush=True)
            state = {"epoch": epoch, "model": self.module.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, folder / "plain.pt")
        return lines

    def _train(self, optimizer: torch.optim.Optimizer, batch: int) -> tuple[float, float]:
        images, labels = self.train
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        self.module.train()
        for chosen in torch.randperm(len(labels)).split(batch):
            truth = labels[chosen]
            optimizer.zero_grad(set_to_none=True)
            scores = self._scores(images[chosen])
            loss = cross_entropy(scores, truth)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(truth)
            right += (scores.argmax(1) == truth).sum()
        return total.item() / len(labels), right.item() / len(labels)

    def _test(self) -> tuple[float, float]:
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        self.module.eval()
        with torch.inference_mode():
            for images, truth in self._parts():
                scores = self._scores(images)
                total += cross_entropy(scores, truth, reduction="sum")
                right += (scores.argmax(1) == truth).sum()
        return total.item() / len(self.test[1]), right.item() / len(self.test[1])

    def _parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.test
        return zip(images.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True)

    def _scores(self, images: Tensor) -> Tensor:
        if images.shape[-1] != self.side:
            images = interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        inputs = images.float().div_(255).contiguous(memory_format=self.format)
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            scores: Tensor = self.module(inputs)
        return scores.float()
