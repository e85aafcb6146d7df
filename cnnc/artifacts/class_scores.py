"""Which pictures `cnnc infer` takes a network for: those of which its first output is one score a class.

In: a proved graph without train-only outputs. Out: whether there are any, and how large they may be. A fully
convolutional network gives one score a class for small pictures, and a map of scores for larger ones.
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

MOST = 2048  # sizes that are looked at


@dataclass(frozen=True, slots=True)
class Ranked:
    """The least and the largest height and width of the pictures; None for all that the network takes."""

    sizes: tuple[Space, Space] | None = None


def ranked(graph: Graph) -> Ranked | None:
    """The pictures that the graph ranks classes of; None where there are none."""
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
    if height is None or width is None or min(height, width) < (given or 2):  # of one pixel nobody has a picture
        return None
    return Ranked() if given else Ranked(((tall[0], wide[0]), (height, width)))


def _ranks(graph: Graph, space: Space) -> bool:
    """Whether the first output is one score a class at this size, wherever the input leaves its own open."""
    [given] = graph.inputs
    sized = replace(given, type=TensorType(filled(given.type, space)))
    return _is_vector(rebuild(replace(graph, inputs=(sized,)), graph.nodes).type_of(graph.outputs[0].ref))


def _is_vector(shown: TensorType) -> bool:
    """Whether it has one axis, but for those of one element."""
    return sum(side != 1 for side in shown.shape) <= 1


def _last(sizes: list[int], fine: Callable[[int], bool]) -> int | None:
    """The last size that is fine: those that are come first."""
    count = bisect_right(sizes, False, key=lambda size: not fine(size))
    return sizes[count - 1] if count else None
