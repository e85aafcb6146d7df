"""From a network under way to a flat plain spec, its weights, and the paths of its nodes.

Takes a `Translated`, the names and preprocessing of its ports; returns an `Imported`. Nodes are in order, `from` is
left out if it is the node before, and attributes are only those that differ from the op's defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.importing.names import clean, names, paths, unused
from cnnc.importing.translate import Translated
from cnnc.importing.values import GraphTensor, NewNode, Symbol

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Imported:
    """A flat spec as plain data.

    `weights` has an array for each key of its state_dict but the batch norms' counters. `paths` has the path in the
    source, with dots, of each node that has one, by the node's name. `inputs` and `outputs` are the names in the source
    and in the spec. `values` are, by the spec's name (`node` or `split.0`), the ONNX values that nodes compute.
    `channels_last` are the inputs, by the names in the source, whose channels are the last axis there.
    """

    spec: dict[str, Any]
    weights: "Mapping[str, Array]"
    paths: Mapping[str, str]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    values: Mapping[str, str]
    batch: int | None = None
    channels_last: frozenset[str] = frozenset()


def flat_spec(net: Translated, name: str, *, traced: bool = False) -> Imported:
    """Return the spec of a network; `traced`: see `importer.read`."""
    return _FlatWriter(net, name, traced).write()


class _FlatWriter:
    def __init__(self, net: Translated, name: str, traced: bool) -> None:
        self.net, self.name, self.traced = net, name, traced
        used: set[str] = set()
        self.inputs = {each: unused(clean(each), used) for each in net.inputs}
        self.paths = paths(net.nodes)
        self.names = names(net.nodes, self.paths, used)
        for each, value in net.inputs.items():
            self.names[value.made] = self.inputs[each]
        self.outputs = self._outputs({*self.inputs.values()})
        self.weights: dict[str, Array] = {}
        self.shared: dict[Any, NewNode] = {}
        self.sharing: set[NewNode] = set()

    def write(self) -> Imported:
        shapes = {
            self.inputs[each]: [None if isinstance(size, Symbol) else size for size in value.sizes[1:]]
            for each, value in self.net.inputs.items()
        }
        last = next(iter(self.inputs.values())) if len(self.inputs) == 1 else ""
        nodes = []
        for made in self.net.nodes:
            nodes.append(self._node(made, last))
            last = self.names[made] if len(made.sizes) == 1 else ""
        key = "input" if len(shapes) == 1 else "inputs"
        spec: dict[str, Any] = {"cnnc": 1, "name": self.name, key: shapes, "nodes": nodes}
        outputs = {self.outputs[name]: self._spelt(value) for name, value in self.net.outputs.items()}
        if [*outputs.items()] != [(last, last)]:
            spec["outputs"] = outputs
        return Imported(
            spec,
            self.weights,
            {self.names[made]: path for made, path in self.paths.items()},
            self.inputs,
            self.outputs,
            self._values(),
            self.net.batch,
            self.net.channels_last,
        )

    def _outputs(self, used: set[str]) -> dict[str, str]:
        """Return the spec's names of the outputs."""
        return {name: unused(clean(name), used) for name in self.net.outputs}

    def _values(self) -> dict[str, str]:
        return {
            self._spelt(GraphTensor(made, port)): value
            for made in self.net.nodes
            for port, value in made.values.items()
        }

    def _spelt(self, value: GraphTensor) -> str:
        name = self.names[value.made]
        return name if len(value.made.sizes) == 1 else f"{name}.{value.port}"

    def _node(self, made: NewNode, last: str) -> Any:
        given: dict[str, Any] = {"name": self.names[made]}
        if made.inputs:
            sources = [self._spelt(each) for each in made.inputs]
            if sources != [last]:
                given["from"] = sources[0] if len(sources) == 1 else sources
        given |= made.attributes
        if made.like is not None:
            given["like"] = self._spelt(made.like)
        share = self._share(made)
        if share is not None:
            given["share"] = share
        else:
            for name, array in made.weights.items():
                self.weights[f"{self.names[made]}.{name}" if name else self.names[made]] = array
        return {made.op: given}

    def _share(self, made: NewNode) -> str | None:
        """Return the node whose parameters this one uses: both have the same initializers, with the same values."""
        if not made.names or len(made.names) < len(made.weights):
            return None
        if not self.traced and not self._is_shared_on_purpose(made):
            return None
        channels = made.inputs[0].sizes[1] if made.inputs else None
        key = (made.op, made.names, repr(made.attributes), channels)
        first = self.shared.setdefault(key, made)
        if first is made or not _equal(first.weights, made.weights):
            return None
        self.sharing.add(made)
        return self.names[first]

    def _is_shared_on_purpose(self, made: NewNode) -> bool:
        """Whether one initializer is the tensor of several nodes: constants like ones and zeros often are by accident.

        Convolutions and linear layers share on purpose, and so do norms after them.
        """
        if made.op in ("parameter", "scale"):
            return False
        first = (made.op, made.names, repr(made.attributes), made.inputs[0].sizes[1])
        plain = made.op in ("conv", "conv_transpose", "linear")
        return plain or first not in self.shared or any(each.made in self.sharing for each in made.inputs)


def _equal(a: "Mapping[str, Array]", b: "Mapping[str, Array]") -> bool:
    """Whether both have the same arrays. One may be the transpose, or a multiple, of the initializer of the other."""
    return a.keys() == b.keys() and all(
        each is b[name] or (each.shape == b[name].shape and bool((each == b[name]).all())) for name, each in a.items()
    )


def with_preprocessing(spec: dict[str, Any], pictures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the spec with the long form of inputs that are pictures; `pictures` are their fields, by input."""
    key = "input" if "input" in spec else "inputs"
    long = {
        name: {"shape": shape, **pictures[name]} if pictures.get(name) else shape for name, shape in spec[key].items()
    }
    return {**spec, key: long}


def with_outputs(spec: dict[str, Any], kinds: Mapping[str, str], labels: Sequence[str] | None) -> dict[str, Any]:
    """Return the spec with the kinds of outputs (`as`), by their names, and the labels of the classes."""
    result = dict(spec)
    if kinds:
        outputs = spec.get("outputs") or dict([last_node(spec)])
        result["outputs"] = {
            name: {"from": source, "as": kinds[name]} if name in kinds else source for name, source in outputs.items()
        }
    return {**result, "labels": [*labels]} if labels else result


def last_node(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of the last node, twice: as an output and as its source."""
    ((_, attributes),) = spec["nodes"][-1].items()
    return attributes["name"], attributes["name"]
