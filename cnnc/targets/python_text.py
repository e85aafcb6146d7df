"""Pieces of Python source: literals, identifiers, annotations, docstrings, and calls on as many lines as they need."""

import json
import re
from collections.abc import Iterable, Iterator
from keyword import iskeyword
from textwrap import wrap
from typing import Any

WIDTH = 110


def source(value: Any) -> str:
    """Return the source of a value, with strings in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def identifier(name: str) -> str:
    """Return `name` changed to a valid Python identifier."""
    name = re.sub(r"\W", "_", name)
    return f"_{name}" if name[:1].isdigit() else f"{name}_" if iskeyword(name) else name


def annotation(values: Iterable[Any]) -> str:
    """Return the type annotation of a parameter with these values."""
    return " | ".join(dict.fromkeys(map(_type, values)))


def _type(value: Any) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(map(_type, value))}]"
    return type(value).__name__


def docstring(text: str) -> str:
    """Return the text as a docstring, wrapped, and without characters that could end it."""
    first, *rest = wrap(text.replace("\\", "/").replace('"', "'"), WIDTH, break_on_hyphens=False) or [""]
    return "\n".join([f'"""{first}', *rest, '"""']) if rest else f'"""{first}"""'


def wrapped(start: str, items: list[str], end: str) -> Iterator[str]:
    """Yield a call or signature: on one line if it fits, otherwise with one item per line."""
    line = f"{start}{', '.join(items)}{end}"
    if len(line) <= WIDTH or not items:
        yield line
        return
    indent = " " * (len(start) - len(start.lstrip()))
    call = start.removesuffix("{").removesuffix("(")
    holder, inside, arguments = call.rpartition("(")
    if inside and end.endswith("))"):  # the call is the last argument of another
        *before, kind = arguments.split(", ")
        yield f"{holder}("
        yield from (f"{indent}    {each}," for each in before)
        yield f"{indent}    {kind}{start[len(call) :]}"
        yield from (f"{indent}        {each}," for each in items)
        yield f"{indent}    {end[:-1]}{',' if before else ''}"
        yield f"{indent})"
        return
    yield start
    yield from (f"{indent}    {each}," for each in items)
    yield f"{indent}{end}"
