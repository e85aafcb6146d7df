"""Sample inputs of a network, of several sizes if its spec leaves heights and widths open.

Takes a Graph. Shape inference decides whether a size fits; no backend runs.
"""

from itertools import islice
from typing import TYPE_CHECKING

from cnnc.analysis.accepted_sizes import Rule, size_rules
from cnnc.analysis.size_questions import Trial
from cnnc.graph.graph import Graph, Picture
from cnnc.ops.types import TensorType
from cnnc.targets.pixels import normalise

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 1024  # larger samples would slow verification down
SEEN = 32  # smallest sample size: on very few pixels, outputs depend on little of the network

Space = tuple[int, int]


def is_open(graph: Graph) -> bool:
    """Whether an input leaves its height or width open."""
    return not all(each.type.known for each in graph.inputs)


def fits(graph: Graph, space: Space) -> bool:
    """Whether the network accepts this height and width where its inputs leave them open."""
    return Trial(graph).takes_all(tuple(TensorType(filled(each.type, space)) for each in graph.inputs))


def filled(type: TensorType, space: Space) -> tuple[int, ...]:
    """Return the shape of the type with an open height or width filled in."""
    return tuple(space[axis - 1] if size is None else size for axis, size in enumerate(type.shape))


def shapes(graph: Graph, space: Space) -> tuple[tuple[int, ...], ...]:
    """Return the shape of each input if the first has this height and width; the others may need other sizes."""
    for example in size_rules(graph).examples:
        if _first_space(graph, example) == space:
            return tuple(filled(each, space) for each in example)
    return tuple(filled(each.type, space) for each in graph.inputs)


def spaces(graph: Graph) -> tuple[Space, ...]:
    """Return up to three different heights and widths to try, or a placeholder if all sizes are known.

    The graph must have passed a check that some size fits.
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


def extremes(graph: Graph) -> tuple[Space, ...]:
    """Return heights and widths of which one or both are the smallest that the network accepts, if there are any."""
    rules = size_rules(graph)
    if not is_open(graph) or rules.examples:
        return ()
    low = [rule.smallest or 1 for rule in rules.by_side]
    high = [max(sizes) for sizes in zip(*spaces(graph), strict=True)]
    pairs = ((low[0], low[1]), (low[0], high[1]), (high[0], low[1]))
    return tuple(pair for pair in dict.fromkeys(pairs) if fits(graph, pair))


def _first_space(graph: Graph, types: tuple[TensorType, ...]) -> Space:
    """Return the height and width of the first input that leaves them open."""
    first = next(index for index, each in enumerate(graph.inputs) if not each.type.known)
    height, width = types[first].space
    return height or 0, width or 0


def _sizes(rule: Rule) -> tuple[int, int, int]:
    """Return three sizes: two adjacent ones, and one at least twice as large. If fewer fit, some are equal."""
    near = list(islice(rule.sizes(SEEN), 2)) or list(rule.others[-2:])
    first, second = near[0], near[-1]
    far = next(rule.sizes(2 * second), second)
    return first, second, far if far <= LARGEST else next(rule.sizes(second + 1))


def draw(graph: Graph, batch: int, space: Space, seed: int) -> "tuple[Tensor, ...]":
    """Return normally distributed inputs, (batch, C, H, W) or (batch, features), determined by the arguments."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((batch, *shape), generator=generator) for shape in shapes(graph, space))


def draw_pixels(graph: Graph, batch: int, space: Space, seed: int) -> "tuple[Tensor]":
    """Return random pictures for the only input, uint8 (batch, H, W, C), determined by the arguments."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    [(channels, height, width)] = shapes(graph, space)
    return (torch.randint(0, 256, (batch, height, width, channels), dtype=torch.uint8, generator=generator),)


def normalised(picture: Picture, pixels: "tuple[Tensor]") -> "tuple[Tensor]":
    """Return the network's input for the pixels of `draw_pixels`."""
    import torch

    channels_first = pixels[0].permute(0, 3, 1, 2).numpy()
    return (torch.from_numpy(normalise(channels_first[:, ::-1] if picture.mode == "bgr" else channels_first, picture)),)
