"""The predictions of an evaluation, picture by picture, as a CSV file."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from cnnc.data.dataset import DecodedSplit, Files

HEAD = ("picture", "label", "predicted", "probability", "probability_of_label")


@dataclass(frozen=True, slots=True)
class PicturePrediction:
    """The class of a picture and the predicted class, by number, and the probabilities that the model gives them."""

    label: int
    predicted: int
    probability: float
    probability_of_label: float


def as_csv(predictions: Iterable[PicturePrediction], split: DecodedSplit | Files, classes: Sequence[str]) -> bytes:
    """Return a header and a row for each picture: its path, or its number in the set, and the names of its classes."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEAD)
    for index, each in enumerate(predictions):
        names = classes[each.label], classes[each.predicted]
        rows.writerow([_name(split, index), *names, f"{each.probability:.6g}", f"{each.probability_of_label:.6g}"])
    return text.getvalue().encode(errors="surrogateescape")


def _name(split: DecodedSplit | Files, index: int) -> str | Path | int:
    return split.paths[index] if isinstance(split, Files) else index
