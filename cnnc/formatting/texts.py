"""Turns plain data into a text, and a text into the same text in the usual format.

The order of keys is `order.py`'s, the layout that of `layout.py` (YAML) or `json_layout.py` (JSON). A formatted text
has the same data and the same comments as before, which is checked.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnc.diagnostics import CnncError, Code, Source, Span
from cnnc.formatting.json_layout import as_json_lines
from cnnc.formatting.layout import as_lines
from cnnc.formatting.order import arrange
from cnnc.formatting.pieces import Collection, from_plain
from cnnc.formatting.reading import Layout, read_layout
from cnnc.text.reader import parse_text
from cnnc.text.source import LIMIT
from cnnc.text.yaml_events import is_json

SECTIONS = ("blocks", "nodes", "train")  # after a blank line, in a text that is written anew


def write(spec: Mapping[str, Any]) -> str:
    """Return a plain spec (dicts, lists, strings, numbers, booleans, None) as YAML, as a person would write it.

    Raises TypeError or ValueError if it contains anything else, such as NaN.
    """
    root = _arranged(spec)
    for entry in root.entries[1:]:
        if entry.key in SECTIONS:
            entry.above.append("")
    return _joined(as_lines(root))


def write_json(spec: Mapping[str, Any]) -> str:
    """Return a plain spec as JSON; raises like `write`."""
    return _joined(as_json_lines(_arranged(spec)))


def write_for(path: Path, spec: Mapping[str, Any]) -> str:
    """Return a plain spec as JSON if the path ends so, or else as YAML; raises like `write`."""
    return write_json(spec) if path.suffix == ".json" else write(spec)


def format(text: str) -> str:
    """Return a YAML or JSON text in the usual format; raises CnncError if it is not valid."""
    return format_source(Source("<text>", text))


def format_source(source: Source) -> str:
    """Return the text of a file in the usual format. A JSON text stays JSON, and line ends stay what they are.

    Raises CnncError: those of `parse_text`; E102 if the result would be too large; E104 if a file named .json is not
    JSON.
    """
    value = parse_text(source)
    found = read_layout(source, value)
    arrange(found.root)
    if is_json(source.text):
        text = _joined(as_json_lines(found.root))
    elif source.name.endswith(".json"):
        raise _not_json(source)
    else:
        text = _joined([*found.head, *as_lines(found.root)])
    if source.text.partition("\n")[0].endswith("\r"):
        text = text.replace("\n", "\r\n")
    if len(text.encode()) > LIMIT:
        message = f"formatted, {source.name} would be larger than {LIMIT:,} bytes (1 MiB), the limit of a spec"
        raise CnncError.of(Code.TOO_LARGE, message, help="use blocks and `repeat`; the file is unchanged")
    _require_same(value.plain(), found, text)
    return text


def _arranged(spec: Mapping[str, Any]) -> Collection:
    root = from_plain(spec)
    if not isinstance(root, Collection):
        raise TypeError(f"a spec must be a mapping, got {spec!r}")
    arrange(root)
    return root


def _joined(lines: list[str]) -> str:
    return "\n".join([*lines, ""])


def _not_json(source: Source) -> CnncError:
    """Return E104 at the place where a file named .json stops being JSON."""
    try:
        json.loads(source.text)
    except json.JSONDecodeError as error:
        span = Span(source, error.lineno, error.colno, error.lineno, error.colno + 1)
        message = f"{source.name} is YAML, but not JSON: {error.msg}"
        help = "give the file a name that ends in .yaml, or write it as JSON, which has no comments"
        return CnncError.of(Code.SYNTAX, message, span, help=help)
    raise AssertionError("the text is JSON")


def _require_same(data: Any, found: Layout, text: str) -> None:
    """Raise AssertionError if a formatted text has other data, another order or other comments than `found`."""
    source = Source("<formatted>", text)
    value = parse_text(source)
    if json.dumps(value.plain(), sort_keys=True) != json.dumps(data, sort_keys=True):
        raise AssertionError("formatting would change the data")
    if json.dumps(value.plain()) != json.dumps(found.root.plain()):
        raise AssertionError("formatting would change the order")
    if Counter(_comments(found)) != Counter(_comments(read_layout(source, value))):
        raise AssertionError("formatting would change the comments")


def _comments(layout: Layout) -> Iterator[str]:
    """Yield all comments of a text."""
    stack = [layout.root]
    yield from filter(None, layout.head)
    while stack:
        collection = stack.pop()
        yield from filter(None, collection.closing)
        for entry in collection.entries:
            yield from filter(None, entry.above)
            if entry.beside:
                yield entry.beside.text
            if isinstance(entry.value, Collection):
                stack.append(entry.value)
