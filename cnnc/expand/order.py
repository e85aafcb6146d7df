"""Orders the waiting items of a scope: inputs before their users, otherwise in the order of the file.

Takes the items that wait after the whole scope has been read; returns the order in which to build them, and the cycles
among them (E307).
"""

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from cnnc.diagnostics import Code, Diagnostic, Note
from cnnc.expand.scope import Names, Pending

SHOWN = 20  # nodes of a cycle that get a note
NAMED = 100  # nodes of a cycle that the message names; of a longer cycle, the two ends

Users = Mapping[Pending, list[Pending]]


class Cycle(NamedTuple):
    """Items that wait for each other, none of which can be built."""

    pending: list[Pending]
    fault: Diagnostic


class Order(NamedTuple):
    """The items before or beside the cycles, the cycles, and the items that need one of the cycles."""

    first: list[Pending]
    cycles: list[Cycle]
    last: list[Pending]


def in_order(waiting: Sequence[Pending], names: Names) -> Order:
    """The order in which to build the waiting items of a scope."""
    users = _users(waiting, names)
    first = _ready(waiting, users)
    if len(first) == len(waiting):
        return Order(first, [], [])
    done = set(first)
    stuck = [pending for pending in waiting if pending not in done]
    loops = [*_loops(stuck, users)]
    looped = {pending for loop in loops for pending in loop}
    return Order(first, [Cycle(loop, _fault(loop, users)) for loop in loops], _ready(stuck, users, looped))


def _users(waiting: Sequence[Pending], names: Names) -> Users:
    """The items that wait for each waiting item."""
    users: dict[Pending, list[Pending]] = {pending: [] for pending in waiting}
    for pending in waiting:
        found = [names.find(each) if isinstance(each, str) else each for each in pending.needs]
        for need in dict.fromkeys(each for each in found if isinstance(each, Pending)):
            users[need].append(pending)
    return users


def _ready(waiting: Sequence[Pending], users: Users, looped: Collection[Pending] = ()) -> list[Pending]:
    """The items that are not on a cycle or after one, in topological order, the first in the file first.

    `looped` are items on cycles that count as built.
    """
    missing = Counter(user for need in waiting if need not in looped for user in users[need])
    place = {pending: index for index, pending in enumerate(waiting)}
    ready = [index for pending, index in place.items() if pending not in looped and not missing[pending]]
    heapify(ready)
    found = []
    while ready:
        pending = waiting[heappop(ready)]
        found.append(pending)
        for user in users[pending]:
            missing[user] -= 1
            if not missing[user] and user not in looped:
                heappush(ready, place[user])
    return found


def _loops(stuck: list[Pending], users: Users) -> Iterator[list[Pending]]:
    """The groups of items that wait for each other, each in the order of the file."""
    import networkx as nx  # takes as long to import as the rest of a check

    place = {pending: index for index, pending in enumerate(stuck)}
    way = nx.DiGraph([(place[need], place[user]) for need in stuck for user in users[need]])
    for group in sorted(map(sorted, nx.strongly_connected_components(way))):
        if len(group) > 1 or way.has_edge(group[0], group[0]):
            yield [stuck[index] for index in group]


def _shortest_cycle(loop: list[Pending], users: Users) -> list[Pending]:
    """A shortest cycle through the first item of a group."""
    start, inside = loop[0], set(loop)
    came_from: dict[Pending, Pending] = {}
    queue = deque([start])
    while start not in came_from:
        need = queue.popleft()
        for user in users[need]:
            if user in inside and user not in came_from:
                came_from[user] = need
                queue.append(user)
    way = [start]
    while (before := came_from[way[-1]]) is not start:
        way.append(before)
    return [start, *reversed(way[1:])]


def _fault(loop: list[Pending], users: Users) -> Diagnostic:
    """E307 for a shortest cycle of a group. It shows only the nodes that are present, if there are any."""
    cycle = _shortest_cycle(loop, users)
    first, *others = shown = [each for each in cycle if not each.passage] or cycle
    way_out = "a network cannot have a cycle: change one of the `from`"
    if first.passage:  # it has the name of its input
        message = f"this node is left out, and its input `{first.name}`, which takes its place, depends on it"
        way_out = "change its `from` to an input or to a node that is not left out"
    else:
        message = f"these nodes form a cycle: {_named(shown)}" if others else f"`{first.name}` takes itself as an input"
    notes = tuple(
        Note("by way of this node" if each.passage else f"`{each.name}` is here", each.span) for each in others[:SHOWN]
    )
    return Diagnostic(Code.CYCLE, message, first.span, notes=notes, help=way_out)


def _named(loop: list[Pending]) -> str:
    """The names of the nodes on a cycle, ending with the first."""
    names = [f"`{each.name}`" for each in [*loop, loop[0]]]
    if len(names) > NAMED:
        names[NAMED // 2 : -NAMED // 2] = [f"({len(names) - NAMED:,} more)"]
    return " → ".join(names)
