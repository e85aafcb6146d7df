"""The tree that is laid out: the values of a spec with the comments and blank lines around them.

A `Collection` holds entries in their order. Each `Entry` is an item of a list, or a key and its value in a mapping, and
carries the lines above it and the comment beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from cnnc.text.value import Scalar


class Style(Enum):
    """How a collection is laid out that does not fit into one line; BLOCK and NODE apply even if it fits."""

    AUTO = auto()  # a list of scalars is filled, others have one entry per line
    FILL = auto()  # in flow style over several lines, aligned after the bracket
    BLOCK = auto()  # one entry per line
    NODE = auto()  # like BLOCK in YAML (`- conv: …`), like AUTO in JSON


@dataclass(slots=True)
class Leaf:
    """A scalar. `written` is the source text of a number, a boolean or null."""

    data: Scalar
    written: str | None = None
    spread: bool = False
    """Whether a string too long for its line is folded."""

    def plain(self) -> Scalar:
        """Return the data."""
        return self.data


@dataclass(slots=True)
class Comment:
    """A comment at the end of a line: its text, its column, and the number of spaces before it."""

    text: str
    column: int
    gap: int
    aligned: bool = False
    """Whether it keeps its column, which another comment has too, rather than the number of spaces."""


@dataclass(slots=True)
class Entry:
    """An item of a list, whose `key` is None, or a key and its value."""

    value: "Leaf | Collection"
    key: str | None = None
    above: list[str] = field(default_factory=list)
    """The comments above it; an empty string is a blank line."""
    beside: Comment | None = None


@dataclass(slots=True)
class Collection:
    """A list or a mapping. `closing` are the lines after its last entry."""

    is_mapping: bool
    entries: list[Entry] = field(default_factory=list)
    style: Style = Style.AUTO
    closing: list[str] = field(default_factory=list)

    def plain(self) -> Any:
        """Return the data as dicts, lists and scalars."""
        values = [
            each.value.plain() if isinstance(each.value, Collection) else each.value.data for each in self.entries
        ]
        return dict(zip((each.key for each in self.entries), values, strict=True)) if self.is_mapping else values


def from_plain(data: Any) -> Leaf | Collection:
    """Return the tree of plain data: mappings, lists, tuples and scalars. Raises TypeError for anything else."""
    if isinstance(data, Mapping):
        if wrong := next((key for key in data if not isinstance(key, str)), None):
            raise TypeError(f"a key must be a string, got {wrong!r}")
        return Collection(True, [Entry(from_plain(value), key) for key, value in data.items()])
    if isinstance(data, list | tuple):
        return Collection(False, [Entry(from_plain(value)) for value in data])
    if data is None or isinstance(data, bool | int | float | str):
        return Leaf(data, spread=True)
    raise TypeError(f"{data!r} is no plain data")
