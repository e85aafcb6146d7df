"""Reads what can be read of a text that is not valid YAML, such as a line that is being typed.

Takes a source; returns the `Value` of its top level. Lines with errors are mended, at most `MOST_REPAIRS` times: a line
is closed (quotes and brackets), gets the colon or comma that it lacks, or is left out. What stays keeps its place.
"""

import re
from collections.abc import Iterator

import yaml

from cnnc.diagnostics import CnncError, Source
from cnnc.text.composer import Composer
from cnnc.text.value import Value
from cnnc.text.yaml_events import events

MOST_REPAIRS = 12
_CLOSERS = {"[": "]", "{": "}"}
_WORD = re.compile(
    r"""(?<![^\s\[{,:])(?P<quote>["'])(?:(?!(?P=quote)).)*(?P<end>(?P=quote))?|(?P<comment>(?<!\S)\#.*)|[\[\]{}]"""
)


def read_tolerantly(source: Source) -> Value | None:
    """The mapping at the top level of a text, without what could not be read; None if there is none."""
    lines = source.text.splitlines(keepends=True)
    tried: set[tuple[int, str]] = set()
    for _ in range(MOST_REPAIRS):
        composer, fault = _compose(Source(source.name, "".join(lines)))
        if fault is None:
            root = composer.root
            return root if root is not None and isinstance(root.data, dict) else None
        repair = next((each for each in _repairs(fault, lines) if each not in tried), None)
        if repair is None:
            return None
        tried.add(repair)
        line, kind = repair
        lines[line] = _mended(lines[line], kind)
    return None


class _Fault(tuple[int, int, str]):
    """Where parsing stopped: the lines, from 0, of the error and of what it is in, and the message."""


def _compose(source: Source) -> tuple[Composer, _Fault | None]:
    composer = Composer(source)
    try:
        for event in events(source):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        problem, context = error.problem_mark, error.context_mark
        line = problem.line if problem else 0
        return composer, _Fault((line, context.line if context else line, f"{error.context}: {error.problem}"))
    except yaml.YAMLError as error:  # a character that YAML does not allow
        return composer, _Fault((source.text.count("\n", 0, getattr(error, "position", 0)), 0, ""))
    except CnncError as error:
        span = error.diagnostics[0].span
        line = span.line - 1 if span else 0
        return composer, _Fault((line, line, ""))
    return composer, None


def _repairs(fault: _Fault, lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the repairs of a fault, each a line and what to do with it, the gentlest first."""
    if not lines:
        return
    at, around, message = fault
    at, around = (_written(lines, min(each, len(lines) - 1)) for each in (at, around))
    before = _written(lines, max(0, at - 1))
    if "expected ':'" in message:
        yield around, "colon"
    elif "flow" in message or "quoted" in message:
        if not lines[around].rstrip().endswith(("{", "[")):
            yield around, "close"
        yield before, "close"
        yield before, "comma"
        yield at, "close"
        yield at, "colon"
    yield at, "close"
    yield at, "leave out"
    yield around, "leave out"
    yield before, "leave out"


def _written(lines: list[str], line: int) -> int:
    """The last line up to `line` that is not blank."""
    while line > 0 and not lines[line].strip():
        line -= 1
    return line


def _mended(line: str, kind: str) -> str:
    text = line.rstrip("\r\n")
    end = line[len(text) :]
    if kind == "leave out":
        return end
    if kind == "close":
        return _closed(text) + end
    return text.rstrip() + {"colon": ":", "comma": ","}[kind] + end


def _closed(text: str) -> str:
    """The line with its quotes and brackets closed, and without a comment."""
    missing: list[str] = []
    for word in _WORD.finditer(text):
        if word["comment"]:
            text = text[: word.start()].rstrip()
        elif word["quote"]:
            missing += [word["quote"]] * (word["end"] is None)
        elif word[0] in _CLOSERS:
            missing.append(_CLOSERS[word[0]])
        elif missing and missing[-1] == word[0]:
            missing.pop()
    return text + "".join(reversed(missing))
