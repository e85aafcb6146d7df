"""The input and output of a pass: a proved graph and its weights, by the keys of the state_dict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnc.graph.graph import Graph, Node, Output, Ref
from cnnc.graph.rebuild import rebuild

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Network:
    """A graph and the float32 weights of its nodes; a node `X` owns the keys `X.weight`, `X.bias` and so on.

    `moved` maps values that another node now computes to what they were in the graph before all passes.
    """

    graph: Graph
    weights: "Mapping[str, Array]"
    moved: Mapping[Ref, Ref] = field(default_factory=dict)

    def with_nodes(
        self,
        nodes: Iterable[Node],
        outputs: Iterable[Output] | None = None,
        weights: "Mapping[str, Array] | None" = None,
        moved: Mapping[Ref, Ref] | None = None,
    ) -> "Network":
        """Return the network with these nodes, their types inferred again, and the weights that they own.

        `moved` maps a value of the new graph to the same value of this one, if its node's path has changed.
        """
        graph = rebuild(self.graph, nodes, outputs)
        every = self.weights if weights is None else weights
        owned = {key: value for key, value in every.items() if graph.owner(key) is not None}
        return Network(graph, owned, {**self.moved, **{new: self.origin(old) for new, old in (moved or {}).items()}})

    def origin(self, ref: Ref) -> Ref:
        """Return the value of the graph before all passes that `ref` corresponds to."""
        return self.moved.get(ref, ref)
