"""The output formats of `cnnc diff`: a table for a terminal, Markdown for a pull request, or JSON.

Takes a `Difference` and the names of the two sides. The JSON format is stable.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnc.analysis.cost import Totals
from cnnc.columns import left, right, widest
from cnnc.diff.align import is_counted
from cnnc.diff.changes import Change, Difference, Facts

Row = tuple[str, ...]

HEAD = ("change", "line", "node", "op", "what", "output", "field", "params", "MACs", "memory")
FIGURES = 7  # the first of the right-aligned number columns
TOTALS = {"params": "parameters", "buffers": "running statistics", "macs": "MACs", "activation_bytes": "activations"}
NONE = "no difference"


def table(found: Difference) -> str:
    """Return a table with a row per change, followed by the old and new totals and their differences."""
    lines = [f"{each.what}: {_old_new(each.old, each.new)}" for each in found.ends]
    rows: list[Row] = [HEAD, *_rows(found.changes)]
    if found.changes:
        widths = [widest(row[column] for row in rows) for column in range(len(HEAD))]
        used = _used(rows)
        written = [_aligned(row, widths, used) for row in rows]
        rule = "─" * widest(written)
        lines += [*[""] * bool(lines), written[0], rule, *written[1:], rule]
    return "\n".join([*lines, *(f"{what}: {value}" for what, value in _sums(found))] if not found.same else [NONE])


def markdown(found: Difference, old: str, new: str) -> str:
    """Return the same as Markdown; nodes that are only affected are folded away."""
    title = f"### {_code(old)} → {_code(new)}"
    if found.same:
        return f"{title}\n\n{NONE.capitalize()}."
    sums: list[Row] = [("", "old → new"), *_sums(found)]
    ends: list[Row] = [("", "old → new"), *((each.what, _old_new(each.old, each.new)) for each in found.ends)]
    rows = list(_rows(found.changes))
    own: list[Row] = [HEAD, *(row for row in rows if row[0] != "affected")]
    affected: list[Row] = [HEAD, *(row for row in rows if row[0] == "affected")]
    parts = [title, *(_markdown(rows) for rows in (sums, ends, own) if len(rows) > 1)]
    if affected[1:]:
        summary = f"{len(affected) - 1} more with another output shape, cost or receptive field"
        parts.append(f"<details><summary>{summary}</summary>\n\n{_markdown(affected)}\n\n</details>")
    return "\n\n".join(parts)


def as_json(found: Difference) -> dict[str, Any]:
    """Return plain data: every change with both sides, and the totals as [old, new]."""
    both = [each._asdict() for each in found.totals]
    return {
        "same": found.same,
        "changes": [_change(each) for each in found.changes],
        "ends": [asdict(each) for each in found.ends],
        "totals": {"nodes": list(found.nodes), **{key: [both[0][key], both[1][key]] for key in both[0]}},
    }


def described(found: Difference) -> list[dict[str, str | None]]:
    """Return, for each change, its kind, the old and the new path, and what differs in words."""
    return [
        {
            "kind": each.kind,
            "old": each.old.path if each.old else None,
            "new": each.new.path if each.new else None,
            "what": "; ".join(filter(None, (_was_at(each), *_row(each)[4:6]))),
        }
        for each in found.changes
    ]


def summary(found: Difference) -> str:
    """Return the changed inputs, outputs and labels, and the totals, a line each."""
    ends = [f"{each.what}: {_old_new(each.old, each.new)}" for each in found.ends]
    return "\n".join([*ends, *(f"{what}: {value}" for what, value in _sums(found))])


def _was_at(each: Change) -> str:
    return f"was {each.old.path}" if each.old and each.new and each.old.path != each.new.path else ""


def _change(each: Change) -> dict[str, Any]:
    return {"kind": each.kind, "old": _side(each.old), "new": _side(each.new), "details": each.details}


def _side(facts: Facts | None) -> dict[str, Any] | None:
    """Return one side of a change, with the keys of a check's JSON."""
    if facts is None:
        return None
    shapes = [list(each.shape) for each in facts.outputs]
    return {
        "name": facts.path,
        "file": facts.at and facts.at.file,
        "line": facts.at and facts.at.line,
        "op": facts.op,
        "from": list(facts.inputs),
        "shape": shapes[0] if len(shapes) == 1 else shapes,
        "params": facts.params,
        "macs": facts.macs,
        "memory": facts.memory,
        "receptive_field": None if facts.field is None else list(facts.field),
    }


