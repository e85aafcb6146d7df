"""What each changed line of a spec does to its network, as notices that GitHub shows beside the lines.

Takes a `Difference`; returns a workflow command for each line of the new spec with nodes that were added or changed.
The other changes have no line of their own: nodes that are only affected, and removed ones.
"""

from collections.abc import Iterator, Sequence

from cnnc.diagnostics import counted, listed
from cnnc.diagnostics.render import github_command, visible
from cnnc.diff.changes import Change, Difference
from cnnc.diff.formats import delta, shapes, words

NAMED = 3  # nodes and changes that a notice names
OWN = ("added", "changed")


def notices(found: Difference) -> Iterator[str]:
    """Yield a notice for each line, in the order of the network."""
    by_line: dict[tuple[str, int], list[Change]] = {}
    for each in found.changes:
        if each.kind in OWN and each.shown.at is not None:
            by_line.setdefault((each.shown.at.file, each.shown.at.line), []).append(each)
    for (file, line), changes in by_line.items():
        message = "\n".join(visible(each) for each in _message(changes))
        yield github_command("notice", {"file": file, "line": line, "title": visible(_title(changes))}, message)


def _title(changes: Sequence[Change]) -> str:
    kinds = {kind: sum(each.kind == kind for each in changes) for kind in OWN}
    return " and ".join(f"{counted(count, 'node')} {kind}" for kind, count in kinds.items() if count)


def _message(changes: Sequence[Change]) -> Iterator[str]:
    """Yield the lines of a notice: the nodes, what differs, their shapes, and the sum of what they cost more."""
    yield _few([each.shown.path for each in changes])
    for each in _distinct([words(each) for each in changes]), _distinct([shapes(each) for each in changes]):
        if each:
            yield _few(each)
    for name, unit in (("params", "parameters"), ("macs", "MACs"), ("memory", "bytes of activations")):
        if change := delta(*(_sum(changes, side, name) for side in ("old", "new"))):
            yield f"{change} {unit}"


def _sum(changes: Sequence[Change], side: str, name: str) -> int | None:
    """Return the sum of a figure over the nodes of one side; None if one is unknown."""
    facts = [each for each in (getattr(change, side) for change in changes) if each is not None]
    values = [getattr(each, name) for each in facts]
    return None if None in values else sum(values)


def _distinct(texts: Sequence[str]) -> list[str]:
    return [*dict.fromkeys(filter(None, texts))]


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - NAMED
    return listed([*texts[:NAMED], f"{more} more"]) if more > 0 else listed(texts)
