"""Subsets of a split: its first examples, and a fraction held out as the test set."""

import numpy as np

from cnnc.data.dataset import DecodedSplit, Files
from cnnc.diagnostics import CnncError, Code

Part = DecodedSplit | Files


def first(split: Part, limit: int | None) -> Part:
    """Return the first `limit` examples, or all of fewer or without a limit; raises E203 for a limit below 1."""
    if limit is None or limit >= len(split):
        return split
    if limit < 1:
        raise CnncError.of(Code.BAD_VALUE, f"`limit` must be at least 1, got {limit}")
    return split.take(np.arange(limit))


def hold_out(split: Part, fraction: float, seed: int) -> tuple[Part, Part]:
    """Return a training part, and a test part with `fraction` of every class, drawn by `seed`.

    Both keep the order of the split. A class with two or more examples is in both parts, a class with one is in the
    training part. Raises CnncError (E203) if the fraction is not between 0 and 1 or the test part is empty.
    """
    if not 0 < fraction < 1:
        raise CnncError.of(Code.BAD_VALUE, f"`val_split` must be between 0 and 1, got {fraction:g}")
    generator = np.random.default_rng(seed)
    held = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[generator.permutation(members)[:count]] = True
    if not held.any():
        message = f"`val_split` of {fraction:g} leaves no test examples: no class has more than one example"
        raise CnncError.of(Code.BAD_VALUE, message)
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))
