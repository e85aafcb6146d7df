"""How scalars are written: plain if cnnc reads them back as the same value, else in double quotes; long text in blocks.

The rules are stricter than YAML's: a text that only some parsers accept without quotes is quoted.
"""

import json
import math
import re
from itertools import pairwise

from cnnc.formatting.pieces import Leaf
from cnnc.text.scalars import resolve

_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`=<")  # a plain scalar does not begin with one of these
_ESCAPED = re.compile(
    r"[\x7f-\xa0\xad\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ufeff\ufff0-\uffff]"
)  # what does not show, or is not allowed in a text; JSON escapes the characters below a space
_INVISIBLE = re.compile(rf"[\x00-\x1f]|{_ESCAPED.pattern}")
_SPECIAL = re.compile(rf": |:$| #|{_INVISIBLE.pattern}")
_SPECIAL_IN_FLOW = re.compile(r"[,\[\]{}?:]")


def spell(text: Leaf, *, in_flow: bool) -> str:
    """Return a scalar on one line; `in_flow` if it is inside brackets. Raises ValueError for NaN and infinity."""
    if text.written is not None:
        return text.written
    if isinstance(text.data, str):
        return text.data if _is_plain(text.data, in_flow) else quoted(text.data)
    return number(text.data)


def spell_key(key: str, *, in_flow: bool) -> str:
    """Return a key of a mapping."""
    return key if _is_plain(key, in_flow) else quoted(key)


def number(data: float | None) -> str:
    """Return a number, a boolean or null as in JSON, without needless zeros in the exponent."""
    if isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{data} is not finite, and a spec cannot have it")
    if isinstance(data, bool) or data is None:
        return json.dumps(data)
    return re.sub(r"e([-+])0+", r"e\1", float.__repr__(data)) if isinstance(data, float) else str(int(data))


def quoted(data: str) -> str:
    """Return a string in double quotes; characters that do not show are written as escapes."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(data, ensure_ascii=False))


def block(data: str, width: int, *, fold: bool = False) -> list[str] | None:
    """Return the lines of a block scalar, the header (`|`, `>-` …) first; None if the string does not suit one.

    A string of several lines does, and with `fold` also a string of one line. Lines longer than `width` are folded.
    """
    body, ends = (data[:-1], True) if data.endswith("\n") else (data, False)
    lines = body.split("\n")
    if not (fold or "\n" in data) or not all(map(_fits_block, lines)) or not lines[0] or not lines[-1]:
        return None
    if (fold or any(len(line) > width for line in lines)) and all(line == line.strip(" ") for line in lines):
        return [">" if ends else ">-", *_folded(lines, width)]
    return ["|" if ends else "|-", *lines] if "\n" in data and lines[0][0] != " " else None


def _fits_block(line: str) -> bool:
    return not _INVISIBLE.search(line) and not line.endswith(" ")


def _folded(lines: list[str], width: int) -> list[str]:
    """Return the lines of a folded text: each line filled to `width`, with a blank line after it for its line break."""
    filled = [_fill(line, width) for line in lines]
    return [*filled[0], *(each for line in filled[1:] for each in ("", *line))] if len(lines) > 1 else filled[0]


def _fill(line: str, width: int) -> list[str]:
    """Break a line at single spaces, so that each part has at most `width` characters if it can."""
    breaks = [found.start() for found in re.finditer(r"(?<=[^ ]) (?=[^ ])", line)]
    parts, start = [], 0
    for here, following in pairwise([*breaks, len(line)]):
        if following - start > width:
            parts.append(line[start:here])
            start = here + 1
    return [*parts, line[start:]] if line else []


def _is_plain(data: str, in_flow: bool) -> bool:
    """Return whether a string needs no quotes."""
    if not data or data != data.strip() or data[0] in _INDICATORS or data.startswith("...") or _SPECIAL.search(data):
        return False
    if in_flow and (_SPECIAL_IN_FLOW.search(data) or data.count("(") > data.count(")")):
        return False
    try:
        return resolve(data) == data
    except ValueError:  # a number that is too large
        return False
