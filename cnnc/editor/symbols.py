"""The names in a file and what they mean: blocks, nodes and inputs, parameters, and used files.

Takes the structure of a file; returns an `Occurrence` for each place where a name is defined or used. Names in
expressions count, and so do the attributes of an instance, which are the parameters of its block.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cnnc.diagnostics import Span
from cnnc.editor.documents import Documents, real
from cnnc.editor.sections import Section, WrittenNode, mapping
from cnnc.expressions.grammar import Expression
from cnnc.expressions.parse_cache import TEXTS
from cnnc.expressions.strings import place_in
from cnnc.language.model import WORDS
from cnnc.text.value import Value


class Meaning(NamedTuple):
    """The meaning of a name: its kind (`block`, `value`, `param` or `file`), and the section that defines it."""

    kind: str
    file: str
    section: tuple[str | int, ...]
    name: str


class Occurrence(NamedTuple):
    """A place of a name. A node without a `name` is defined at its op, where its name is not `written`."""

    symbol: Meaning
    span: Span
    defines: bool = False
    written: bool = True


def occurrences(documents: Documents, key: str) -> list[Occurrence]:
    """All names in a file, in no particular order."""
    section = documents.contents(key).section
    return list(_Names(documents, key).of_file(section)) if section else []


class _Names:
    """Reads the names of one file."""

    def __init__(self, documents: Documents, key: str) -> None:
        self._documents, self._key = documents, key
        self._blocks: dict[str, tuple[str, Section] | None] = {}

    def of_file(self, file: Section) -> Iterator[Occurrence]:
        for entry in self._documents.contents(self._key).used:
            used = real(Path(self._key).parent / str(entry.data))
            yield Occurrence(Meaning("file", used, (), ""), bare(entry.span))
        for name in file.blocks:
            span = file.value.at("blocks").keys[name]
            yield Occurrence(Meaning("block", self._key, (), name), bare(span), defines=True)
        for section in file.walk():
            yield from self._of_section(section)

    def _of_section(self, section: Section) -> Iterator[Occurrence]:
        for name, span in section.params.items():
            yield Occurrence(Meaning("param", self._key, section.path, name), bare(span), defines=True)
        for name, span in section.inputs.items():
            written = span != section.value.span
            place = bare(span) if written else _start(span)
            yield Occurrence(Meaning("value", self._key, section.path, name), place, defines=True, written=written)
        keys = mapping(section.value)
        for key in ("params", "over"):
            yield from self._expressions(keys.get(key), section, section)
        if section.owner is section:
            yield from self._references(keys.get("outputs"), section)
        if section.kind == "file":
            for key in ("input", "inputs"):
                yield from self._expressions(keys.get(key), section, section)
        for entry in section.entries:
            yield from self._of_entry(entry, section)

    def _of_entry(self, entry: WrittenNode, section: Section) -> Iterator[Occurrence]:
        owner = section.owner
        for name in owner.names_of.get(id(entry), ()):
            given = entry.given_name
            explicit = given is not None and given.data == name
            span = bare(given.span) if explicit and given else entry.span
            yield Occurrence(Meaning("value", self._key, owner.path, name), span, defines=True, written=explicit)
        block = self._block(entry.op)
        if block:
            yield Occurrence(Meaning("block", block[0], (), entry.op), bare(entry.span))
        for key, value in mapping(entry.attributes).items():
            if block and key in block[1].params and key not in WORDS:
                assert entry.attributes
                symbol = Meaning("param", block[0], block[1].path, key)
                yield Occurrence(symbol, bare(entry.attributes.keys[key]))
            if key in ("from", "share", "like"):
                yield from self._references(value, owner)
            if entry.body is None or key in ("name", "from", "when", "repeat", "share"):
                yield from self._expressions(value, section, owner)

    def _block(self, name: str) -> tuple[str, Section] | None:
        if name not in self._blocks:
            self._blocks[name] = self._documents.block(self._key, name)
        return self._blocks[name]

    def _references(self, value: Value | None, section: Section) -> Iterator[Occurrence]:
        """Yield the names in a `from`, or in `outputs`."""
        if value is None:
            return
        if isinstance(value.data, str):
            name = value.data.partition(".")[0]
            span = bare(value.span)
            known = name in section.names or name in section.inputs
            if known and span.line == span.end_line and "$" not in value.data:
                place = span._replace(end_column=min(span.end_column, span.column + len(name)))
                yield Occurrence(Meaning("value", self._key, section.path, name), place)
        elif isinstance(value.data, tuple):
            for each in value.data:
                yield from self._references(each, section)
        elif isinstance(value.data, dict):
            for name, each in value.data.items():
                if not (name in ("as", "only", "weight") and isinstance(each.data, str)):
                    yield from self._references(each, section)

    def _expressions(self, value: Value | None, section: Section, owner: Section) -> Iterator[Occurrence]:
        """Yield the names in the expressions of a value: parameters, and nodes whose sizes are read."""
        if value is None:
            return
        if isinstance(value.data, str):
            for expression in TEXTS.expressions(value.data) if "$" in value.data else ():
                yield from self._expression(expression, value, section, owner)
        elif isinstance(value.data, tuple | dict):
            for each in value.data.values() if isinstance(value.data, dict) else value.data:
                yield from self._expressions(each, section, owner)

    def _expression(
        self, expression: Expression, value: Value, section: Section, owner: Section
    ) -> Iterator[Occurrence]:
        for node in ast.walk(expression.node):
            symbol = None
            name = node.value if isinstance(node, ast.Attribute) else node
            if not isinstance(name, ast.Name):
                continue
            if isinstance(node, ast.Attribute):
                if name.id in owner.names or name.id in owner.inputs:
                    symbol = Meaning("value", self._key, owner.path, name.id)
            elif definer := section.param(name.id):
                symbol = Meaning("param", self._key, definer.path, name.id)
            span = place_in(str(value.data), value.span, expression.extent_of(name))
            if symbol and span != value.span:  # else the text is not in the file as it is, as in a string with escapes
                yield Occurrence(symbol, span)


def bare(span: Span) -> Span:
    """The place of a string without its quotes."""
    written = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    quoted = span.line == span.end_line and len(written) > 1 and written[0] == written[-1] and written[0] in "\"'"
    return span._replace(column=span.column + 1, end_column=span.end_column - 1) if quoted else span


def _start(span: Span) -> Span:
    return span._replace(end_line=span.line, end_column=span.column)
