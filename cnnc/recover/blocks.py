"""Equal scopes as instances of a block, whose parameters are the numbers in which they differ.

Takes the scopes of a tree, the inner ones first, and turns them into instances; returns the definitions of the blocks.
Two scopes are equal if they have the same nodes with the same wiring, whatever the values of their attributes. A scope
that lacks one or two nodes of another is an instance of the same block, in which a `when` leaves them out.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cnnc.graph.graph import Graph, Ref
from cnnc.recover.chains import gather_without_sum
from cnnc.recover.fits import PerRound
from cnnc.recover.layout import Plain
from cnnc.recover.layout import scope as written
from cnnc.recover.parameters import parametrize
from cnnc.recover.sequences import repeat_sequences
from cnnc.recover.tree import GROUP, TreeItem
from cnnc.recover.words import block_name

MOST_ABSENT = 2
LARGEST_WITH_ABSENT = 40  # items of a block in which a node may be absent
SMALL = 12  # items of a block in which any two nodes may be absent
Absent = frozenset[int]


@dataclass(eq=False)
class Kind:
    """Equal scopes: the largest of them, and every instance with the positions of the nodes that it lacks."""

    template: TreeItem
    instances: list[tuple[TreeItem, Absent]] = field(default_factory=list)


class BlockFinder:
    """The blocks found so far, by name."""

    def __init__(self, graph: Graph, uses: Mapping[Ref, int] | None = None) -> None:
        self.graph, self.uses = graph, uses or {}
        self.found: dict[str, Plain] = {}

    def find(self, scopes: list[TreeItem], due: Collection[int]) -> list[TreeItem]:
        """Make blocks of those of these scopes that are equal to others; return the scopes that have to wait.

        `due` are ids of scopes. The others wait for scopes that may turn out to be instances of the same block, unless
        they are equal to one that is due.
        """
        kinds: dict[Any, Kind] = {}
        for scope in scopes:
            kinds.setdefault(skeleton(scope), Kind(scope)).instances.append((scope, frozenset()))
        waiting = {key: kind for key, kind in kinds.items() if not any(id(each) in due for each, _ in kind.instances)}
        for kind in _with_absent({key: kind for key, kind in kinds.items() if key not in waiting}):
            if len(kind.instances) > 1 and not repeat_sequences([instance for instance, _ in kind.instances]):
                self._define(kind)
        return [scope for kind in waiting.values() for scope, _ in kind.instances]

    def without_sum(self, regions: list[TreeItem], root: TreeItem) -> list[TreeItem]:
        """Make scopes of the chains in a scope that equal residual blocks but for their sum, and return them."""
        return gather_without_sum(regions, [root], self.uses, self.graph)

    def _define(self, kind: Kind) -> None:
        template = kind.template
        kind.instances.sort(key=lambda each: each[0] is not template)  # the template's own values come first
        instances = [instance for instance, _ in kind.instances]
        rows = [_row(instance, absent, len(template.items)) for instance, absent in kind.instances]
        name = block_name([each.name or "" for each in instances], template, self.found)
        channels = [self.graph.type_of(next(iter(each.takes))) if len(each.takes) == 1 else None for each in instances]
        params, values = parametrize(rows, channels)
        body = written(template)
        self.found[name] = {**({"params": params} if params else {}), **body}
        for at, instance in enumerate(instances):
            instance.op = name
            instance.attributes = {key: values[key][at] for key in params}
            instance.usual = {key: value for key, value in params.items() if value is not None}
            instance.by_index = False


def _row(instance: TreeItem, absent: Absent, size: int) -> list[TreeItem | None]:
    """Return the items of an instance at the positions of the template."""
    items = iter(instance.items)
    return [None if at in absent else next(items) for at in range(size)]


# -- equality


def skeleton(scope: TreeItem, absent: Absent = frozenset()) -> Any:
    """Return what equal scopes have in common, without the items at the positions in `absent`."""
    places: dict[Ref, Any] = {ref: ("input", at) for at, ref in enumerate(scope.takes)}
    rows: list[Any] = []
    for at, item in enumerate(scope.items):
        if at in absent:
            places |= dict.fromkeys(item.outputs, places.get(item.inputs[-1]) if item.inputs else None)
            continue
        places |= {ref: (len(rows), port) for ref, port in item.outputs.items()}
        rows.append(_row_of(item, scope, places))
    outputs = (
        tuple(sorted((port, places[ref]) for ref, port in scope.outputs.items()))
        if len(scope.outputs) > 1
        else tuple(places[ref] for ref in scope.outputs)
    )
    return scope.by_index, tuple(scope.takes.values()), tuple(rows), outputs


def _row_of(item: TreeItem, scope: TreeItem, places: Mapping[Ref, Any]) -> Any:
    name = None if scope.by_index or not item.exact else item.name
    taken = tuple(places[ref] for ref in item.used)
    about = tuple((key, _form(value)) for key, value in sorted(item.attributes.items()))
    whole = id(item) if item.op == GROUP or item.share is not None else None
    times = None if item.repeat is None else ("last", item.repeat) if item.last and _named(item, scope) else "times"
    return item.op, name, taken, item.like is not None, about, whole, item.when, times, tuple(item.outputs.values())


def _named(item: TreeItem, scope: TreeItem) -> bool:
    """Whether something refers to a repeated item by name."""
    return item is not scope.items[-1]


def _form(value: Any) -> Any:
    """Return the part of an attribute's value that equal scopes share: whether there is one, and its expression."""
    if value is None or (isinstance(value, str) and "$" in value):
        return value
    return "values" if isinstance(value, PerRound) else "value"


def _with_absent(kinds: dict[Any, Kind]) -> Iterator[Kind]:
    """Yield the kinds, the largest first, each with the instances that lack some of its nodes."""
    order = sorted(kinds, key=lambda key: -len(kinds[key].template.items))
    for key in order:
        kind = kinds.pop(key, None)
        if kind is None:
            continue
        waiting, known = [frozenset[int]()], {frozenset[int]()}
        while waiting:
            for absent in _one_more(kind.template, waiting.pop()):
                if absent in known:
                    continue
                known.add(absent)
                other = kinds.pop(skeleton(kind.template, absent), None)
                if other is not None:
                    kind.instances += [(instance, absent) for instance, _ in other.instances]
                if other is not None or len(kind.template.items) <= SMALL:
                    waiting.append(absent)
        yield kind


def _one_more(template: TreeItem, absent: Absent) -> Iterator[Absent]:
    if len(absent) < MOST_ABSENT and len(template.items) <= LARGEST_WITH_ABSENT:
        for at, item in enumerate(template.items):
            plain = item.inputs and len(item.outputs) == 1 and item.repeat is None and not item.like
            if at in absent or not plain or (template.by_index and not _is_last_named(template, at)):
                continue
            if _leaves_most(template, absent | {at}):
                yield absent | {at}


def _leaves_most(template: TreeItem, absent: Absent) -> bool:
    sizes = [sum(1 for _ in item.nodes()) for item in template.items]
    left = sum(sizes) - sum(sizes[at] for at in absent)
    return left > 1 and 2 * left >= sum(sizes)


def _is_last_named(template: TreeItem, at: int) -> bool:
    """Whether no item after this one is named by another: its name, an index, depends on which items are there."""
    before: Ref | None = None
    for item in template.items:
        outside = [ref for ref in item.used if item.used != [before] and ref not in template.takes]
        if any(ref in later.outputs for ref in outside for later in template.items[at + 1 :]):
            return False
        before = next(iter(item.outputs), None)
    return True
