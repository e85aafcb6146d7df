"""Sequences of one block as a repeated item: `conv_bn: {repeat: 2, out: "$(c2[i])", kernel: $(1 if i == 0 else 3)}`.

Takes equal scopes that hold nothing but instances of one block, named by their indices, each of which takes the last.
Where an attribute differs, the item has one value per round, which is an expression over the index, or a parameter of
the block around it that is a list.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from cnnc.recover.fits import PerRound, same
from cnnc.recover.tree import GROUP, TreeItem


def repeat_sequences(scopes: Sequence[TreeItem]) -> bool:
    """Turn equal scopes into repeated items; return whether they are such sequences."""
    if not all(map(_is_sequence, scopes)):
        return False
    keys = scopes[0].items[0].attributes.keys()
    values = {key: [[item.attributes[key] for item in scope.items] for scope in scopes] for key in keys}
    if not all(_is_plain(rows) for rows in values.values()):
        return False
    for at, scope in enumerate(scopes):
        first, last = scope.items[0], scope.items[-1]
        scope.attributes = {key: _in_round(rows, at) for key, rows in values.items()}
        scope.op, scope.repeat, scope.usual = first.op, len(scope.items), first.usual
        scope.outputs, scope.by_index = last.outputs, False
        scope.allow |= set().union(*(item.allow for item in scope.items))
    return True


def _is_sequence(scope: TreeItem) -> bool:
    items = scope.items
    return (
        scope.op == GROUP
        and len(items) > 1
        and [item.name for item in items] == [str(at) for at in range(len(items))]
        and {(item.op, *item.attributes) for item in items} == {(items[0].op, *items[0].attributes)}
        and all(_is_instance(item) for item in items)
        and [*scope.takes] == items[0].inputs
        and scope.outputs.keys() == items[-1].outputs.keys()
        and all(after.inputs == [*before.outputs] for before, after in pairwise(items))
    )


def _is_instance(item: TreeItem) -> bool:
    """Whether an item is an instance of a block with one input and one output, and nothing else."""
    is_alone = item.repeat is None and item.when is None and item.share is None and not item.like
    return item.is_scope and item.op != GROUP and is_alone and [*item.outputs.values()] == [""]


def _is_plain(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether the values of an attribute are all equal, or numbers."""
    every = [value for row in rows for value in row]
    return all(same(each, every[0]) for each in every) or all(isinstance(each, int | float) for each in every)


def _in_round(rows: Sequence[Sequence[Any]], at: int) -> Any:
    """Return the value of the attribute in a scope: one for all rounds if that is so in every scope."""
    fixed = all(same(value, row[0]) for row in rows for value in row)
    return rows[at][0] if fixed else PerRound(rows[at])
