"""Evaluate a segmentation on pictures with masks: `cnnc eval --masks`.

Takes a `Scorer` whose first output is a segmentation, and pairs of pictures and masks; returns a `MaskEvaluation`.
Masks are resized (to the nearest value) and cropped as their pictures, so every pixel that goes into the network counts
once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnc.artifacts.contract import InputContract, OutputContract
from cnnc.columns import left, widest
from cnnc.data.dataset import IGNORED, DecodedSplit, Part, Unreadable
from cnnc.data.masks import Pair, prepare_mask, read_mask
from cnnc.data.packed import PackedSplit
from cnnc.data.pictures import DecodedPicture, decoders, open_picture, prepare
from cnnc.data.placement import Framing, place
from cnnc.data.shards import Shards
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.diagnostics.render import visible
from cnnc.graph.output_kinds import MOST_CLASSES, OUTSIDE, class_count
from cnnc.inference import confusion
from cnnc.inference.evaluation_batches import batch_size, preprocess_of
from cnnc.inference.scorers import Scorer, require_finite, unsuited
from cnnc.inference.shown import spread, winners


@dataclass(frozen=True, slots=True)
class ClassOverlap:
    """One class: intersection over union (None if it never occurs nor is predicted), and its number of pixels."""

    index: int
    label: str | None
    iou: float | None
    pixels: int


@dataclass(frozen=True, eq=False)
class MaskEvaluation:
    """The result of `evaluate_masks`. `matrix` (K, K) counts pixels: rows are true classes, columns predicted ones.

    `ignored` are the pixels without a true class, or outside the network's view.
    """

    model: str
    matrix: confusion.Matrix
    labels: tuple[str, ...] | None
    device: str
    examples: int
    ignored: int
    notes: tuple[str, ...] = ()
    skipped: tuple[Unreadable, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """A name for each class."""
        return self.labels or tuple(map(str, range(len(self.matrix))))

    @property
    def pixels(self) -> int:
        return int(self.matrix.sum())

    @property
    def pixel_accuracy(self) -> float:
        """The fraction of pixels with the true class, 0..1."""
        return int(self.matrix.trace()) / self.pixels

    @property
    def mean_iou(self) -> float:
        """The mean intersection over union of the classes that occur or are predicted."""
        found = [each.iou for each in self.per_class if each.iou is not None]
        return sum(found) / len(found)

    @property
    def per_class(self) -> tuple[ClassOverlap, ...]:
        both, true, predicted = self.matrix.diagonal(), self.matrix.sum(1), self.matrix.sum(0)
        union = (true + predicted - both).tolist()
        names: Sequence[str | None] = self.labels or [None] * len(union)
        return tuple(
            ClassOverlap(index, names[index], int(both[index]) / union[index] if union[index] else None, int(pixels))
            for index, pixels in enumerate(true)
        )

    def as_json(self) -> dict[str, Any]:
        """The object of `cnnc eval --format json`; its keys are a stable interface for other programs."""
        return {
            "mean_iou": self.mean_iou,
            "pixel_accuracy": self.pixel_accuracy,
            "examples": self.examples,
            "pixels": self.pixels,
            "ignored": self.ignored,
            "skipped": len(self.skipped),
            "classes": [
                {"index": each.index, "label": each.label, "iou": each.iou, "pixels": each.pixels}
                for each in self.per_class
            ],
        }

    def as_text(self) -> str:
        """One summary line, and a table with a row for each class."""
        names = [visible(name) for name in self.classes]
        width = widest([*names, "class"])
        scores = f"mean IoU {self.mean_iou:.4f}, pixel accuracy {self.pixel_accuracy:.4f}"
        lines = [f"{self.model}: {scores}, {counted(self.examples, 'example')} ({self.device})", ""]
        lines.append(f"{left('class', width)}     IoU  {'pixels':>13}")
        for name, each in zip(names, self.per_class, strict=True):
            iou = "–" if each.iou is None else f"{each.iou:.4f}"
            lines.append(f"{left(name, width)}  {iou:>6}  {each.pixels:>13,}")
        return "\n".join([*lines, *([f"ignored: {self.ignored:,} pixels"] if self.ignored else [])])


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """A picture (H, W, C) in an array, and its mask (H, W)."""

    split: DecodedSplit
    index: int


@dataclass(frozen=True, slots=True)
class ShardPair:
    """A picture in an archive, and its mask."""

    shards: Shards
    index: int

    @property
    def picture(self) -> Path:
        return self.shards.paths[self.index]


AnyPair = Pair | DecodedPair | ShardPair


@dataclass(frozen=True, slots=True)
class _Example:
    name: str
    array: NDArray[np.float32]
    truth: NDArray[np.uint8]


def pairs_of(split: Part, to: InputContract) -> "Sequence[AnyPair]":
    """Return the pictures of a split with their masks; raises E510 if a pack lacks what the model's input needs."""
    if isinstance(split, DecodedSplit):
        if isinstance(split, PackedSplit) and to.mode is not None:
            split.require_enough(preprocess_of(to))
        return [DecodedPair(split, index) for index in range(len(split))]
    if isinstance(split, Shards):
        return [ShardPair(split, index) for index in range(len(split))]
    return list(map(Pair, split.paths, split.masks))


