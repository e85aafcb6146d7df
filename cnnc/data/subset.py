"""Parts of a split: its first examples, and a part that is held out to test on."""

import numpy as np

from cnnc.data.dataset import Files, Split
from cnnc.diagnostics import CnncError, Code

Part = Split | Files


def first(split: Part, limit: int | None) -> Part:
    """The first `limit` examples, or all where there are fewer or no limit; raises CnncError, E203, below 1."""
    if limit is None or limit >= len(split):
        return split
    if limit < 1:
        raise CnncError.of(Code.BAD_VALUE, f"`limit` is {limit}; at least 1 example is needed")
    return split.take(np.arange(limit))


def hold_out(split: Part, fraction: float, seed: int) -> tuple[Part, Part]:
    """What remains to train on, and `fraction` of every class, drawn by `seed`, to test on.

    Both keep the order of the split. A class of two or more examples is in both parts, a class of one is trained on.
    Raises CnncError, E203, where the fraction is not between 0 and 1 or leaves nothing to test on.
    """
    if not 0 < fraction < 1:
        raise CnncError.of(Code.BAD_VALUE, f"`val_split` is {fraction:g}; it is a part of the data, between 0 and 1")
    generator = np.random.default_rng(seed)
    held = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[generator.permutation(members)[:count]] = True
    if not held.any():
        message = f"`val_split` of {fraction:g} leaves nothing to test on: no class has more than one example"
        raise CnncError.of(Code.BAD_VALUE, message)
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))
