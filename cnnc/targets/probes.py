"""Inputs to try a network with, and the heights and widths that one with open sizes takes.

In goes a Graph; its proof is asked, not a backend: a size fits where inference with that size refuses nothing.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.graph.rebuild import rebuild
from cnnc.ops.base import Refusal
from cnnc.ops.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 512  # a height and width that every reasonable network takes, and a multiple of every reasonable divisor
SEEN = 32  # probes are at least as high and wide: a network that sees one pixel shows little of itself

Space = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Demands:
    """What open heights and widths must be: at least `smallest`, and a multiple of `divisor`."""

    smallest: int = 1
    divisor: int = 1


def is_open(graph: Graph) -> bool:
    """Whether an input leaves its height or width open."""
    return not all(each.type.known for each in graph.inputs)


def fits(graph: Graph, space: Space) -> bool:
    """Whether the network takes this height and width wherever its inputs leave them open."""
    inputs = tuple(replace(each, type=TensorType(filled(each.type, space))) for each in graph.inputs)
    try:
        rebuild(replace(graph, inputs=inputs), graph.nodes)
    except Refusal:
        return False
    return True


def filled(type: TensorType, space: Space) -> tuple[int, ...]:
    """The shape of the type with an open height or width filled in."""
    return tuple(space[axis - 1] if size is None else size for axis, size in enumerate(type.shape))


def demands(graph: Graph) -> Demands:
    """What the network's proof demands of open heights and widths; raises E406 where nothing up to 1,024 fits."""
    if not is_open(graph):
        return Demands()
    divisor = next((step for step in (1, 2, 4, 8, 16, 32, 64, 128) if fits(graph, (LARGE + step,) * 2)), LARGE)
    sizes = range(divisor, 2 * LARGE + 1, divisor)
    smallest = next((size for size in sizes if fits(graph, (size, size))), None)
    if smallest is None:
        raise CnncError.of(
            Code.NOT_EXPORTABLE,
            f"no height and width up to {2 * LARGE} fit `{graph.name}`, so that its exports cannot be verified",
            help="give the input a fixed height and width",
        )
    return Demands(smallest, divisor)


def spaces(graph: Graph) -> tuple[Space, ...]:
    """Heights and widths to try: one that is not used where all sizes are known, else some that differ."""
    needs = demands(graph)
    step = needs.divisor
    base = max(needs.smallest, -(-SEEN // step) * step)
    if not is_open(graph):
        return ((0, 0),)
    others = [(base + step, base + 3 * step), (2 * base + 3 * step, base)]
    return ((base, base), *(space for space in others if fits(graph, space)))


def draw(graph: Graph, batch: int, space: Space, seed: int) -> "tuple[Tensor, ...]":
    """Normally distributed inputs, (batch, C, H, W) or (batch, features), that depend on the arguments alone."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((batch, *filled(each.type, space)), generator=generator) for each in graph.inputs)
