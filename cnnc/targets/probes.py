"""Inputs to try a network with, and the heights and widths that one with open sizes takes.

In goes a Graph; its proof is asked, not a backend: a size fits where the graph's ops refuse nothing.
"""

from itertools import islice
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.graph.sizes import ANY, Rule, size_rules
from cnnc.graph.trial import Trial
from cnnc.ops.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 1024  # a verification runs the network on more than twice as many rows
SEEN = 32  # probes are at least as high and wide: a network that sees one pixel shows little of itself

Space = tuple[int, int]


def is_open(graph: Graph) -> bool:
    """Whether an input leaves its height or width open."""
    return any(_open_axes(graph))


def _open_axes(graph: Graph) -> tuple[bool, bool]:
    spaces = [each.type.space for each in graph.inputs if each.type.is_map]
    return any(height is None for height, _ in spaces), any(width is None for _, width in spaces)


def fits(graph: Graph, space: Space) -> bool:
    """Whether the network takes this height and width wherever its inputs leave them open."""
    height, width = (size if is_open else None for size, is_open in zip(space, _open_axes(graph), strict=True))
    return Trial(graph).takes(height, width)


def filled(type: TensorType, space: Space) -> tuple[int, ...]:
    """The shape of the type with an open height or width filled in."""
    return tuple(space[axis - 1] if size is None else size for axis, size in enumerate(type.shape))


def demands(graph: Graph) -> tuple[Rule, Rule]:
    """What the network demands of open heights and widths, from some size on; of those that the spec fixes, nothing.

    Raises E406 where nothing up to 1,024 fits, or where a contract could not say what does.
    """
    rules = size_rules(graph)
    told = ((rules.height, "height"), (rules.width, "width"))
    for rule, side in told:
        if rule and not (rule.remainders and rule.start <= LARGEST):
            fit = f"only {str(rule).removesuffix(' alone')} fit" if rule.others else "none fits"
            message = f"of the {side}s up to {LARGEST:,} {fit} `{graph.name}`, so that its exports cannot be verified"
            raise _not_exportable(message)
    if not rules.independent:
        raise _not_exportable(f"which heights fit `{graph.name}` depends on the width")
    return rules.height or ANY, rules.width or ANY


def _not_exportable(message: str) -> CnncError:
    return CnncError.of(Code.NOT_EXPORTABLE, message, help="give the input a fixed height and width")


def spaces(graph: Graph) -> tuple[Space, ...]:
    """Heights and widths to try: one that is not used where all sizes are known, else three that differ."""
    if not is_open(graph):
        return ((0, 0),)
    tall, wide = (_sizes(rule) for rule in demands(graph))
    return tuple(zip(tall, (wide[0], wide[2], wide[1]), strict=True))


def _sizes(rule: Rule) -> tuple[int, int, int]:
    """Three sizes: two next to each other, and one of more than twice as much."""
    first, second = islice(rule.sizes(max(SEEN, rule.start)), 2)
    return first, second, next(rule.sizes(2 * second))


def draw(graph: Graph, batch: int, space: Space, seed: int) -> "tuple[Tensor, ...]":
    """Normally distributed inputs, (batch, C, H, W) or (batch, features), that depend on the arguments alone."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((batch, *filled(each.type, space)), generator=generator) for each in graph.inputs)
