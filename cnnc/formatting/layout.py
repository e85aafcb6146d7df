"""Lays a tree out as the lines of a YAML text.

A collection that fits is written in flow style on one line, if no comment stands inside it. Otherwise its `Style`
decides. The time is linear in the size of the tree.
"""

from collections.abc import Iterator

from cnnc.formatting.pieces import Collection, Comment, Entry, Leaf, Style
from cnnc.formatting.spelling import block, spell, spell_key

WIDTH = 120
STEP = 2
LONGEST_KEY = 1000  # parsers look for the colon in the next 1,024 characters; a longer key needs a `?`


def as_lines(root: Collection) -> list[str]:
    """Return the lines of a whole text."""
    return list(_block(root, 0)) if root.entries else ["{}", *root.closing]


def _block(collection: Collection, indent: int) -> Iterator[str]:
    """Yield the lines of a collection with one entry per line."""
    pad = " " * indent
    for at, entry in enumerate(collection.entries):
        above = entry.above[1:] if at == 0 and entry.above[:1] == [""] else entry.above
        yield from (pad + line if line else "" for line in above)
        lead = pad + "-"
        if entry.key is not None:
            lead = f"{pad}{spell_key(entry.key, in_flow=False)}:"
            if len(lead) > indent + LONGEST_KEY:
                yield f"{pad}? {lead[indent:-1]}"
                lead = pad + ":"
        yield from _entry(lead, entry, indent)
    yield from (pad + line if line else "" for line in collection.closing)


def _entry(lead: str, entry: Entry, indent: int) -> Iterator[str]:
    """Yield the lines of an entry, whose key or dash is `lead`."""
    value = entry.value
    if isinstance(value, Leaf):
        yield from _scalar(lead, value, entry.beside, indent)
        return
    column = len(lead) + 1
    flow = _flow(value)
    if flow is not None and (column + len(flow) <= WIDTH or not value.entries):
        yield _with(f"{lead} {flow}", entry.beside)
    elif flow is not None and (filled := _filled(value, column)):
        *lines, last = filled
        yield from (f"{lead if at == 0 else ' ' * (column - 1)} {line}" for at, line in enumerate(lines))
        yield _with(f"{lead if not lines else ' ' * (column - 1)} {last}", entry.beside)
    elif lead.endswith("-"):
        yield from _item(entry, value, indent)
    else:
        yield _with(lead, entry.beside)
        yield from _block(value, indent + STEP)


def _item(entry: Entry, value: Collection, indent: int) -> Iterator[str]:
    """Yield the lines of a list's item that is itself a collection in block style: its first line follows the dash."""
    first = value.entries[0]
    pad = " " * indent
    above, beside = first.above, entry.beside
    if beside and first.beside:
        above, beside = [beside.text, *above], None
    yield from (pad + line for line in above if line)
    head = Entry(first.value, first.key, beside=beside or first.beside)
    rest = Collection(value.is_mapping, [head, *value.entries[1:]], closing=value.closing)
    line, *lines = _block(rest, indent + STEP)
    yield f"{pad}- {line[indent + STEP :]}"
    yield from lines


def _scalar(lead: str, text: Leaf, beside: Comment | None, indent: int) -> Iterator[str]:
    lines = None
    if isinstance(text.data, str):
        fold = text.spread and "\n" not in text.data and len(lead) + 1 + len(text.data) > WIDTH
        lines = block(text.data, WIDTH - indent - STEP, fold=fold)
    if lines is None:
        yield _with(f"{lead} {spell(text, in_flow=False)}", beside)
        return
    header, *lines = lines
    yield _with(f"{lead} {header}", beside)
    yield from (" " * (indent + STEP) + line if line else "" for line in lines)


def _flow(collection: Collection) -> str | None:
    """Return a collection on one line; None if it, or a part of it, has comments or takes several lines."""
    parts = []
    if collection.closing or (collection.style in (Style.BLOCK, Style.NODE) and collection.entries):
        return None
    for entry in collection.entries:
        part = None if entry.beside or any(entry.above) else _flow_value(entry.value)
        if part is None or (entry.key is not None and len(entry.key) > LONGEST_KEY):
            return None
        parts.append(part if entry.key is None else f"{spell_key(entry.key, in_flow=True)}: {part}")
    inside = ", ".join(parts)
    return f"{{{inside}}}" if collection.is_mapping else f"[{inside}]"


def _flow_value(value: Leaf | Collection) -> str | None:
    if isinstance(value, Collection):
        return _flow(value)
    if isinstance(value.data, str) and "\n" in value.data and block(value.data, WIDTH):
        return None
    return spell(value, in_flow=True)


def _filled(collection: Collection, column: int) -> list[str] | None:
    """Return a collection in flow style over several lines, which begin in `column`; None if it does not suit."""
    scalars = not collection.is_mapping and all(isinstance(each.value, Leaf) for each in collection.entries)
    if collection.style is not Style.FILL and not scalars:
        return None
    opening, closing = "{}" if collection.is_mapping else "[]"
    parts = [_flow(Collection(collection.is_mapping, [entry])) or "" for entry in collection.entries]
    lines = [opening]
    for at, part in enumerate(parts):
        inside = part[1:-1] + ("," if at < len(parts) - 1 else closing)
        if len(inside) + 1 > WIDTH - column:
            return None
        if column + len(lines[-1]) + 1 + len(inside) > WIDTH:
            lines.append(f" {inside}")
        else:
            lines[-1] += inside if at == 0 else f" {inside}"
    return lines


def _with(line: str, comment: Comment | None) -> str:
    """Return a line with its comment."""
    if comment is None:
        return line
    gap = comment.column - len(line) if comment.aligned else comment.gap
    return f"{line}{' ' * gap if gap > 0 else '  '}{comment.text}"
