"""Confusion matrices: what is counted, what has no share, and that every one can be drawn."""

import io

import numpy as np
from PIL import Image

from cnnc.inference import confusion


def test_the_matrix_counts_truth_in_rows():
    matrix = confusion.count(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    never = confusion.per_class(matrix, ["a", "b", "c"])[2]
    assert (never.precision, never.recall, never.count) == (None, None, 0)
    assert confusion.table([never]).splitlines() == [
        "class  precision  recall  count",
        "c              –       –      0",
    ]


def test_any_name_and_any_number_of_classes_can_be_drawn():
    for names in (["$a_b$", "\x1b[31m", "漢"], [str(i) for i in range(60)]):
        matrix = np.eye(len(names), dtype=np.int64) * 40
        with Image.open(io.BytesIO(confusion.draw(matrix, names))) as picture:
            assert picture.format == "PNG"
