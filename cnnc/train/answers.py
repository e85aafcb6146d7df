"""Collect the answers of a test pass: the confusion matrix, and the pictures that are classified worst.

Takes the scores and labels of each batch on the device, and waits for the device only at the end. Networks that do not
classify whole pictures have no answers.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from cnnc.data.preprocess import Preprocess
from cnnc.train.batches import BatchSource
from cnnc.train.monitor.tested import Mistake, Tested

if TYPE_CHECKING:
    from torch import Tensor

WORST = 16  # pictures in the record
SIDE = 96  # the longer side of a picture in the record, in pixels
SMALL = 48  # up to this side, PNG is smaller than JPEG, and exact

Row = tuple[float, float, float, float]


class ClassAnswers:
    """The answers of one rank: for each picture, its label, the predicted class, and the probabilities of both."""

    def __init__(self) -> None:
        self._batches: list[Tensor] = []
        self._classes = 0

    def add(self, scores: "Tensor", labels: "Tensor") -> None:
        """Add a batch: logits or log-probabilities (N, classes), and labels (N,); ignores other shapes."""
        import torch

        if scores.ndim != 2 or labels.shape != scores.shape[:1] or labels.is_floating_point():
            return
        self._classes = scores.shape[1]
        shares = scores.float().softmax(1)
        sure, predicted = shares.max(1)
        truth = shares.gather(1, labels.unsqueeze(1)).squeeze(1)
        self._batches.append(torch.stack((labels.float(), predicted.float(), truth, sure), 1))

    def rows(self) -> tuple[int, list[Row]]:
        """Return the number of classes, and the rows of all pictures, in their order."""
        import torch

        return self._classes, torch.cat(self._batches).tolist() if self._batches else []


def record(
    epoch: int,
    answers: Sequence[tuple[int, list[Row]]],
    classes: Sequence[str] | None,
    pictures: BatchSource,
    preprocess: Preprocess,
) -> Tested | None:
    """Return the record of a test from the answers of all ranks, in their order; None without answers."""
    count = max(number for number, _ in answers)
    rows = [row for _, part in answers for row in part]
    if not rows:
        return None
    matrix = [[0] * count for _ in range(count)]
    for label, predicted, _, _ in rows:
        matrix[int(label)][int(predicted)] += 1
    wrong = [index for index, (label, predicted, _, _) in enumerate(rows) if label != predicted]
    worst = sorted(wrong, key=lambda index: rows[index][2])[:WORST]
    names = [*classes] if classes and len(classes) == count else [str(index) for index in range(count)]
    return Tested(epoch, names, matrix, [_mistake(rows[index], index, pictures, preprocess) for index in worst])


def _mistake(row: Row, index: int, pictures: BatchSource, preprocess: Preprocess) -> Mistake:
    label, predicted, truth, sure = row
    name, picture = pictures.example(index)
    shown = None if picture is None else _thumbnail(preprocess.shown(picture))
    return Mistake(name, int(label), int(predicted), truth, sure, shown)


def _thumbnail(picture: "Tensor") -> str:
    """Return a small copy as a `data:` address; of the uint8 (C, H, W), one or three channels are shown."""
    from base64 import b64encode

    from PIL import Image

    pixels = picture[:3] if len(picture) >= 3 else picture[:1]
    image = Image.fromarray(pixels.movedim(0, 2).squeeze(2).cpu().numpy())
    image.thumbnail((SIDE, SIDE))
    kind = "png" if max(image.size) <= SMALL else "jpeg"
    file = BytesIO()
    image.save(file, kind)
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"
