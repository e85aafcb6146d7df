"""The record of a test pass, `test.json`: the confusion matrix, and the pictures that are classified worst.

It is written whenever the best weights are, and describes them. The pictures are inside, as `data:` addresses, so a
report can be drawn without the data set.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cnnc.files.write import write_file

NAME = "test.json"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture in a wrong class: its path or number, and the probabilities of the true and of the predicted class."""

    name: str
    label: int
    predicted: int
    label_probability: float
    predicted_probability: float
    picture: str | None


@dataclass(frozen=True, slots=True)
class Tested:
    """The test after an epoch. Rows of `matrix` are the true classes, columns the predicted ones.

    `worst` begins with the picture whose true class has the lowest probability.
    """

    epoch: int
    classes: list[str]
    matrix: list[list[int]]
    worst: list[Mistake]


def write(folder: Path, tested: Tested) -> None:
    """Replace the folder's record; raises E405."""
    write_file(folder / NAME, json.dumps(asdict(tested)).encode())


def read(folder: Path) -> Tested | None:
    """Return the folder's record; None without one, or if it is damaged: the next test writes it again."""
    try:
        plain = json.loads((folder / NAME).read_bytes())
        found = Tested(**{**plain, "worst": [Mistake(**each) for each in plain["worst"]]})
        return found if _is_whole(found) else None
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _is_whole(tested: Tested) -> bool:
    """Return whether the parts fit together."""
    size = len(tested.classes)
    counts = [count for row in tested.matrix for count in row]
    return (
        [len(row) for row in tested.matrix] == [size] * size
        and all(type(count) is int for count in counts)
        and all(max(each.label, each.predicted) < size for each in tested.worst)
    )
