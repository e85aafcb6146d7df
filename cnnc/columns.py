"""Display width of text in terminal columns: measuring, padding and truncating.

East Asian wide characters and emoji take two columns; combining marks take none.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate, takewhile

_NARROW = "\u0300"
"""Every character below this one takes one column; `×` is one of them."""


def width(text: str) -> int:
    """Return the number of columns that `text` takes."""
    return len(text) if text.isascii() or max(text) < _NARROW else sum(map(_columns, text))


def widest(texts: Iterable[str]) -> int:
    """Return the width of the widest of `texts`; 0 if there are none."""
    return max(map(width, texts), default=0)


def left(text: str, columns: int) -> str:
    """Return the text padded on the right to a number of columns."""
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """Return the text padded on the left to a number of columns."""
    return " " * (columns - width(text)) + text


def start(text: str, columns: int) -> str:
    """Return the text, or as much of its start as fits followed by an ellipsis."""
    if width(text) <= columns:
        return text
    return text[: _kept(text, columns)] + "…"


def end(text: str, columns: int) -> str:
    """Return the text, or as much of its end as fits after an ellipsis."""
    if width(text) <= columns:
        return text
    return "…" + text[len(text) - _kept(reversed(text), columns) :]


def _kept(characters: Iterable[str], columns: int) -> int:
    """Return how many leading characters take fewer than `columns` columns; reads no more than that."""
    return sum(1 for _ in takewhile(lambda total: total < columns, accumulate(map(_columns, characters))))


@lru_cache(1024)  # a table looks up the same few characters thousands of times
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
