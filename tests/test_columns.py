"""Tables keep their columns whatever the names in them are written in."""

import numpy as np
import pytest

from cnnc.analysis.check_table import table
from cnnc.columns import end, left, right, start, widest, width
from cnnc.diff import formats
from cnnc.diff.changes import compare
from cnnc.graph.graph import Graph, Node
from cnnc.inference.confusion import per_class
from cnnc.inference.confusion import table as scores
from cnnc.inference.results import Prediction, Result
from tests.agreement.one_node import graph_of

NAMES = ["cat", "猫", "ｃａｔ", "e\u0301te\u0301", "🐈", "кот", "고양이"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("cat", 3), ("猫", 2), ("ｃａｔ", 6), ("e\u0301", 1), ("🐈", 2), ("кот", 3), ("×", 1)],
)
def test_width(text, columns):
    assert width(text) == columns
    assert width(left(text, 9)) == width(right(text, 9)) == 9
    assert left(text, 9).startswith(text)
    assert right(text, 9).endswith(text)


@pytest.mark.parametrize("cut", [start, end])
@pytest.mark.parametrize("text", ["0123456789", "猫猫猫猫猫", "a猫b猫c猫d", "猫" * 9, "e\u0301" * 12])
@pytest.mark.parametrize("columns", range(2, 12))
def test_what_is_cut_fits(cut, text, columns):
    found = cut(text, columns)
    assert width(found) <= columns
    assert found == text or width(found) >= columns - 1
    part = found.strip("…")
    assert text.startswith(part) if cut is start else text.endswith(part)


def places(lines, word):
    """Where a word begins in each line, in columns."""
    return {width(line[: line.index(word)]) for line in lines}


def test_the_table_of_an_evaluation():
    matrix = np.eye(len(NAMES), dtype=np.int64)
    lines = scores(per_class(matrix, NAMES)).splitlines()[1:]
    assert len(places(lines, "1.0000")) == 1


def test_the_classes_of_a_picture():
    lines = Result("a.png", tuple(Prediction(at, name, 0.5) for at, name in enumerate(NAMES)), "cpu", 1.0)
    assert len(places(lines.as_text().splitlines()[1:], "50.00%")) == 1


def renamed(graph: Graph, path: str) -> Graph:
    """The graph with another name for its only node."""
    [node] = graph.nodes
    named = Node(path, node.op, node.inputs, node.outputs, node.cost)
    return Graph("net", graph.inputs, (named,), ())


def test_the_tables_of_a_check_and_of_a_comparison():
    narrow, wide = (graph_of("conv", {"out": out, "kernel": 3}, [(3, 8, 8)]) for out in (4, 8))
    for name in NAMES:
        lines = table(renamed(narrow, name)).splitlines()
        assert places([lines[0]], "op") == places([lines[2]], "conv")
        assert width(lines[1]) == widest(lines[:-1])
        head, rule, row, *_ = formats.table(compare(renamed(narrow, name), renamed(wide, name))).splitlines()
        assert places([head], "op") == places([row], "conv")
        assert width(rule) == widest([head, row])
