"""Specs and parameter values given as Python data instead of a file.

The data is written as JSON text and parsed like any other text. The caller does not have this text, so diagnostics give
paths instead of lines: `nodes[2].conv.out`.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from cnnc.diagnostics import CnncError, Code, Source
from cnnc.text.reader import parse_text
from cnnc.text.value import Value

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_LONGEST = 64  # characters of a key in a path


@dataclass(frozen=True, eq=False)
class DataSource(Source):
    """DataSource as a JSON text, whose positions are shown as paths that begin with `prefix`."""

    prefix: str = ""

    def path_at(self, line: int, column: int) -> str:
        begins, paths = self._places
        offset = self._lines[min(line, len(self._lines)) - 1] + column - 1
        return paths[max(0, bisect_right(begins, offset) - 1)]

    @cached_property
    def _lines(self) -> list[int]:
        """The offset of each line."""
        return [0, *accumulate(len(each) for each in self.text.splitlines(keepends=True))]

    @cached_property
    def _places(self) -> tuple[list[int], list[str]]:
        """The offsets of all keys and values, in order, and their paths; the path of the root is the source's name."""
        found = list(_paths(self.text, self.prefix))
        return [begin for begin, _ in found], [path.removeprefix(".") or self.name for _, path in found]


@dataclass(slots=True)
class _Open:
    """An open list or mapping, with the index or key of its next value; None if a key comes next."""

    path: str
    at: int | str | None

    def path_of(self, at: int | str) -> str:
        if isinstance(at, int):
            return f"{self.path}[{at}]"
        at = at if len(at) <= _LONGEST else f'{at[:_LONGEST]}…"'
        return f"{self.path}.{at[1:-1]}" if re.fullmatch(r'"\w+"', at) else f"{self.path}[{at}]"


def _paths(text: str, prefix: str) -> Iterator[tuple[int, str]]:
    """Yield the offset and path of each key and value of a JSON text; a value has the path of its key."""
    around: list[_Open] = []
    for token in _TOKEN.finditer(text):
        last = around[-1] if around else None
        if token[0] in ("}", "]"):
            around.pop()
        elif last and token[0] == ",":
            last.at = last.at + 1 if isinstance(last.at, int) else None
        elif last and last.at is None:
            last.at = token[0]
            yield token.start(), last.path_of(token[0])
        elif token[0] != ":":
            path = last.path_of(last.at) if last and last.at is not None else prefix
            yield token.start(), path
            if token[0] in ("{", "["):
                around.append(_Open(path, 0 if token[0] == "[" else None))


def from_data(data: Mapping[str, Any]) -> Source:
    """A spec given as a dict, as a source. Raises CnncError (E203) if it is not plain data."""
    return DataSource("<dict>", _written(data, "the spec", indent=2))


def overrides(given: Mapping[str, Any]) -> dict[str, Value]:
    """Values for parameters, each with its path (`set.classes`). Raises CnncError (E203) if they are not plain data."""
    if not isinstance(given, Mapping):
        raise TypeError(f"`set` must be a dict of parameters and their values, got {type(given).__name__}")
    if not given:
        return {}
    root = parse_text(DataSource("<set>", _written(dict(given), "a parameter's value"), prefix="set"))
    assert isinstance(root.data, dict)
    return root.data


def _written(data: Mapping[str, Any], what: str, indent: int | None = None) -> str:
    """Plain data as JSON."""
    try:
        return json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False, default=_builtin)
    except (TypeError, ValueError, RecursionError) as error:
        help = "use only dicts, lists, strings, finite numbers, True, False and None"
        raise CnncError.of(Code.BAD_VALUE, f"{what} is not plain data: {error}", help=help) from None


def _builtin(data: object) -> object:
    """Convert mappings and numbers of other libraries, such as NumPy, to Python's; raises TypeError for the rest."""
    if isinstance(data, Mapping):
        return dict(data)
    plain = data.item() if hasattr(data, "item") and not getattr(data, "ndim", 0) else None
    if isinstance(plain, bool | int | float | str):
        return plain
    raise TypeError(f"{type(data).__name__} is not allowed in a spec")


def parse_setting(text: str) -> tuple[str, Any]:
    """Parse `NAME=VALUE` from a command line, the value as in a spec; raises ValueError if it is malformed."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"expected NAME=VALUE, got {text!r}")
    try:
        root = parse_text(Source("<set>", f"value: {value}"))
    except CnncError as error:
        raise ValueError(f"{name}: {error.diagnostics[0].message}") from None
    assert isinstance(root.data, dict)
    for more in list(root.data)[1:]:
        raise ValueError(f"{name}: expected one value, got another key `{more}` after it")
    return name, root.at("value").plain()
