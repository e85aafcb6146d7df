"""The outline of a file: its blocks and nodes, each with what is in it."""

from collections.abc import Iterator

from lsprotocol.types import DocumentSymbol, SymbolKind

from cnnc.diagnostics import Span
from cnnc.editor.positions import Positions
from cnnc.editor.sections import Section, WrittenNode
from cnnc.editor.session import EditorSession
from cnnc.text.value import Value


def outline(session: EditorSession, key: str) -> list[DocumentSymbol]:
    """The symbols of a file: parameters, inputs, blocks, and the nodes of the network."""
    section = session.documents.contents(key).section
    return list(_inside(section, session.positions(key))) if section else []


def _inside(section: Section, positions: Positions) -> Iterator[DocumentSymbol]:
    for kind, names in ((SymbolKind.Variable, section.params), (SymbolKind.Interface, section.inputs)):
        written = {name: span for name, span in names.items() if span != section.value.span}  # not the default input
        yield from (_symbol(name, kind, span, span, positions) for name, span in written.items())
    for name, block in section.blocks.items():
        span = section.value.at("blocks").keys[name]
        inner = list(_inside(block, positions))
        yield _symbol(name, SymbolKind.Class, span, _from(span, block.value), positions, inner)
    for entry in section.entries:
        yield _node(entry, section.owner.names_of.get(id(entry), [entry.op])[0], positions)


def _node(entry: WrittenNode, name: str, positions: Positions) -> DocumentSymbol:
    inner = list(_inside(entry.body, positions)) if entry.body else []
    kind = SymbolKind.Namespace if entry.body else SymbolKind.Function
    return _symbol(name, kind, entry.span, entry.whole, positions, inner, "" if name == entry.op else entry.op)


def _from(span: Span, value: Value) -> Span:
    """The place of a key and its value."""
    if (value.span.end_line, value.span.end_column) < (span.end_line, span.end_column):
        return span
    return span._replace(end_line=value.span.end_line, end_column=value.span.end_column)


def _symbol(
    name: str,
    kind: SymbolKind,
    span: Span,
    whole: Span,
    positions: Positions,
    inner: list[DocumentSymbol] | None = None,
    detail: str = "",
) -> DocumentSymbol:
    """A symbol; its range always holds the range of its name and those of what is in it."""
    start, end = positions.extent(whole)
    first, last = positions.extent(span)
    around = positions.between(min(start, first), max(end, last))
    return DocumentSymbol(name or "?", kind, around, positions.range(span), detail or None, children=inner or None)
