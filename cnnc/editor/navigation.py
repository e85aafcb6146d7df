"""Go to definition, and find references, of blocks, nodes, inputs and parameters, also in files that `use` others."""

from typing import NamedTuple

from lsprotocol.types import Location, Position, Range

from cnnc.editor.session import EditorSession
from cnnc.editor.symbols import Meaning, Occurrence, occurrences


class PlacedName(NamedTuple):
    """An occurrence of a name, and its file."""

    file: str
    occurrence: Occurrence


def symbol_at(session: EditorSession, key: str, position: Position) -> Occurrence | None:
    """The name at a position; of several, one that is written there."""
    positions = session.positions(key)
    offset = positions.offset(position)
    found = []
    for each in occurrences(session.documents, key):
        start, end = positions.extent(each.span)
        if start <= offset <= end:
            found.append(each)
    return min(found, key=lambda each: (not each.written, not each.defines), default=None)


def definition(session: EditorSession, key: str, position: Position) -> list[Location]:
    """The places that define the name at a position."""
    found = symbol_at(session, key, position)
    if found is None:
        return []
    if found.symbol.kind == "file":
        start = Position(0, 0)
        return [Location(session.documents.uri(found.symbol.file), Range(start, start))]
    in_file = occurrences(session.documents, found.symbol.file)
    places = [PlacedName(found.symbol.file, each) for each in in_file if each.defines and each.symbol == found.symbol]
    return [location(session, each) for each in places]


def references(session: EditorSession, key: str, position: Position, *, definitions: bool) -> list[Location]:
    """All places of the name at a position; `definitions` includes those that define it."""
    found = symbol_at(session, key, position)
    if found is None:
        return []
    places = all_places(session, found.symbol)
    return [location(session, each) for each in places if definitions or not each.occurrence.defines]


def all_places(session: EditorSession, symbol: Meaning) -> list[PlacedName]:
    """All places of a symbol, in its file and those that use it."""
    files = [symbol.file]
    if symbol.kind != "value":
        files += sorted(session.documents.users_of([symbol.file]))
    return [
        PlacedName(file, each)
        for file in files
        for each in occurrences(session.documents, file)
        if each.symbol == symbol
    ]


def location(session: EditorSession, place: PlacedName) -> Location:
    """The location of a name."""
    return Location(session.documents.uri(place.file), session.positions(place.file).range(place.occurrence.span))