def _rows(changes: Iterable[Change]) -> Iterator[Row]:
    """Yield a row per change; a renamed scope is a single row, before the other changes in it."""
    changes = list(changes)
    renamed = Counter(scope for each in changes if (scope := _renamed_scope(each)))
    for each in changes:
        scope = _renamed_scope(each)
        if scope and (count := renamed.pop(scope, 0)):
            yield ("renamed", _line(each), scope[1], "", _was(scope, count), "", "", "", "", "")
        if each.kind != "renamed":
            yield _row(each)


def _renamed_scope(each: Change) -> tuple[str, str] | None:
    """Return the old and new path without their common end: (layer1, stage1) for layer1.0.conv1 and stage1.0.conv1.

    For nodes that are only renumbered, both are their scope followed by `*`.
    """
    if not each.old or not each.new or each.old.path == each.new.path:
        return None
    was, now = each.old.path.split("."), each.new.path.split(".")
    if is_counted(each.new.path, each.new.op):
        was[-1] = now[-1] = "*"
    while len(was) > 1 and len(now) > 1 and was[-1] == now[-1]:
        was.pop()
        now.pop()
    return ".".join(was), ".".join(now)


def _was(scope: tuple[str, str], count: int) -> str:
    nodes = f"{count} node{'s' * (count > 1)}"
    if scope[0] == scope[1]:
        return f"{nodes} renumbered"
    return f"was {scope[0]}" + f", {nodes}" * (count > 1)


def _row(each: Change) -> Row:
    figures = [_signed(each, lambda facts: facts.params), _signed(each, lambda facts: facts.macs)]
    memory = _signed(each, lambda facts: facts.memory)
    op, field = _pair(each, _op), _pair(each, _field)
    field = field if "→" in field else ""
    return each.kind, _line(each), each.shown.path, op, words(each), shapes(each), field, *figures, memory


def words(each: Change) -> str:
    """Return how the attributes and inputs of a node differ."""
    return "; ".join(f"{key} {was} → {now}" for key, (was, now) in each.details.items() if key != "op")


def shapes(each: Change) -> str:
    """Return the output shape of a node, or its old and new one."""
    return _pair(each, _shape)


def _line(each: Change) -> str:
    """Return the line of a change; of a removed node its old one."""
    at = each.shown.at
    return "" if at is None else f"{Path(at.file).name}:{at.line}" if at.used else str(at.line)


def _op(facts: Facts) -> str:
    return facts.op


def _shape(facts: Facts) -> str:
    return ", ".join(map(str, facts.outputs))


def _field(facts: Facts) -> str:
    return "none" if facts.field is None else "×".join("?" if each is None else str(each) for each in facts.field)


def _pair(each: Change, key: Callable[[Facts], str]) -> str:
    sides = dict.fromkeys(key(facts) for facts in (each.old, each.new) if facts)
    return " → ".join(sides)


def _signed(each: Change, key: Callable[[Facts], int | None]) -> str:
    was, now = (key(facts) if facts else 0 for facts in (each.old, each.new))
    return delta(was, now)


def delta(was: int | None, now: int | None) -> str:
    """Return the signed difference; empty if there is none."""
    if was is None or now is None:
        return "" if was == now else "?"
    return f"{now - was:+,}".replace("-", "−") if now != was else ""


def _sums(found: Difference) -> Iterator[tuple[str, str]]:
    """Yield the totals; those that differ with old, new and difference."""
    yield "nodes", _sum(*found.nodes)
    for name in Totals._fields:
        if name in TOTALS:
            was, now = (getattr(each, name) for each in found.totals)
            if was != now or was:
                yield TOTALS[name], _sum(was, now) + " bytes" * (name == "activation_bytes")


def _sum(was: int | None, now: int | None) -> str:
    if was == now:
        return _number(now)
    share = f", {(now - was) / was:+.1%}".replace("-", "−") if was and now is not None else ""
    return f"{_number(was)} → {_number(now)} ({delta(was, now)}{share})"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _old_new(old: str | None, new: str | None) -> str:
    return f"{old or 'none'} → {new or 'none'}"


def _used(rows: list[Row]) -> list[int]:
    """Return the columns that have a value in a row below the head."""
    return [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]


def _aligned(row: Row, widths: list[int], used: list[int]) -> str:
    cells = [right(row[at], widths[at]) if at >= FIGURES else left(row[at], widths[at]) for at in used]
    return "  ".join(cells).rstrip()


def _markdown(rows: list[Row]) -> str:
    """Return a Markdown table without its empty columns; the first row is its header."""
    used = _used(rows)
    rule = "|".join(" ---: " if column >= FIGURES else " --- " for column in used)
    lines = ["| " + " | ".join(row[column].replace("|", "\\|") for column in used) + " |" for row in rows]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _code(text: str) -> str:
    return f"`{text}`"