def evaluate_masks(
    scorer: Scorer,
    pairs: Sequence[AnyPair],
    progress: Callable[[int, int], None] = lambda done, of: None,
    *,
    skip_unreadable: bool = False,
    skipped: Sequence[Unreadable] = (),
) -> MaskEvaluation:
    """Score every pair. `progress` gets the number done and of all. `skip_unreadable` leaves out what does not
    decode, as `skipped` already are.

    Raises CnncError: E502 if the model's first output is no segmentation, E503 to E505 for a picture or mask, E507 if
    the model fails or its scores are not finite, E508 or E510 for a mask that does not fit.
    """
    to, about = scorer.contract.input, scorer.contract.described[0]
    if to.mode is None or scorer.contract.more_inputs:
        raise unsuited(scorer, "a picture must be its only input")
    if about.kind not in (None, "segmentation"):
        raise unsuited(scorer, f"its output {about.name!r} is {about.kind}, but masks score a segmentation")
    labels = scorer.contract.labels
    matrix, ignored, left_out, done = None, 0, list(skipped), 0
    for batch in _batches(pairs, to, scorer.batch or batch_size(to.shape, 1)):
        fine = [each for each in batch if isinstance(each, _Example)]
        for pair, each in zip(pairs[done:], batch, strict=False):
            if isinstance(each, CnncError):
                if not (skip_unreadable and each.diagnostics[0].code in _UNREADABLE):
                    raise each
                assert not isinstance(pair, DecodedPair)  # a decoded picture is readable
                left_out.append(Unreadable(pair.picture, each.diagnostics[0].message))
        done += len(batch)
        if fine:
            found, uncounted = _score(scorer, about, fine)
            matrix = found if matrix is None else matrix + found
            ignored += uncounted
        progress(done, len(pairs))
    if matrix is None or not matrix.any():
        raise CnncError.of(Code.DATA_MISFIT, f"no pixel of the masks has a class that counts: all are {IGNORED}")
    count = len(pairs) - len(left_out) + len(skipped)
    names = labels if labels and len(labels) == len(matrix) else None
    return MaskEvaluation(scorer.path, matrix, names, scorer.device, count, ignored, scorer.notes, tuple(left_out))


_UNREADABLE = (Code.PICTURE_UNREADABLE, Code.PICTURE_TOO_LARGE)


def _batches(pairs: Sequence[AnyPair], to: InputContract, size: int) -> Iterator[list[_Example | CnncError]]:
    """Decode and prepare pairs on threads; yield them in batches, with an error in the place of a bad pair."""

    def read(pair: AnyPair) -> _Example | CnncError:
        try:
            opened, truth, name = _opened(pair)
            placed = place((opened.image.height, opened.image.width), to)
            return _Example(name, prepare(opened, to), prepare_mask(truth, placed))
        except CnncError as error:
            return error

    remaining = iter(pairs)
    with decoders() as threads:
        while chunk := list(islice(remaining, size)):
            yield list(threads.map(read, chunk))


def _opened(pair: AnyPair) -> tuple[DecodedPicture, NDArray[np.uint8], str]:
    """Return a picture, its mask, and the name of the mask."""
    if isinstance(pair, DecodedPair):
        name = f"of picture {pair.index:,}"
        image = pair.split.images[pair.index]
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        return DecodedPicture(name, picture), pair.split.labels[pair.index], name
    if isinstance(pair, ShardPair):
        opened = pair.shards.picture(pair.index)
        size = opened.image.height, opened.image.width
        return opened, pair.shards.mask(pair.index, size), f"of {pair.picture}"
    opened = open_picture(pair.picture)
    return opened, read_mask(pair, (opened.image.height, opened.image.width)), str(pair.mask)


def _score(scorer: Scorer, about: OutputContract, examples: Sequence[_Example]) -> tuple[confusion.Matrix, int]:
    """Return the confusion matrix of a batch, and the number of pixels that are ignored."""
    import torch

    output = scorer.scores(torch.from_numpy(np.stack([each.array for each in examples])))
    if output.dim() != 4 or len(output) != len(examples) or not 0 < output.shape[1] <= MOST_CLASSES:
        raise unsuited(scorer, f"its output is {list(output.shape)}, expected a map of scores per class")
    require_finite(scorer, output)
    classes = class_count("segmentation", tuple(output.shape[1:])) or 0
    total, ignored = np.zeros((classes, classes), np.int64), 0
    for scores, example in zip(output.numpy(), examples, strict=True):
        _require_known(scorer, example, classes)
        size = (example.truth.shape[0], example.truth.shape[1])
        found = spread(winners(scores, about.scores), Framing(size, size, (0, 0), size), about.stride)
        counts = (example.truth != IGNORED) & (found != OUTSIDE)
        total += confusion.count(example.truth[counts].astype(np.int64), found[counts].astype(np.int64), classes)
        ignored += counts.size - int(counts.sum())
    return total, ignored


def _require_known(scorer: Scorer, example: _Example, classes: int) -> None:
    wrong = example.truth[(example.truth >= classes) & (example.truth != IGNORED)]
    if wrong.size:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the mask {example.name} has the class {wrong.max()}, but the model {scorer.path} has the classes "
            f"0 to {classes - 1}",
            help=f"evaluate it on masks of its own classes; {IGNORED} marks pixels that do not count",
        )
