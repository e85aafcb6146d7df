"""The output size of ops that take it as an attribute, or from another map by `like`."""

from cnnc.ops.attributes import Pair
from cnnc.ops.base import Op, impossible
from cnnc.ops.types import TensorType


def wanted_space(op: Op, size: Pair | None, like: TensorType | None) -> tuple[int | None, int | None]:
    """Return the height and width of the output; raises Refusal unless exactly one of both is given."""
    if (size is None) == (like is None):
        given = "both" if like is not None else "neither"
        impossible(op, f"expected exactly one of `size` and `like`, got {given}", None, "write `size: 8`, for example")
    if like is None:
        assert size is not None
        return size
    if not like.is_map:
        impossible(op, f"`like` must name a feature map, got {like.described}", "like", "name a node that is a map")
    return like.space
