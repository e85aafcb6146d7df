"""Parser events for YAML and JSON texts, as one lazy stream without recursion.

YAML is parsed by PyYAML's event parser (libyaml if available). It refuses some JSON: tabs between tokens, escaped
surrogate pairs, and keys over 1024 characters. So a text that is valid JSON is split into the same events here;
everything else is parsed as YAML.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any, NoReturn

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from cnnc.diagnostics import CnncError, Code, Source, Span

Event = Any  # one of yaml.events, whose stubs allow missing marks; the parsers always set them
Mark = Any


class PureParser(Reader, Scanner, Parser):
    """PyYAML's Python parser, for installations without its C extension."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


PARSER: Any = yaml.cyaml.CParser if yaml.__with_libyaml__ else PureParser  # type: ignore[attr-defined]
"""The parser in use. Both parsers give the same data, but each refuses some texts that the other accepts: the Python
one a `?` in a plain scalar between brackets, the C one `[a:]` and a tab at the start of a block scalar."""

# A single character set would take 5 ms to compile.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ud800-\udfff]|[\ufeff\ufffe\uffff]")
_DIRECTIVE = re.compile(r"(?:[ ]*(?:#[^\n\r]*)?[\r\n])*(%[^\n\r]*)")
_JSON_TOKEN = re.compile(r'[{}\[\]]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s:,{}\[\]"]+')
_COMMENT = re.compile(r"#[^\n\r\x85\u2028\u2029]*")


def place(source: Source, index: int, length: int = 1) -> Span:
    """The span of `length` characters at offset `index`."""
    before = (source.text[:index] + "x").splitlines()
    line, column = len(before), len(before[-1])
    return Span(source, line, column, line, column + length)


def events(source: Source) -> Iterator[Event]:
    """The events of a text; raises CnncError (E103, E104, E106) and PyYAML's errors as they occur."""
    text = source.text
    if is_json(text):
        return _json_events(source)
    if found := _CONTROL.search(text):
        raise CnncError.of(
            Code.NOT_TEXT,
            f"{source.name} contains the control character U+{ord(found[0]):04X}",
            place(source, found.start()),
            label="here",
            help='remove it; if a string needs it, write it as an escape in double quotes: "\\u0007"',
        )
    if found := _DIRECTIVE.match(text):
        raise CnncError.of(
            Code.NOT_DATA,
            "directives are not part of the spec language",
            place(source, found.start(1), len(found[1].rstrip())),
            help="delete the line: specs are always YAML 1.2 (put a string that begins with % in quotes)",
        )
    parsed = _yaml_events(text)
    return _without_tabs(parsed, source) if "\t" in text else parsed


def _yaml_events(text: str) -> Iterator[Event]:
    """The parser's events, including those before a place where the parser itself refuses the nesting.

    The parsers look up to 1,024 characters ahead for a `:`. libyaml 0.2.6 refuses more than 1,000 levels, possibly
    before it has yielded the first event. The composer's limit is far lower and must apply first.
    """
    count = 0
    try:
        for event in _parsed(text):
            count += 1
            yield event
    except yaml.MarkedYAMLError as error:
        if "nesting" in (error.problem or "") and error.problem_mark:
            yield from islice(_parsed(text[: error.problem_mark.index]), count, None)
        raise


def _parsed(text: str) -> Iterator[Event]:
    parser = PARSER(text)
    try:
        while True:
            event = parser.get_event()
            yield event
            if type(event) is yaml.StreamEndEvent:
                return
    except (ValueError, OverflowError):  # raised by the Python parser for "\U00110000"
        mark = parser.get_mark()
        raise yaml.MarkedYAMLError(problem="found invalid Unicode character escape code", problem_mark=mark) from None
    finally:
        parser.dispose()


def _without_tabs(parsed: Iterator[Event], source: Source) -> Iterator[Event]:
    """The same events; raises E104 for a tab between tokens or in a plain scalar, some of which libyaml accepts."""
    text, end = source.text, 0
    for event in parsed:
        start = event.start_mark.index
        gap = _COMMENT.sub(lambda comment: " " * len(comment[0]), text[end:start])
        if "\t" in gap:
            raise refused_tab(place(source, end + gap.index("\t")))
        end = max(end, event.end_mark.index)
        if type(event) is yaml.ScalarEvent and not event.style and "\t" in text[start:end]:
            raise refused_tab(place(source, text.index("\t", start)))
        yield event


def refused_tab(span: Span) -> CnncError:
    """E104 for the tab at `span`."""
    indents = not span.source.line(span.line)[: span.column - 1].strip()
    if indents:
        return CnncError.of(
            Code.SYNTAX, "tabs are not allowed in indentation", span, label="a tab", help="indent with spaces"
        )
    return CnncError.of(
        Code.SYNTAX,
        "tabs are not allowed between the parts of a line",
        span,
        label="a tab",
        help='use spaces; write a tab in a string as an escape in double quotes: "\\t"',
    )


def is_json(text: str) -> bool:
    """Whether a text is a valid JSON list or object, with finite numbers."""
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return False
    import json

    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json_events(source: Source) -> Iterator[Event]:
    """The events of a valid JSON text; `:` and `,` add nothing to the order of the other tokens."""
    starts = [0, *accumulate(map(len, source.text.splitlines(keepends=True)))]

    def mark(index: int) -> Mark:
        line = bisect_right(starts, index) - 1
        return yaml.Mark(source.name, index, line, index - starts[line], None, 0)

    here = mark(0)
    yield yaml.StreamStartEvent(here, here)
    yield yaml.DocumentStartEvent(here, here)
    for token in _JSON_TOKEN.finditer(source.text):
        start, end = mark(token.start()), mark(token.end())
        yield _json_event(token[0], start, end)
    here = mark(len(source.text))
    yield from (yaml.DocumentEndEvent(here, here), yaml.StreamEndEvent(here, here))


def _json_event(token: str, start: Mark, end: Mark) -> Event:
    import json

    match token[0]:
        case "{":
            return yaml.MappingStartEvent(None, None, True, start, end, flow_style=True)
        case "}":
            return yaml.MappingEndEvent(start, end)
        case "[":
            return yaml.SequenceStartEvent(None, None, True, start, end, flow_style=True)
        case "]":
            return yaml.SequenceEndEvent(start, end)
        case '"':
            value = json.loads(token) if "\\" in token else token[1:-1]
            return yaml.ScalarEvent(None, None, (False, True), value, start, end, style='"')
        case _:
            return yaml.ScalarEvent(None, None, (True, False), token, start, end)
