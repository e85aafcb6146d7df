"""What may be written outside expressions: ops and blocks, keys, values, names of nodes, and files."""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lsprotocol.types import CompletionItemKind

from cnnc.editor.cursor import Cursor
from cnnc.editor.schema import Key, keys_at, values_at, written
from cnnc.editor.sections import BODIES, Section, WrittenNode, mapping
from cnnc.editor.session import EditorSession
from cnnc.language.allow import WARNINGS
from cnnc.ops import registry
from cnnc.ops.purposes import brief
from cnnc.text.source import SUFFIXES

MOST_ENTRIES = 500  # of a folder
_BODIES = {
    "group": "group:\n    nodes:\n      - $0",
    "each": "each:\n    over: {$1}\n    nodes:\n      - $0",
}


class Completable(NamedTuple):
    """Something to complete. `snippet` is the text with places to fill in, if it has any."""

    label: str
    text: str
    kind: CompletionItemKind
    detail: str = ""
    about: str = ""
    snippet: str | None = None


class CompletionPlace(NamedTuple):
    """Where something is completed. `quoted`: whether it is in quotes; None if it needs them."""

    session: EditorSession
    key: str
    cursor: Cursor
    section: Section | None
    quoted: bool | None

    def word(self, text: str) -> str:
        """A word as it is written here."""
        return f'"{text}"' if self.quoted is None else text

    def with_colon(self, text: str) -> str:
        """A key as it is written here."""
        return text if self.quoted or self.cursor.keyed else f"{self.word(text)}: "


def nodes(place: CompletionPlace) -> Iterator[Completable]:
    """Yield the blocks that the file sees, the ops, `group` and `each`."""
    bare = place.quoted is False and not place.cursor.keyed and not place.cursor.is_key
    for name, block in place.session.documents.blocks(place.key).items():
        params = mapping(mapping(block.value).get("params"))
        required = [param for param, value in params.items() if value.data is None]
        about = mapping(block.value).get("description")
        detail = ", ".join(params)
        snippet = _with_attributes(name, required) if bare and required else None
        description = str(about.plain()) if about else ""
        yield Completable(name, place.word(name), CompletionItemKind.Class, detail, description, snippet)
    for name in registry.names():
        op = registry.get(name)
        required = [field for field, each in op.model_fields.items() if each.is_required()]
        snippet = _with_attributes(name, required) if bare and required else None
        yield Completable(name, place.word(name), CompletionItemKind.Function, _brief(name), snippet=snippet)
    for name, text in _BODIES.items():
        yield Completable(name, place.word(name), CompletionItemKind.Struct, snippet=text if bare else None)


_brief = cache(brief)


def _with_attributes(name: str, required: Iterable[str]) -> str:
    places = [f"{each}: ${index}" for index, each in enumerate(required, 1)]
    return f"{name}: {{{', '.join(places)}}}"


def keys(place: CompletionPlace, path: tuple[str | int, ...]) -> Iterator[Completable]:
    """Yield the keys of the mapping at a path that it does not have yet."""
    given = set(mapping(place.cursor.inside)) if path == place.cursor.around else set()
    known = list(keys_at(path))
    op = path[-1] if path and len(path) > 2 and path[-3] == "nodes" else None
    block = place.session.documents.block(place.key, str(op)) if op else None
    if block and op not in BODIES:
        params = mapping(mapping(block[1].value).get("params"))
        known = [_param(name, each.plain()) for name, each in params.items()] + known
    for key in sorted(known, key=lambda each: not each.required):
        if key.name not in given:
            about = ["required" if key.required else "", key.takes, f"default: {key.default}" if key.default else ""]
            detail = "; ".join(filter(None, about))
            yield Completable(key.name, place.with_colon(key.name), CompletionItemKind.Property, detail, key.about)


def _param(name: str, default: object) -> Key:
    return Key(name, "", None if default is None else written(default), "a parameter of the block", default is None)


