"""Inputs to try a network with: of several sizes where its spec leaves heights and widths open.

In goes a Graph; its proof is asked, not a backend: a size fits where the graph's ops refuse nothing.
"""

from itertools import islice
from typing import TYPE_CHECKING

from cnnc.analysis.accepted_sizes import Rule, size_rules
from cnnc.analysis.size_questions import Trial
from cnnc.graph.graph import Graph
from cnnc.ops.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 1024  # a verification runs the network on no more rows than it has to
SEEN = 32  # probes are at least as high and wide: a network that sees one pixel shows little of itself

Space = tuple[int, int]


def is_open(graph: Graph) -> bool:
    """Whether an input leaves its height or width open."""
    return not all(each.type.known for each in graph.inputs)


def fits(graph: Graph, space: Space) -> bool:
    """Whether the network takes this height and width wherever its inputs leave them open."""
    return Trial(graph).takes_all(tuple(TensorType(filled(each.type, space)) for each in graph.inputs))


def filled(type: TensorType, space: Space) -> tuple[int, ...]:
    """The shape of the type with an open height or width filled in."""
    return tuple(space[axis - 1] if size is None else size for axis, size in enumerate(type.shape))


def shapes(graph: Graph, space: Space) -> tuple[tuple[int, ...], ...]:
    """The shape of each input where the first has this height and width: of several, each may need its own."""
    for example in size_rules(graph).examples:
        if _first_space(graph, example) == space:
            return tuple(filled(each, space) for each in example)
    return tuple(filled(each.type, space) for each in graph.inputs)


def spaces(graph: Graph) -> tuple[Space, ...]:
    """Heights and widths to try: one that is not used where all sizes are known, else up to three that differ.

    A check has found that some fit.
    """
    if not is_open(graph):
        return ((0, 0),)
    rules = size_rules(graph)
    if rules.examples:
        return tuple(_first_space(graph, each) for each in rules.examples)
    (low, middle, high), wide = map(_sizes, rules.by_side)
    pairs = zip((low, middle, high), (wide[0], wide[2], wide[1]), strict=True)
    smallest = tuple(size or rule.smallest or 1 for size, rule in zip(rules.smallest, rules.by_side, strict=True))
    return tuple(dict.fromkeys(pair for pair in pairs if rules.takes(*pair))) or ((smallest[0], smallest[1]),)


def _first_space(graph: Graph, types: tuple[TensorType, ...]) -> Space:
    """The height and width of the first input that leaves them open."""
    first = next(index for index, each in enumerate(graph.inputs) if not each.type.known)
    height, width = types[first].space
    return height or 0, width or 0


def _sizes(rule: Rule) -> tuple[int, int, int]:
    """Three sizes: two next to each other, and one of more than twice as much. Where fewer fit, some are the same."""
    near = list(islice(rule.sizes(SEEN), 2)) or list(rule.others[-2:])
    first, second = near[0], near[-1]
    far = next(rule.sizes(2 * second), second)
    return first, second, far if far <= LARGEST else next(rule.sizes(second + 1))


def draw(graph: Graph, batch: int, space: Space, seed: int) -> "tuple[Tensor, ...]":
    """Normally distributed inputs, (batch, C, H, W) or (batch, features), that depend on the arguments alone."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((batch, *shape), generator=generator) for shape in shapes(graph, space))
