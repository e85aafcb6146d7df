"""What may be written in an expression: parameters, counters, sizes of nodes, and functions."""

import re
from collections.abc import Iterator

from lsprotocol.types import CompletionItemKind

from cnnc.editor.choices import Completable, CompletionPlace, shapes_of
from cnnc.editor.sections import Section, mapping
from cnnc.expressions.grammar import ATTRIBUTES
from cnnc.expressions.operations import FUNCTIONS
from cnnc.language.names import COUNTERS

_DOTTED = re.compile(r"(\w+)\.\w*$")


def in_expression(before: str) -> bool:
    """Whether a string that ends at the cursor ends in an expression."""
    dollar = before.rfind("$")
    after = before[dollar + 1 :]
    if dollar < 0 or before[:dollar].endswith("$"):
        return False
    return after.count("(") > after.count(")") if after.startswith("(") else re.fullmatch(r"\w*", after) is not None


def of_expression(place: CompletionPlace) -> Iterator[Completable]:
    """Yield what may come next in the expression at the cursor."""
    before = place.cursor.before
    if dotted := _DOTTED.search(before):
        yield from _sizes(place, dotted[1])
        return
    for section in _around(place.section):
        for name in section.params:
            default = mapping(mapping(section.value).get("params")).get(name)
            about = "" if default is None or default.data is None else f"default {default.plain()}"
            yield Completable(name, name, CompletionItemKind.Variable, about or "parameter")
    for name, about in COUNTERS.items() if _is_repeated(place) else ():
        yield Completable(name, name, CompletionItemKind.Variable, about)
    if "(" not in before[before.rfind("$") :]:  # `$name` takes no sizes and functions
        return
    owner = place.section.owner if place.section else None
    shapes = shapes_of(place, owner) if owner else {}
    for name in (*owner.inputs, *owner.names) if owner else ():
        if name.isidentifier():
            yield Completable(name, f"{name}.", CompletionItemKind.Reference, shapes.get(name, ""))
    for name in FUNCTIONS:
        yield Completable(name, f"{name}(", CompletionItemKind.Function, "function")


def _is_repeated(place: CompletionPlace) -> bool:
    """Whether the cursor is in a `repeat` or an `each`."""
    root, path = place.session.documents.contents(place.key).root, place.cursor.path
    around = [root.at(*path[:end]) for end in range(len(path))] if root else []
    return "each" in path or any("repeat" in mapping(each) for each in around)


def _sizes(place: CompletionPlace, name: str) -> Iterator[Completable]:
    owner = place.section.owner if place.section else None
    if owner and (name in owner.names or name in owner.inputs):
        about = f"of {shapes_of(place, owner).get(name) or name}"
        yield from (Completable(each, each, CompletionItemKind.Field, about) for each in ATTRIBUTES)


def _around(section: Section | None) -> Iterator[Section]:
    while section:
        yield section
        section = section.around
