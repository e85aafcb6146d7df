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
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.files.checks import require_file
from cnnc.graph.graph import Graph, Input, Node, Output, Ref
from cnnc.targets import sample_inputs, torch_module
from cnnc.verification.original import LayerRun, OnnxOriginal, Original, TorchOriginal, probe
from cnnc.weights.layers import COUNTER, Layer, Shape, ancestors, layers_of, squeezed
from cnnc.weights.match import match_layers
from cnnc.weights.names import is_norm

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = 2
TOLERANCE = 1e-3  # of the largest value of a layer
AGREEMENT = 1e-4  # of the largest output, with the original's own weights
MOST_RUNS = 20  # of each node, on average, before the search ends


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
    live = dict(_live(original, random))
    search = _Search(graph, original, inputs, live)
    with torch.no_grad():
        pairs = search.run()
    map, weights = search.result(pairs)
    return MatchedByRunning(map, weights, _proved(graph, original, weights, seed))


def _require_inputs(graph: Graph, original: Original) -> None:
    """Raise E407 if the numbers of inputs are known and differ."""
    if original.count is not None and original.count != len(graph.inputs):
        reason = f"the original has {counted(original.count, 'input')}, but the network has {len(graph.inputs)}"
        raise _undecided(reason, "the inputs must be the same, in the same order")


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


class _Search:
    """Runs the graph's nodes in order, and finds for each layer the weights with which it computes the original's."""

    def __init__(
        self, graph: Graph, original: Original, inputs: "Sequence[Tensor]", live: "Mapping[str, Tensor]"
    ) -> None:
        self.graph, self.original, self.live = graph, original, live
        self.expected = torch_module.shapes(graph)
        self.ours = {each.name: each for each in layers_of(graph, self.expected)}
        self.ours |= {
            node.keys: _single(node.keys, self.expected) for node in graph.nodes if node.keys in self.expected
        }
        self.theirs = original.trace(inputs, live)
        self.silent = [*_silent(original, self.theirs)]
        self.outputs = original.run(inputs, live)
        needed = graph.needed(graph.outputs)
        self.order = [node for node in graph.nodes if node.path in needed]
        self.values = {Ref(each.name): value for each, value in zip(graph.inputs, inputs, strict=True)}
        self.chosen: dict[str, tuple[int, LayerRun]] = {}  # by layer: when, and what
        self.modules: dict[str, torch.nn.Module] = {}
        self.deepest = 0

    @cached_property
    def likely(self) -> dict[str, Layer]:
        """The pairs that names, shapes and order suggest."""
        ours = layers_of(self.graph, self.expected)
        return match_layers(ours, self.original.layers, ancestors(self.graph, ours), ordered=True)[0]

    def run(self) -> dict[str, LayerRun]:
        """Return the original's layer for each of the network's that runs; raises E407."""
        stack: list[tuple[int, list[LayerRun | None]]] = []
        left, at, fits = MOST_RUNS * len(self.order) + 100, 0, True
        while True:
            if fits and at < len(self.order):
                stack.append((at, self._options(self.order[at])))
            elif fits and self._agrees():
                return {name: found for name, (_, found) in self.chosen.items()}
            while stack and not stack[-1][1]:
                stack.pop()
            left -= 1
            if not stack or not left:
                raise self._failure()
            at, options = stack[-1]
            self.chosen = {name: each for name, each in self.chosen.items() if each[0] < at}
            fits = self._fits(at, options.pop(0))
            at += fits

    def _options(self, node: Node) -> list[LayerRun | None]:
        """Return the layers of the original that may be the node's, the likeliest first; None if it needs no choice."""
        layer = self.ours.get(node.keys)
        if layer is None or node.keys in self.chosen:
            return [None]
        taken = {key for _, found in self.chosen.values() for key in found.layer.keys.values()}
        value = self.values[node.inputs[0]] if node.inputs else None
        found = [
            each
            for each in (*self.theirs, *self.silent)
            if each.layer.kind == layer.kind
            and taken.isdisjoint(each.layer.keys.values())
            and (value is None or each.input is None or _equal(each.input, value))
        ]
        likely = self.likely.get(node.keys, layer).name
        return [*sorted(found, key=lambda each: each.layer.name != likely)]

    def _fits(self, at: int, choice: LayerRun | None) -> bool:
        """Run a node with the chosen weights; return whether it returns the same as the original's layer."""
        node = self.order[at]
        if choice is not None:
            self.chosen[node.keys] = at, choice
        values = self._run(node)
        self.values |= {Ref(node.path, port): value for port, value in enumerate(values)}
        fits = choice is None or choice.output is None or _equal(choice.output, values[0])
        self.deepest = max(self.deepest, at + fits)
        return fits

    def _run(self, node: Node) -> "tuple[Tensor, ...]":
        """Return the values of a node."""
        if node.path not in self.modules:
            self.modules[node.path] = torch_module.lower(_alone(self.graph, node)).eval()
        module = self.modules[node.path]
        if node.keys in self.chosen:
            layer, found = self.ours[node.keys], self.chosen[node.keys][1].layer
            keys = [(layer.keys[role], found.keys[role]) for role in layer.keys if role in found.keys]
            tensors = {
                ours: self.live[theirs].reshape(self.expected[ours]) for ours, theirs in keys if theirs in self.live
            }
            module.load_state_dict(tensors, strict=False)
        result = module(*(self.values[ref] for ref in node.inputs))
        return result if isinstance(result, tuple) else (result,)

    def _agrees(self) -> bool:
        """Return whether the outputs are those of the original."""
        ours = [self.values[each.ref] for each in self.graph.outputs]
        return len(ours) <= len(self.outputs) and all(
            _equal(probe(theirs), mine) for theirs, mine in zip(self.outputs, ours, strict=False)
        )

    def result(self, pairs: Mapping[str, LayerRun]) -> "tuple[dict[str, str], dict[str, Tensor]]":
        """Return the map and the weights of all keys; a layer that does not run is found by its name, or is E407."""
        import torch

        named = {each.name: each for each in self.original.layers}
        found = {name: pairs[name].layer if name in pairs else named.get(name) for name in self.ours}
        lost = [name for name, theirs in found.items() if theirs is None or theirs.kind != self.ours[name].kind]
        if lost:
            raise _undecided(f"`{lost[0]}` does not run in inference, and the original has no layer of that name")
        map = {
            key: theirs.keys[role]
            for name, theirs in found.items()
            if theirs is not None
            for role, key in self.ours[name].keys.items()
            if role in theirs.keys
        }
        own = self.original.tensors
        weights = {key: own[name].reshape(self.expected[key]).clone() for key, name in map.items()}
        counters = {key: torch.tensor(0) for key in self.expected if key.rpartition(".")[2] == COUNTER}
        return map, {**counters, **weights}

    def _failure(self) -> CnncError:
        if self.deepest >= len(self.order):
            return _undecided("all layers have counterparts, but the outputs differ")
        node = self.order[self.deepest]
        alike = [
            each for each in self.theirs if node.keys in self.ours and each.layer.kind == self.ours[node.keys].kind
        ]
        if not alike and any(map(is_norm, self.ours.values())) and not any(map(is_norm, self.original.layers)):
            reason = f"`{node.path}` has no counterpart: the network has batch norms, but the original has none"
            return _undecided(reason, FOLDED)
        if not alike:
            reason = f"`{node.path}` has no counterpart: no layer of the original has its shapes"
            return _undecided(reason, "the original must be the same network: check the spec's `params`")
        reason = "no layer of the original with its shapes has the same input and output values"
        return _undecided(f"`{node.path}` has no counterpart: {reason}")