def values(place: CompletionPlace) -> Iterator[Completable]:
    """Yield the words that the value may be, and the parameters."""
    path = place.cursor.path
    for value in values_at(path):
        if not isinstance(value, dict | list):
            text = written(value)
            yield Completable(text, place.word(text) if isinstance(value, str) else text, CompletionItemKind.EnumMember)
    default = next((each.default for each in keys_at(path[:-1]) if each.name == path[-1]), None)
    if default is not None:
        yield Completable(default, default, CompletionItemKind.Value, "the default")
    if "allow" in path[-2:]:
        yield from (Completable(code, place.word(code), CompletionItemKind.EnumMember) for code in WARNINGS)
    if _takes_expressions(path):
        for name in _params(place.section):
            yield Completable(f"${name}", place.word(f"${name}"), CompletionItemKind.Variable, "parameter")


def _takes_expressions(path: tuple[str | int, ...]) -> bool:
    return "nodes" in path and path[-1] not in ("allow", "from", "share", "like", "outputs", "names", "inputs")


def _params(section: Section | None) -> Iterator[str]:
    while section:
        yield from section.params
        section = section.around


def names(place: CompletionPlace) -> Iterator[Completable]:
    """Yield the inputs and nodes that a `from` may name, the nearest first."""
    owner = place.section.owner if place.section else None
    if owner is None:
        return
    shapes = shapes_of(place, owner)
    here = next((step for step in place.cursor.path[len(owner.path) :] if isinstance(step, int)), len(owner.entries))
    numbers = {id(entry): index for index, entry in enumerate(owner.entries)}

    def distance(item: tuple[str, WrittenNode]) -> tuple[bool, int]:
        index = numbers.get(id(item[1]), here)
        return index >= here, abs(here - index)

    for name, entry in sorted(owner.names.items(), key=distance):
        if numbers.get(id(entry)) != here:
            yield Completable(name, place.word(name), CompletionItemKind.Reference, shapes.get(name) or entry.op)
    for name in owner.inputs:
        yield Completable(name, place.word(name), CompletionItemKind.Interface, shapes.get(name) or "input")


def shapes_of(place: CompletionPlace, owner: Section) -> Mapping[str, str]:
    """The output shapes of the nodes and inputs of a section by name, as far as they are known."""
    found: dict[str, str] = {}
    facts = list(place.session.facts(place.key))
    for name, entry in owner.names.items():
        shapes = [shape for each in facts for shape in each.shapes((place.key, entry.span.line, entry.span.column))]
        found[name] = ", ".join(dict.fromkeys(shapes[:2]))
    graph = place.session.analyses.of(place.key).graph
    if graph and owner.kind == "file":
        found |= {each.name: str(each.type) for each in graph.inputs}
    return found


def ports(place: CompletionPlace) -> Iterator[Completable]:
    """Yield the outputs of the node before the dot."""
    name = place.cursor.before.partition(".")[0].strip()
    owner = place.section.owner if place.section else None
    entry = owner.names.get(name) if owner else None
    if entry is None:
        return
    for facts in place.session.facts(place.key):
        for path in facts.paths((place.key, entry.span.line, entry.span.column)):
            for port, shape in facts.ports(path):
                yield Completable(port, port, CompletionItemKind.Field, shape)


def files(place: CompletionPlace) -> Iterator[Completable]:
    """Yield the files in the folder of the spec, and one level below it, that may be specs."""
    folder = Path(place.key).parent
    for entry in _entries(str(folder)):
        for file in _entries(entry.path) if entry.is_dir() else [entry]:
            if file.name.endswith(SUFFIXES) and not file.name.startswith("."):
                path = Path(file.path).relative_to(folder).as_posix()
                yield Completable(path, place.word(path), CompletionItemKind.File)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The first entries of a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(islice(entries, MOST_ENTRIES), key=lambda each: each.name)
    except OSError:
        return []
