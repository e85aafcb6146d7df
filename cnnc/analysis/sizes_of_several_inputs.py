"""Example sizes for several inputs that need different sizes, such as a picture and a mask of half its height.

Takes a network with several maps of open sizes; returns sizes of all of them that fit together. Each input in turn gets
the first size that the network accepts while later inputs are still open.
"""

from cnnc.analysis.size_questions import Trial
from cnnc.ops.types import TensorType, Types

BASES = (*range(32, 64), *range(31, 0, -1), 96, 128, 256)  # for the first input; realistic sizes first
ENOUGH = 3


def examples(trial: Trial) -> tuple[Types, ...]:
    """Return up to three combinations of input types; raises TooLong."""
    found: list[Types] = []
    for base in BASES:
        types = _around(trial, base)
        if types is not None:
            found.append(types)
        if len(found) == ENOUGH:
            break
    return tuple(found)


def _around(trial: Trial, base: int) -> Types | None:
    """Return input types whose first open height is `base`, or None if no sizes fit."""
    types = tuple(each.type for each in trial.graph.inputs)
    sizes: tuple[int, ...] = (base,)
    for axis in (1, 2):
        for at, each in enumerate(types):
            if each.is_map and each.shape[axis] is None:
                ways = (_with(types, at, axis, size) for size in sizes)
                fitting = next((way for way in ways if trial.takes_all(way)), None)
                if fitting is None:
                    return None
                types, sizes = fitting, (base, *(size for size in range(1, 4 * base + 9) if size != base))
    return types


def _with(types: Types, at: int, axis: int, size: int) -> Types:
    """Return the types with one open size of one of them filled in."""
    shape = types[at].shape
    return (*types[:at], TensorType((*shape[:axis], size, *shape[axis + 1 :])), *types[at + 1 :])
