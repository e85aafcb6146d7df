"""Match the layers of a checkpoint to those of a network: by tensor shapes, by order, and by scope.

Takes the layers of both sides; returns pairs, and the groups of unmatched layers. `match_layers` guesses nothing:

* Layers of a kind (roles and shapes) are paired only if both sides have the same number of them.
* Equal names pair if every layer of a group has its name on the other side, at least when spelt alike (`names.py`).
* Order pairs layers that depend on each other; layers of parallel branches may come in any order. A checkpoint's order
  counts if it is that of a module's construction or of an ONNX file's nodes. Otherwise only the numbers in names that
  are equal apart from them count. The order used must agree with the graph everywhere.
* A scope with the same layers in it, or with a pair already, separates its layers from those of other scopes.
* A batch norm whose name is that of a convolution, but for the word for its kind, comes after it.
* A word that has one meaning in all libraries, such as `shortcut`, separates layers whose names contain it from others.

`pair_by_order` pairs what is left by order alone, which the user has to ask for.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from cnnc.weights.layers import Kind, Layer
from cnnc.weights.names import FAMILIES, bare, is_norm, marked, plain

Group = tuple[list[Layer], list[Layer]]
"""Layers of the network and of the checkpoint that may match, each side in its order."""

Marks = Mapping[str, Hashable]
LEVELS = 3  # of scopes around a layer that are compared
_NUMBER = re.compile(r"\d+")


def match_layers(
    ours: Sequence[Layer], theirs: Sequence[Layer], ancestors: Mapping[str, int], *, ordered: bool
) -> tuple[dict[str, Layer], list[Group]]:
    """Return the pairs by the name of the network's layer, and the groups of its unpaired layers with candidates.

    `ours` are in topological order; in `ancestors`, bit `i` is the layer at index `i`. `ordered`: `theirs` are in the
    order of their network.
    """
    ordered = ordered and not _alphabetical(theirs)
    alike: dict[str, list[Layer]] = defaultdict(list)
    for each in sorted(theirs, key=_numbers):
        alike[_pattern(each)].append(each)
    trusted = set(alike)
    while True:
        pairs, left = _Matcher(ours, theirs, ancestors, trusted, ordered=ordered).match()
        denied = {
            pattern for pattern in trusted if not ordered and not _in_step(ours, alike[pattern], ancestors, pairs)
        }
        if ordered and not _in_step(ours, theirs, ancestors, pairs):
            ordered = False
        elif denied:
            trusted -= denied
        else:
            return pairs, left


def pair_by_order(
    ours: Sequence[Layer], theirs: Sequence[Layer], ancestors: Mapping[str, int], left: Iterable[Group]
) -> dict[str, Layer]:
    """Return pairs of the layers in `left`: the first with the first, in every group with as many on both sides.

    Returns none if the checkpoint's order is that of the alphabet, or if in these pairs it contradicts the graph. Other
    layers may be out of order: a module may register a layer long before it runs.
    """
    place = {each.name: index for index, each in enumerate(ours)}
    rank = {each.name: index for index, each in enumerate(theirs)}
    found = {
        mine.name: its
        for group in left
        if len(group[0]) == len(group[1])
        for mine, its in zip(
            sorted(group[0], key=lambda each: place[each.name]),
            sorted(group[1], key=lambda each: rank[each.name]),
            strict=True,
        )
    }
    return found if not _alphabetical(theirs) and _in_step(ours, theirs, ancestors, found) else {}


def _in_step(
    ours: Sequence[Layer], theirs: Sequence[Layer], ancestors: Mapping[str, int], pairs: Mapping[str, Layer]
) -> bool:
    """Whether no paired layer comes before one that it depends on; otherwise the order cannot be used."""
    bit = {each.name: 1 << index for index, each in enumerate(ours)}
    our_name = {each.name: name for name, each in pairs.items()}
    names = [our_name[each.name] for each in theirs if each.name in our_name]
    later = sum(bit[name] for name in names)
    for name in names:
        later -= bit[name]
        if ancestors[name] & later:
            return False
    return True


def _alphabetical(layers: Sequence[Layer]) -> bool:
    """Whether the layers are sorted by name, so that their order carries no information."""
    return all(a.name <= b.name for a, b in pairwise(layers))


class _Matcher:
    """Pairs layers in rounds until no more can be paired."""

    def __init__(
        self,
        ours: Sequence[Layer],
        theirs: Sequence[Layer],
        ancestors: Mapping[str, int],
        trusted: "set[str]",
        *,
        ordered: bool,
    ) -> None:
        self.ours, self.theirs, self.ancestors = ours, theirs, ancestors
        self.trusted, self.ordered = trusted, ordered
        self.bit = {each.name: 1 << index for index, each in enumerate(ours)}
        self.scopes = _Scopes(ours), _Scopes(theirs)
        self.marks = [tuple(side.contents(level) for side in self.scopes) for level in range(LEVELS)]
        self.marks += [tuple(marked(side, family) for side in (ours, theirs)) for family in FAMILIES]
        self.pairs: dict[str, Layer] = {}

    def match(self) -> tuple[dict[str, Layer], list[Group]]:
        """Return all pairs that can be found, and the remaining groups."""
        while True:
            known = len(self.pairs)
            left = self.round()
            if len(self.pairs) == known:
                return self.pairs, left

    def round(self) -> list[Group]:
        """Pair what can be paired now; return the remaining groups."""
        taken = {each.name for each in self.pairs.values()}
        groups: dict[Kind, Group] = {}
        for each in self.ours:
            if each.name not in self.pairs:
                groups.setdefault(each.kind, ([], []))[0].append(each)
        for each in self.theirs:
            if each.name not in taken and each.kind in groups:
                groups[each.kind][1].append(each)
        known = [_linked(*self.scopes, self.pairs), self._beside()]
        return [left for group in groups.values() for left in self._solve(group, [*known, *self.marks])]

    def _beside(self) -> tuple[Marks, Marks]:
        """Return, for each batch norm, the name of the layer before it, without the word for its kind.

        On the network's side, this is the checkpoint's name of that layer: `conv1_bn` comes after `conv1_conv`.
        """
        before = {each.name: self._before(each) for each in self.ours if is_norm(each)}
        found = {name: bare(self.pairs[other].name) for name, other in before.items() if other in self.pairs}
        return found, {each.name: bare(each.name) for each in self.theirs if is_norm(each)}

    def _before(self, layer: Layer) -> str | None:
        """Return the layer that all paths to this one come through last; None if there is no such layer."""
        ancestors = self.ancestors[layer.name]
        last = self.ours[ancestors.bit_length() - 1].name if ancestors else None
        return last if last is not None and self.ancestors[last] | self.bit[last] == ancestors else None

    def _solve(self, group: Group, marks: "list[tuple[Marks, ...]]") -> Iterator[Group]:
        """Pair the layers of a group as far as possible; yield what remains of it."""
        ours, theirs = group
        if found := _by_name(ours, theirs):
            self.pairs |= found
        elif len(ours) != len(theirs):
            yield group
        elif len(ours) == 1:
            self.pairs[ours[0].name] = theirs[0]
        elif parts := self._in_order(group) or _by_scope(group, marks):
            for part in parts:
                yield from self._solve(part, marks)
        else:
            yield group

    def _in_order(self, group: Group) -> list[Group] | None:
        """Split a group by the position that a layer must have in the order; None if that splits nothing."""
        ours, theirs = group
        ranked = self._ranked(theirs)
        if ranked is None:
            return None
        parts: list[tuple[int, list[Layer]]] = []  # the end of a part, and its layers
        for start, end, each in sorted(self._windows(ours), key=lambda window: window[:2]):
            if parts and start < parts[-1][0]:
                parts[-1] = (max(end, parts[-1][0]), [*parts[-1][1], each])
            else:
                parts.append((end, [each]))
        return [(part, ranked[end - len(part) : end]) for end, part in parts] if len(parts) > 1 else None

    def _ranked(self, theirs: Sequence[Layer]) -> list[Layer] | None:
        """Return the checkpoint's layers in the order of its network; None if it is unknown or the names contradict."""
        numbered: dict[str, list[list[int]]] = defaultdict(list)
        for each in theirs:
            numbered[_pattern(each)].append(_numbers(each))
        if self.ordered:
            return list(theirs) if all(numbers == sorted(numbers) for numbers in numbered.values()) else None
        return sorted(theirs, key=_numbers) if len(numbered) == 1 and self.trusted >= numbered.keys() else None

    def _windows(self, ours: Sequence[Layer]) -> Iterator[tuple[int, int, Layer]]:
        """Yield the range of positions that each layer can have in a topological order of these layers."""
        members = sum(self.bit[each.name] for each in ours)
        before = [(self.ancestors[each.name] & members).bit_count() for each in ours]
        chain = before == list(range(len(ours)))
        for place, each in zip(before, ours, strict=True):
            bit = self.bit[each.name]
            after = len(ours) - 1 - place if chain else sum(1 for o in ours if self.ancestors[o.name] & bit)
            yield place, len(ours) - after, each


