"""Builds the pending items of a scope: inputs before their users, otherwise in the order of the file.

Takes the pending items after all items of the scope have been read, and binds each of them. A cycle is an error (E307).
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from cnnc.diagnostics import Code, Diagnostic, Note, Report
from cnnc.expand.scope import FAILED, Names, Pending

SHOWN = 20  # nodes of a cycle that get a note
NAMED = 100  # nodes of a cycle that the message names; of a longer cycle, the two ends

Users = Mapping[Pending, list[Pending]]


def settle(names: Names, report: Report) -> None:
    """Build all pending items of a scope; items on a cycle are reported and fail."""
    names.close()
    waiting, names.waiting = names.waiting, []
    users = _users(names, waiting)
    _build(waiting, users)
    stuck = [pending for pending in waiting if pending.bound is None]
    for loop in _loops(stuck, users):
        way = _shortest_cycle(loop, users)
        there = [each for each in way if not each.passage]
        report(_cycle(there) if there else _cycle_of_absent(way))
        for pending in loop:
            pending.bound = FAILED
    _build(stuck, users)


def _users(names: Names, waiting: list[Pending]) -> Users:
    """The pending items that wait for each pending item."""
    users: dict[Pending, list[Pending]] = {pending: [] for pending in waiting}
    for pending in waiting:
        found = [names.find(each) if isinstance(each, str) else each for each in pending.needs]
        for need in dict.fromkeys(each for each in found if isinstance(each, Pending) and each.bound is None):
            users[need].append(pending)
    return users


def _build(waiting: list[Pending], users: Users) -> None:
    """Build all items that are not on a cycle or after one, in topological order, the first in the file first."""
    missing = Counter(user for need in waiting if need.bound is None for user in users[need])
    place = {pending: index for index, pending in enumerate(waiting)}
    ready = [index for pending, index in place.items() if pending.bound is None and not missing[pending]]
    heapify(ready)
    while ready:
        pending = waiting[heappop(ready)]
        pending.bound = pending.build()
        for user in users[pending]:
            missing[user] -= 1
            if not missing[user] and user.bound is None:
                heappush(ready, place[user])


def _loops(stuck: list[Pending], users: Users) -> Iterator[list[Pending]]:
    """The groups of items that wait for each other, each in the order of the file."""
    if not stuck:
        return
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


def _cycle(loop: list[Pending]) -> Diagnostic:
    first, *others = loop
    message = f"these nodes form a cycle: {_named(loop)}" if others else f"`{first.name}` takes itself as an input"
    notes = tuple(Note(f"`{each.name}` is here", each.span) for each in others[:SHOWN])
    way_out = "a network cannot have a cycle: change one of the `from`"
    return Diagnostic(Code.CYCLE, message, first.span, notes=notes, help=way_out)


def _cycle_of_absent(loop: list[Pending]) -> Diagnostic:
    """E307 for a cycle of left-out nodes; a passage has the name of its input."""
    first, *others = loop
    message = f"this node is left out, and its input `{first.name}`, which takes its place, depends on it"
    notes = tuple(Note("by way of this node", each.span) for each in others[:SHOWN])
    way_out = "change its `from` to an input or to a node that is not left out"
    return Diagnostic(Code.CYCLE, message, first.span, notes=notes, help=way_out)


def _named(loop: list[Pending]) -> str:
    """The names of the nodes on a cycle, ending with the first."""
    names = [f"`{each.name}`" for each in [*loop, loop[0]]]
    if len(names) > NAMED:
        names[NAMED // 2 : -NAMED // 2] = [f"({len(names) - NAMED:,} more)"]
    return " → ".join(names)
