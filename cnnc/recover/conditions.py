"""The conditions of a block: which of its instances have a node.

Takes the items of every instance, side by side, and the parameters of the block; writes `when` into the items of the
first.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cnnc.recover.fits import ANY, Usable, conditions, is_width
from cnnc.recover.param import Param, Row, write
from cnnc.recover.tree import TreeItem
from cnnc.recover.words import unused_parameter as unused


def add_conditions(
    rows: Sequence[Row],
    kept: list[Param],
    channels: Usable | None,
    last: TreeItem | None,
    found: dict[str, list[Any]],
) -> None:
    """Write the conditions of the items that some rows lack, and of the flags of inner blocks.

    `last` is the item that gives the channels of the block, and `found` has the values of the parameters by name: flags
    are added to it, and those that follow from other parameters removed.
    """
    for param in kept:
        if param.name in ("stride", "expand"):  # no node has it, so it may say that there is none
            found[param.name][:] = [1 if each is ANY else each for each in param.vector]
    stride = next((Usable(param.name, found[param.name]) for param in kept if param.attribute == "stride"), None)
    expand = next((Usable(param.name, found[param.name]) for param in kept if param.name == "expand"), None)
    outs = list(_outs(rows, kept, last))
    for param in kept:
        text = conditions(param.vector, stride, expand, channels, outs) if _is_flag(param) else None
        if text:
            del found[param.name]
            for user, key in param.uses:
                write(user, key, f"$({text})")
    for at, item in enumerate(rows[0]):
        present = [row[at] is not None for row in rows]
        if item is None or all(present):
            continue
        text = conditions(present, stride, expand, channels, outs)
        text = text or next((f"{each.name} > 0" for each in kept if _marks(each, present)), None)
        flag = next((name for name, vector in found.items() if vector == present), None)
        if text is None and flag:
            item.when = f"${flag}"
        elif text is None:
            name = _flag(item, found)
            found[name] = list(present)
            item.when = f"${name}"
        else:
            item.when = f"$({text})"


def _is_flag(param: Param) -> bool:
    return all(each is ANY or isinstance(each, bool) for each in param.vector)


def _marks(param: Param, present: Sequence[bool]) -> bool:
    """Whether a number of channels is only given where the node is, so that 0 can stand for its absence."""
    return is_width(param.attribute) and [each is not ANY for each in param.vector] == list(present)


def _outs(rows: Sequence[Row], kept: list[Param], last: TreeItem | None) -> Iterator[Usable]:
    """Yield what the channels of the input may be compared with: what the block gives, then the last parameters."""
    if last is not None:
        yield from _multiple(last, kept)
    for param in reversed(kept):
        if is_width(param.attribute) and param.name != "expand":
            yield Usable(param.name, param.vector)
    for at in range(len(rows[0]) - 1, -1, -1):
        if item := rows[0][at]:
            yield from _multiple(item, kept)


def _multiple(item: TreeItem, kept: list[Param]) -> Iterator[Usable]:
    """Yield the width of an item that is a multiple of a parameter, such as `$(4 * width)`."""
    found = re.fullmatch(r"\$\((\d+) \* (\w+)\)", str(item.attributes.get("out")))
    for param in kept if found else ():
        if found and found[2] == param.name:
            yield Usable(found[0][2:-1], [each if each is ANY else int(found[1]) * each for each in param.vector])


def _flag(item: TreeItem, found: dict[str, list[Any]]) -> str:
    base = "residual" if item.op == "add" else item.name if item.name and not item.name[0].isdigit() else item.op
    return unused(base.replace("-", "_"), {*found})
