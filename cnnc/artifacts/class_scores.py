"""The picture sizes for which a network is a classifier: its first output has one score per class.

Takes a proved graph without train-only outputs; returns whether there are such sizes, and their range. A fully
convolutional network has one score per class for small pictures, and a map of scores for larger ones.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from cnnc.analysis.accepted_sizes import size_rules
from cnnc.graph.graph import Graph
from cnnc.graph.rebuild import rebuild
from cnnc.ops.types import TensorType
from cnnc.targets.sample_inputs import filled, fits

Space = tuple[int, int]

MOST = 2048  # sizes that are tried


@dataclass(frozen=True, slots=True)
class Ranked:
    """The smallest and the largest height and width of the pictures; None for all sizes that the network accepts."""

    sizes: tuple[Space, Space] | None = None


def ranked(graph: Graph) -> Ranked | None:
    """Return the pictures for which the first output is one score per class; None if there are none."""
    picture = graph.inputs[0].picture
    if len(graph.inputs) != 1 or picture is None:
        return None
    shown = graph.type_of(graph.outputs[0].ref)
    if shown.known:
        return Ranked() if _is_vector(shown) else None
    given = picture.crop or picture.resize
    if isinstance(given, tuple):
        return Ranked() if fits(graph, given) and _ranks(graph, given) else None
    rules = size_rules(graph)
    tall, wide = (
        [size] if size else list(islice(rule.sizes(least or 1), MOST))
        for size, rule, least in zip(graph.inputs[0].type.space, rules.by_side, rules.smallest, strict=True)
    )
    height = _last(tall, lambda size: _ranks(graph, (size, wide[0])))
    width = _last(wide, lambda size: _ranks(graph, (tall[0], size)))
    if height is None or width is None or min(height, width) < (given or 2):  # a single pixel is no picture
        return None
    return Ranked() if given else Ranked(((tall[0], wide[0]), (height, width)))


def _ranks(graph: Graph, space: Space) -> bool:
    """Whether the first output is one score per class at this size of an open input."""
    [given] = graph.inputs
    sized = given._replace(type=TensorType(filled(given.type, space)))
    return _is_vector(rebuild(replace(graph, inputs=(sized,)), graph.nodes).type_of(graph.outputs[0].ref))


def _is_vector(shown: TensorType) -> bool:
    """Whether at most one axis has more than one element."""
    return sum(side != 1 for side in shown.shape) <= 1


def _last(sizes: list[int], fine: Callable[[int], bool]) -> int | None:
    """Return the last size that is fine; `fine` must hold for a prefix of `sizes`."""
    count = bisect_right(sizes, False, key=lambda size: not fine(size))
    return sizes[count - 1] if count else None
