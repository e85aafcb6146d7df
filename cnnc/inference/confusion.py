"""Confusion matrix: scores of each class, as a table and as a picture.

A matrix is (K, K) counts: the rows are the true classes, the columns the predicted ones.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from cnnc.columns import left, widest
from cnnc.diagnostics.render import visible

Matrix = NDArray[np.int64]
LARGEST = 20  # the most classes for which the picture has labels and counts


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class: precision (None if never predicted), recall (None if it never occurs), number of examples."""

    name: str
    precision: float | None
    recall: float | None
    count: int


def count(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Matrix:
    """Return the confusion matrix of predictions."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def per_class(matrix: Matrix, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return precision, recall and count of each class."""
    rows = zip(names, matrix.diagonal().tolist(), matrix.sum(0).tolist(), matrix.sum(1).tolist(), strict=True)
    return tuple(
        ClassScore(name, right / predicted if predicted else None, right / true if true else None, true)
        for name, right, predicted, true in rows
    )


def table(scores: Sequence[ClassScore]) -> str:
    """Format the scores as a table with a row for each class."""
    names = [visible(each.name) for each in scores]
    width = widest([*names, "class"])
    lines = [f"{left('class', width)}  precision  recall  count"]
    for name, each in zip(names, scores, strict=True):
        lines.append(f"{left(name, width)}  {_share(each.precision):>9}  {_share(each.recall):>6}  {each.count:>5,}")
    return "\n".join(lines)


def draw(matrix: Matrix, names: Sequence[str]) -> bytes:
    """Draw the matrix as a PNG: shades are fractions of the true class, and small matrices also show the counts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = min(3.0 + 0.45 * len(names), 14.0)
    figure = Figure((side, side), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= LARGEST:
        labels = [visible(name).replace("$", r"\$") for name in names]  # matplotlib reads formulas between dollars
        axes.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), labels)
        for (row, column), share in np.ndenumerate(shares):
            if matrix[row, column]:
                shade = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=shade, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    picture = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # it draws boxes for scripts that its font lacks
        figure.savefig(picture, format="png")
    return picture.getvalue()


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
