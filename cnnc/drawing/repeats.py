"""Finds neighbours that repeat each other, to be drawn once with a count.

Takes the nodes of each item of a scope, in order; yields ranges of items. Two items repeat if their nodes are alike and
wired alike, if the second takes values of the first, and if nothing else does: what a picture of one of them says is
then true of both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cnnc.drawing.sketch import SketchNode
from cnnc.graph.graph import Ref

Wires = tuple[tuple[int, int] | Ref, ...]


class _Print(NamedTuple):
    """The structure of some nodes, the values that they take from outside, and the positions of their own values."""

    structure: tuple[object, ...]
    takes: tuple[Ref, ...]
    place: Mapping[str, int]


def merged(
    groups: Sequence[Sequence[SketchNode]], users: Mapping[str, Sequence[str]], marks: Mapping[str, str]
) -> Iterator[range]:
    """Yield the runs of repeats; `users` maps a node to the paths that take its values."""
    prints = [_print(nodes, marks) for nodes in groups]
    start = 0
    while start < len(groups):
        stop, wires = start + 1, None
        while stop < len(groups):
            following = _wires(prints[stop - 1], prints[stop], users)
            if following is None or wires not in (None, following):
                break
            stop, wires = stop + 1, following
        yield range(start, stop)
        start = stop


def _print(nodes: Sequence[SketchNode], marks: Mapping[str, str]) -> _Print:
    place = {node.path: index for index, node in enumerate(nodes)}
    takes: dict[Ref, int] = {}
    structure = []
    for node in nodes:
        inputs = tuple(
            (place[ref.node], ref.port) if ref.node in place else -1 - takes.setdefault(ref, len(takes))
            for ref in node.inputs
        )
        structure.append((node.alike, marks.get(node.path), len(node.shapes), inputs))
    return _Print(tuple(structure), tuple(takes), place)


def _wires(one: _Print, two: _Print, users: Mapping[str, Sequence[str]]) -> Wires | None:
    """Return what `two` takes: values of `one` by their positions, or what `one` takes too; None if it is no repeat."""
    if one.structure != two.structure:
        return None
    wires: list[tuple[int, int] | Ref] = []
    for before, after in zip(one.takes, two.takes, strict=True):
        if after.node not in one.place and before != after:
            return None
        wires.append((one.place[after.node], after.port) if after.node in one.place else after)
    if not any(after.node in one.place for after in two.takes):
        return None
    alone = all(user in one.place or user in two.place for path in one.place for user in users.get(path, ()))
    return tuple(wires) if alone else None
