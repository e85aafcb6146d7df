"""The search of `by_running`: which layer of the original each layer of the network is.

The graph runs node by node with the original's random weights. A layer gets an unused layer of the same shapes that
takes the same values and returns the same; a choice after which nothing fits is undone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Input, Node, Output, Ref
from cnnc.targets import torch_module
from cnnc.verification.original import LayerRun, Original, probe
from cnnc.weights.layers import COUNTER, Layer, Shape, ancestors, layers_of
from cnnc.weights.match import match_layers
from cnnc.weights.names import is_norm

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TOLERANCE = 1e-3  # of the largest value of a layer
MOST_RUNS = 20  # of each node, on average, before the search ends
FOLDED = "if an exporter has folded them, export with torch.onnx.export(optimize=False), or pass the torch module"
DIFFERS = "compare the strides, paddings, activations and `eps` before that layer with those of the original"


class Search:
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
            raise undecided(f"`{lost[0]}` does not run in inference, and the original has no layer of that name")
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
            return undecided("all layers have counterparts, but the outputs differ")
        node = self.order[self.deepest]
        alike = [
            each for each in self.theirs if node.keys in self.ours and each.layer.kind == self.ours[node.keys].kind
        ]
        if not alike and any(map(is_norm, self.ours.values())) and not any(map(is_norm, self.original.layers)):
            reason = f"`{node.path}` has no counterpart: the network has batch norms, but the original has none"
            return undecided(reason, FOLDED)
        if not alike:
            reason = f"`{node.path}` has no counterpart: no layer of the original has its shapes"
            return undecided(reason, "the original must be the same network: check the spec's `params`")
        reason = "no layer of the original with its shapes has the same input and output values"
        return undecided(f"`{node.path}` has no counterpart: {reason}")


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


def undecided(reason: str, help: str = DIFFERS) -> CnncError:
    """Return E407 with a reason."""
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
