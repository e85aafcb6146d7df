"""Texts in the columns of a terminal: how wide they are, and how they are filled up or cut to a width.

A character of East Asia or an emoji takes two columns, a mark on another character none.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate, takewhile


def width(text: str) -> int:
    """How many columns a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def widest(texts: Iterable[str]) -> int:
    """The width of the widest of some texts; 0 of none."""
    return max(map(width, texts), default=0)


def left(text: str, columns: int) -> str:
    """The text with spaces behind it."""
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """The text with spaces before it."""
    return " " * (columns - width(text)) + text


def start(text: str, columns: int) -> str:
    """As much of a text's start as fits, with a mark where it is cut."""
    if width(text) <= columns:
        return text
    return text[: _kept(text, columns)] + "…"


def end(text: str, columns: int) -> str:
    """As much of a text's end as fits, with a mark where it is cut."""
    if width(text) <= columns:
        return text
    return "…" + text[len(text) - _kept(reversed(text), columns) :]


def _kept(characters: Iterable[str], columns: int) -> int:
    """How many characters, one after the other, take less than so many columns; no more of them are looked at."""
    return sum(1 for _ in takewhile(lambda total: total < columns, accumulate(map(_columns, characters))))


@lru_cache(1024)  # a table asks thousands of times for a few
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
