"""Lays a tree out as the lines of a JSON text: what fits is on one line, other collections have one entry per line."""

import json
from collections.abc import Iterator

from cnnc.formatting.layout import STEP, WIDTH
from cnnc.formatting.pieces import Collection, Leaf, Style
from cnnc.formatting.spelling import number


def as_json_lines(root: Collection) -> list[str]:
    """Return the lines of a whole text."""
    return list(_lines("", root, 0, ""))


def _lines(lead: str, value: Leaf | Collection, indent: int, end: str) -> Iterator[str]:
    """Yield the lines of a value: `lead` before it, `end` after it."""
    pad = " " * indent
    flow = _flow(value)
    if flow is not None and (isinstance(value, Leaf) or len(pad + lead + flow + end) <= WIDTH):
        yield f"{pad}{lead}{flow}{end}"
        return
    assert isinstance(value, Collection)
    opening, closing = "{}" if value.is_mapping else "[]"
    yield f"{pad}{lead}{opening}"
    for at, entry in enumerate(value.entries, start=1):
        key = "" if entry.key is None else f"{_spell(Leaf(entry.key))}: "
        yield from _lines(key, entry.value, indent + STEP, "," if at < len(value.entries) else "")
    yield f"{pad}{closing}{end}"


def _flow(value: Leaf | Collection) -> str | None:
    """Return a value on one line; None if a part of it has one entry per line."""
    if isinstance(value, Leaf):
        return _spell(value)
    if value.style is Style.BLOCK and value.entries:
        return None
    parts = []
    for entry in value.entries:
        if (part := _flow(entry.value)) is None:
            return None
        parts.append(part if entry.key is None else f"{_spell(Leaf(entry.key))}: {part}")
    inside = ", ".join(parts)
    return f"{{{inside}}}" if value.is_mapping else f"[{inside}]"


def _spell(text: Leaf) -> str:
    if text.written is not None:
        return text.written
    return json.dumps(text.data, ensure_ascii=False) if isinstance(text.data, str) else number(text.data)
