"""Match the weights of a network with those of an original that runs here, by the values that its layers take.

Takes a graph, and a torch module or an ONNX file. Both run on the same random inputs, with random weights in the
original, so that no two layers take equal values by chance. The graph runs node by node. A layer gets the weights of an
unused layer of the original with the same shapes, which takes the same values and returns the same. If several do, the
one with the matching name comes first, then the one that runs first; a choice after which nothing fits is undone. The
result is proved: with these weights, and with the original's own at several sizes, both return the same outputs.

Raises E407 if the original has no counterpart for a layer: then it computes something else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.files.checks import require_file
from cnnc.graph.graph import Graph
from cnnc.targets import sample_inputs, torch_module
from cnnc.verification.original import OnnxOriginal, Original, TorchOriginal
from cnnc.verification.running_search import Search, undecided
from cnnc.weights.layers import COUNTER, squeezed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = 2
AGREEMENT = 1e-4  # of the largest output, with the original's own weights


@dataclass(frozen=True)
class MatchedByRunning:
    """The name of the original's tensor for each key of the network, and how far the outputs differ, relatively."""

    map: Mapping[str, str]
    weights: "Mapping[str, Tensor]"
    difference: float


def match_by_running(
    graph: Graph, original: "torch.nn.Module | str | PathLike[str]", *, seed: int = 0
) -> MatchedByRunning:
    """Return the weights of `original`, a module or the path of an ONNX file, by the keys of the graph's network.

    The module must take the graph's inputs by position. An ONNX file runs in this process, without a time limit.
    """
    import torch

    if isinstance(original, torch.nn.Module):
        return matched(graph, TorchOriginal(original), seed)
    require_file(Path(original), Code.WEIGHTS_UNREADABLE, "original network")
    return matched(graph, OnnxOriginal(Path(original)), seed)


def matched(graph: Graph, original: Original, seed: int = 0) -> MatchedByRunning:
    """Return the match with an original; raises E407."""
    import torch

    graph = replace(graph, outputs=tuple(each for each in graph.outputs if not each.train_only))
    _require_inputs(graph, original)
    random = torch.Generator().manual_seed(seed)
    space = sample_inputs.spaces(graph)[0]
    inputs = [
        torch.randn(original.batch or BATCH, *shape, generator=random) for shape in sample_inputs.shapes(graph, space)
    ]
    _outputs(original, inputs, "")  # it runs at all
    live = dict(_live(original, random))
    search = Search(graph, original, inputs, live)
    with torch.no_grad():
        pairs = search.run()
    map, weights = search.result(pairs)
    return MatchedByRunning(map, weights, _proved(graph, original, weights, seed))


def _require_inputs(graph: Graph, original: Original) -> None:
    """Raise E407 if the numbers of inputs differ."""
    count = len(graph.inputs)
    if misfit := original.misfit(count):
        reason = f"the original {misfit}, but the network has {counted(count, 'input')}"
        raise undecided(reason, "the inputs must be the same, in the same order")


def _live(original: Original, random: "torch.Generator") -> "Iterator[tuple[str, Tensor]]":
    """Yield random weights for the original's layers, with which values keep their size from layer to layer."""
    import torch

    for layer in original.layers:
        for role, key in layer.keys.items():
            own = original.tensors[key]
            drawn = torch.randn(own.shape, generator=random)
            if role == COUNTER or not own.is_floating_point():
                continue
            if role == "running_var":
                yield key, 0.5 + torch.rand(own.shape, generator=random)
            elif role.endswith("weight") and own.ndim > 1:
                yield key, drawn * (2 * own.shape[0] / own.numel()) ** 0.5
            else:
                yield key, 0.3 * drawn + (1 if role == "weight" else 0)


def _proved(graph: Graph, original: Original, weights: "Mapping[str, Tensor]", seed: int) -> float:
    """Return the largest relative difference of the outputs with the original's own weights; raises E407.

    A network with open sizes runs at several: some differences, such as floor or ceil, show only at some of them.
    """
    import torch

    module = torch_module.lower(graph, {key: each.clone() for key, each in weights.items()}).eval()
    worst = 0.0
    for space in sample_inputs.spaces(graph):
        inputs = sample_inputs.draw(graph, original.batch or BATCH, space, seed)
        size = " at {} x {}".format(*space) if any(space) else ""
        theirs = _outputs(original, inputs, size)
        with torch.no_grad():
            result = module(*inputs)
        ours = result if isinstance(result, tuple) else (result,)
        worst = max(worst, *(_difference(*pair, size) for pair in zip(theirs, ours, strict=False)))
    return worst


def _outputs(original: Original, inputs: "Sequence[Tensor]", size: str) -> "list[Tensor]":
    """Return the original's outputs with its own weights; raises E407 if it cannot run at this size."""
    try:
        return original.run(inputs)
    except CnncError:
        raise
    except Exception as error:  # a module raises what it likes
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        help = "if the original takes only some sizes, restrict those of the spec's input"
        raise undecided(f"the original fails{size}: {reason}", help) from error


def _difference(theirs: "Tensor", ours: "Tensor", size: str) -> float:
    """Return the relative difference of an output; raises E407 if it is too large, or not a number."""
    if theirs.numel() != ours.numel():
        shapes = f"{tuple(theirs.shape)} in the original, and {tuple(ours.shape)} in the network"
        raise undecided(f"the shape of an output differs{size}: {shapes}")
    if not (theirs.isfinite().all() and ours.isfinite().all()):
        help = "check the original's weights: its outputs must be finite"
        raise undecided(f"with the original's own weights, an output is not finite{size}", help)
    found = float((theirs.reshape(ours.shape) - ours).abs().max() / theirs.abs().max().clamp(min=1e-30))
    if found > AGREEMENT:
        raise undecided(f"with the original's own weights, the outputs differ by {found:.1e} of the largest{size}")
    return found


def named_in(
    matched: MatchedByRunning, path: Path, tensors: "Mapping[str, Tensor]", *, shared: bool = False
) -> dict[str, str]:
    """Return the name of the checkpoint's tensor with the values of each matched weight; raises E407 if one is missing.

    Tensors of equal values are interchangeable; the one with the original's name comes first.
    """
    by_content: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        by_content.setdefault(_content(tensor), []).append(name)
    found: dict[str, str] = {}
    for key, theirs in matched.map.items():
        names = by_content.get(_content(matched.weights[key]), [])
        if not names:
            message = f"{path} has no tensor with the values of `{theirs}`, the original's weight for `{key}`"
            help = "the file of `--against` must have the weights of the checkpoint"
            raise CnncError.of(Code.WEIGHTS_UNDECIDED, message, help=help)
        found[key] = theirs if theirs in names else names[0]
        if not shared and len(names) > 1:
            names.remove(found[key])
    return found


def _content(tensor: "Tensor") -> object:
    """Return a key that tensors of the same values and shape have, apart from axes of size 1."""
    import torch

    return squeezed(tuple(tensor.shape)), tensor.detach().to(torch.float32).contiguous().numpy().tobytes()