def _single(key: str, shapes: Mapping[str, Shape]) -> Layer:
    """Return a tensor as a layer of its own, such as a class token, whose key has no role."""
    return Layer(key, {"value": key}, {"value": shapes[key]})


def _silent(original: Original, runs: "Sequence[LayerRun]") -> Iterator[LayerRun]:
    """Yield the layers whose values are not known, because no module or node of theirs runs; and each of their tensors.

    Only the values of later layers show whether they are the right ones.
    """
    known = {each.layer.name for each in runs}
    for layer in original.layers:
        if layer.name not in known:
            yield LayerRun(layer)
            tensors = {key: layer.shapes[role] for role, key in layer.keys.items()}
            yield from (LayerRun(_single(key, tensors)) for key in tensors)


FOLDED = "if an exporter has folded them, export with torch.onnx.export(optimize=False), or pass the torch module"
DIFFERS = "compare the strides, paddings, activations and `eps` before that layer with those of the original"


def _undecided(reason: str, help: str = DIFFERS) -> CnncError:
    return CnncError.of(Code.WEIGHTS_UNDECIDED, f"the weights cannot be matched by running: {reason}", help=help)


def _alone(graph: Graph, node: Node) -> Graph:
    """Return a graph with this node alone, whose inputs are the node's."""
    inputs = tuple(Input(f"value_{at}", graph.type_of(ref)) for at, ref in enumerate(node.inputs))
    refs = tuple(Ref(each.name) for each in inputs)
    outputs = tuple(Output(f"result_{port}", Ref(node.path, port)) for port in range(len(node.outputs)))
    return Graph(graph.name, inputs, (replace(node, inputs=refs),), outputs)


def _equal(theirs: "Tensor", ours: "Tensor") -> bool:
    """Return whether a probe is of the value, which the original may hold with the channels as the last axis."""
    turned = ours.flatten(2).mT if ours.ndim > 2 else ours
    return _close(theirs, probe(ours)) or _close(theirs, probe(turned))


def _close(theirs: "Tensor", ours: "Tensor") -> bool:
    """Return whether two probes are of values of the same size that agree."""
    if theirs.shape != ours.shape:
        return False
    largest = theirs.abs().max()
    return bool(largest.isfinite() and (theirs - ours).abs().max() <= TOLERANCE * largest)


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
        raise _undecided(f"the original fails{size}: {reason}", help) from error


def _difference(theirs: "Tensor", ours: "Tensor", size: str) -> float:
    """Return the relative difference of an output; raises E407 if it is too large, or not a number."""
    if theirs.numel() != ours.numel():
        shapes = f"{tuple(theirs.shape)} in the original, and {tuple(ours.shape)} in the network"
        raise _undecided(f"the shape of an output differs{size}: {shapes}")
    if not (theirs.isfinite().all() and ours.isfinite().all()):
        help = "check the original's weights: its outputs must be finite"
        raise _undecided(f"with the original's own weights, an output is not finite{size}", help)
    found = float((theirs.reshape(ours.shape) - ours).abs().max() / theirs.abs().max().clamp(min=1e-30))
    if found > AGREEMENT:
        raise _undecided(f"with the original's own weights, the outputs differ by {found:.1e} of the largest{size}")
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