def _by_name(ours: Sequence[Layer], theirs: Sequence[Layer]) -> dict[str, Layer] | None:
    """Return the pairs of equal names if every layer of the network is in one; None if a name is missing or not unique.

    Names that are only spelt alike count if the exact ones are not there.
    """
    for spell in (str, plain):
        names = {spell(each.name): each for each in theirs}
        mine = [spell(each.name) for each in ours]
        if all(name in names for name in mine) and len({*mine}) == len(mine) and len(names) == len(theirs):
            return {each.name: names[name] for each, name in zip(ours, mine, strict=True)}
    return None


def _pattern(each: Layer) -> str:
    return _NUMBER.sub("#", each.name)


def _numbers(each: Layer) -> list[int]:
    return [int(number) for number in _NUMBER.findall(each.name)]


def _by_scope(group: Group, marks: "Iterable[tuple[Marks, ...]]") -> list[Group] | None:
    """Split a group by the first kind of mark that as many layers have on both sides; None if there is none."""
    for pair in marks:
        parts: dict[Hashable, Group] = defaultdict(lambda: ([], []))
        for side, mark in enumerate(pair):
            for each in group[side]:
                parts[mark.get(each.name)][side].append(each)
        if len(parts) > 1 and all(len(ours) == len(theirs) for ours, theirs in parts.values()):
            return list(parts.values())
    return None


