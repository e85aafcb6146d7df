"""Which tests are thorough: `make test` and plain `pytest` leave them out, `make test ALL=1` and `pytest -m ""` do not.

A test is thorough if it takes seconds, and quicker ones find nearly all faults that it finds. Of a table of networks
those of the course are quick, and those of CHOSEN; a network that is added later is thorough. Random tests draw a third
of their examples without the thorough tests.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
QUICK = "not thorough"  # what pyproject.toml selects
thorough = pytest.mark.thorough

CHOSEN = {  # networks beside those of the course that are quick, for what they have
    "dcgan": "a vector as input, transposed convolutions, and a picture as output",
    "espcn_x3": "an open size, and pixels shuffled into a picture",
    "mlp_mixer_s16": "tokens",
    "mobilenet_v3_small": "depthwise convolutions, squeeze and excitation",
    "picture_and_vector": "a picture and a vector as inputs",
    "shufflenet_v2_x1_0": "splits and shuffled channels",
    "siamese": "two pictures as inputs, and shared weights",
    "vit_b_16": "attention, and a parameter of its own",
    "yolov3_tiny": "two outputs",
}


def is_quick(spec: str | Path) -> bool:
    """Whether tests of the spec at this path, with or without its suffix, belong to the quick ones."""
    path = ROOT / spec
    return path.parent == ROOT / "specs" or path.stem in CHOSEN


def networks(table: Iterable[Any], spec: Callable[[Any], str | Path] = str) -> list[Any]:
    """The rows of a table of networks for `parametrize`, some of them thorough; `spec` returns the path of a spec."""
    return [row if is_quick(spec(row)) else pytest.param(row, marks=thorough) for row in table]


EVERY = [path for folder in ("specs", "specs/zoo") for path in sorted((ROOT / folder).glob("*.yaml"))]
every_network = pytest.mark.parametrize("path", networks(EVERY), ids=lambda path: path.stem)


def rows(table: Iterable[Any], *, quick: Iterable[Any]) -> list[Any]:
    """The rows of any other table for `parametrize`, thorough but for the `quick` ones."""
    kept = [*quick]
    return [row if row in kept else _thorough(row) for row in table]


def _thorough(row: Any) -> Any:
    return pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=thorough)


def examples(count: int) -> int:
    """How many examples a random test draws that draws `count` together with the thorough tests."""
    return -(-count * settings().max_examples // 100)
