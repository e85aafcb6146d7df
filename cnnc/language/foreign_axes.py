"""Axes and shapes as other frameworks count them: with the batch, which a spec never counts.

Takes an attribute of another framework, such as `dim`, the attribute of ours that it stands for, and its value. Returns
a help line, and the value as a spec writes it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cnnc.ops import registry

OURS = ("axis", "axes")
AXES_OF_A_MAP = 3


class Counted(NamedTuple):
    """A help line, and what to write for the given value; None if that cannot be known."""

    help: str
    value: int | list[int] | None = None


def without_batch(key: str, ours: str, given: Any) -> Counted | None:
    """Return how to write `key: given` of torch, ONNX or Keras as our attribute; None if it needs no conversion."""
    if ours not in OURS:
        return None
    if isinstance(given, list):
        return _order_without_batch(key, ours, given)
    if isinstance(given, str):  # an expression
        return Counted(f"did you mean `{ours}`, which does not count the batch?")
    if not _is_axis(given) or given < 0:  # from the end, both count alike
        return None
    if given == 0:
        return Counted(f"`{key}: 0` is the batch, which a spec does not count: `{ours}: 0` is the channels")
    return _converted(key, ours, given - 1)


def _order_without_batch(key: str, ours: str, given: list[Any]) -> Counted | None:
    """Return how to write an order of axes; None if the list is none."""
    least = min(given) if given and all(map(_is_axis, given)) else None
    if least not in (0, 1) or sorted(given) != list(range(least, least + len(given))):
        return None
    if least == 1:  # as in Keras, which does not count the batch here
        value = [axis - 1 for axis in given]
        return Counted(f"write `{ours}: {value}`: `{key}` counts from 1, `{ours}` from 0", value)
    if given[0] == 0 and len(given) > AXES_OF_A_MAP:
        return _converted(key, ours, [axis - 1 for axis in given[1:]])
    return Counted(f"did you mean `{ours}`, which does not count the batch? A map has the axes 0, 1 and 2")


def axis_of(op: str, given: Any) -> str:
    """Return a reminder of how `op` counts its axis, for the end of a help line; empty if `given` names none."""
    named = [name for name in OURS if isinstance(given, Mapping) and name in given]
    if not named or named[0] not in registry.get(op).model_fields:
        return ""
    return f" Its `{named[0]}` does not count the batch: the channels are 0"


def shape_of(op: str, given: Any) -> str:
    """Return how `reshape` writes a shape that begins with the batch, as in torch, for the end of a help line."""
    shape = given.get("shape") if isinstance(given, Mapping) else None
    if op != "reshape" or not isinstance(shape, list) or len(shape) < 2 or shape[0] != -1:
        return ""
    return f" Its shape does not count the batch: `shape: {shape[1:]}`"


def _converted(key: str, ours: str, value: int | list[int]) -> Counted:
    return Counted(f"write `{ours}: {value}`: `{key}` counts the batch, `{ours}` does not", value)


def _is_axis(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)