class _Scopes:
    """The scopes around layers: name prefixes that some, but not all, layers share."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        inside: dict[str, list[Layer]] = defaultdict(list)
        for each in layers:
            for scope in _prefixes(each.name):
                inside[scope].append(each)
        self.content = {
            scope: tuple(sorted(each.kind for each in inner))
            for scope, inner in inside.items()
            if 1 < len(inner) < len(layers)
        }
        self.around = {each.name: [scope for scope in _prefixes(each.name) if scope in self.content] for each in layers}

    def contents(self, level: int) -> Marks:
        """Return, for each layer, the contents of the scope around it at a level; level 0 is the innermost."""
        found = {name: scopes[level] for name, scopes in self.around.items() if level < len(scopes)}
        return {name: self.content[scope] for name, scope in found.items()}


def _prefixes(name: str) -> Iterator[str]:
    """Yield the scopes of a name, innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _linked(our: _Scopes, their: _Scopes, pairs: Mapping[str, Layer]) -> tuple[Marks, Marks]:
    """Return, for each layer whose scope the pairs identify, the checkpoint's name of that scope."""
    forth, back = defaultdict(set), defaultdict(set)
    for name, layer in pairs.items():
        for ours, theirs in zip(our.around[name][:1], their.around[layer.name][:1], strict=False):
            forth[ours].add(theirs)
            back[theirs].add(ours)
    once = {ours: next(iter(found)) for ours, found in forth.items() if len(found) == 1}
    same = {
        ours: theirs
        for ours, theirs in once.items()
        if back[theirs] == {ours} and our.content[ours] == their.content[theirs]
    }
    known = set(same.values())
    inner = [{name: scopes[0] for name, scopes in side.around.items() if scopes} for side in (our, their)]
    return (
        {name: same[scope] for name, scope in inner[0].items() if scope in same},
        {name: scope for name, scope in inner[1].items() if scope in known},
    )
