"""Renaming of blocks, nodes, inputs and parameters in all files.

A new name is refused if it is not valid, if it is taken, or if the network would change: default names such as `conv_2`
make way for explicit ones.
"""

from pathlib import Path
from typing import NoReturn

from lsprotocol.types import Position, Range, TextEdit, WorkspaceEdit
from pygls.exceptions import JsonRpcInvalidParams

from cnnc.diagnostics import Diagnostic, Source
from cnnc.diagnostics.levels import Levels
from cnnc.editor.analysis import Analysis
from cnnc.editor.documents import Contents, real
from cnnc.editor.navigation import all_places, symbol_at
from cnnc.editor.session import EditorSession
from cnnc.editor.symbols import Occurrence
from cnnc.graph.graph import Graph
from cnnc.language.names import check_name
from cnnc.ops import registry

_NOUNS = {"block": "a block", "param": "a parameter", "value": "a node"}


def prepare_rename(session: EditorSession, key: str, position: Position) -> Range | None:
    """The range of the name at a position; None if there is nothing to rename."""
    found = symbol_at(session, key, position)
    if found is None or found.symbol.kind == "file" or not found.written:
        return None
    return session.positions(key).range(found.span)


def rename(session: EditorSession, key: str, position: Position, name: str) -> WorkspaceEdit | None:
    """The edits that give the name at a position a new one; raises JsonRpcInvalidParams if it is refused."""
    found = symbol_at(session, key, position)
    if found is None or found.symbol.kind == "file":
        return None
    places = all_places(session, found.symbol)
    unnamed = [each for each in places if each.occurrence.defines and not each.occurrence.written]
    if unnamed:
        _refuse(f"`{found.symbol.name}` is a default name: give it a `name` where it is defined")
    _check(session, found, name)
    edits: dict[str, list[TextEdit]] = {}
    texts: dict[str, str] = {}
    for file in dict.fromkeys(each.file for each in places):
        positions = session.positions(file)
        extents = sorted({positions.extent(each.occurrence.span) for each in places if each.file == file})
        edits[session.documents.uri(file)] = [TextEdit(positions.between(*each), name) for each in extents]
        text = positions.text
        for start, end in reversed(extents):
            text = text[:start] + name + text[end:]
        texts[file] = text
    _require_same_network(session, {key, *texts, *session.documents.users_of(texts)}, texts)
    return WorkspaceEdit(changes=edits)


def _check(session: EditorSession, found: Occurrence, name: str) -> None:
    """Refuse a name that is not valid or is taken."""
    problems: list[Diagnostic] = []
    kind, file, path, _ = found.symbol
    check_name(name, found.span, problems.append, _NOUNS[kind])
    for each in problems:
        _refuse(f"{each.message}: {each.help}" if each.help else each.message)
    if kind == "block" and (registry.reserved(name) or name in ("group", "each")):
        _refuse(f"there is an op `{name}`")
    contents = session.documents.contents(file)
    sections = {each.path: each for each in contents.section.walk()} if contents.section else {}
    section = sections.get(path)
    taken: set[str] = set(session.documents.blocks(file)) if kind == "block" else set()
    if section and kind == "param":
        taken = {*section.params}
    elif section and kind == "value":
        taken = {*section.names, *section.inputs}
    if name in taken:
        _refuse(f"the name `{name}` is taken")


def _require_same_network(session: EditorSession, files: set[str], texts: dict[str, str]) -> None:
    """Refuse a renaming after which a network would have other nodes or inputs than before, or a file more errors."""

    def read(path: Path) -> Source:
        text = texts.get(real(path))
        return Source(str(path), text) if text is not None else session.documents.read(path)

    for file in files:
        before = session.analyses.of(file)
        source = before.contents.source
        after = Analysis(Contents.of(Source(source.name, texts.get(file, source.text))), read, Levels())
        whole = before.graph if before.graph and not before.graph.partial else None
        if whole and (after.graph is None or _structure(after.graph) != _structure(whole)):
            _refuse("with this name the network would change: other names would get another meaning")
        if _errors(after) > _errors(before):
            _refuse("with this name the file would have an error that it has not now")


def _errors(analysis: Analysis) -> int:
    return sum(each.severity == "error" for each in analysis.diagnostics)


def _structure(graph: Graph) -> list[object]:
    """The ops of a network and how they are connected, without names."""
    numbers = {each.name: index for index, each in enumerate(graph.inputs)}
    numbers |= {node.path: len(numbers) + index for index, node in enumerate(graph.nodes)}
    takes = [[(numbers[ref.node], ref.port) for ref in node.inputs] for node in graph.nodes]
    gives = [(numbers[each.ref.node], each.ref.port) for each in graph.outputs]
    return [*((node.op.name, node.outputs) for node in graph.nodes), takes, gives]


def _refuse(message: str) -> NoReturn:
    raise JsonRpcInvalidParams(message)
