"""What a pass takes and gives: a proved graph and its weights, by the keys of the state_dict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.graph.graph import Graph, Node, Output
from cnnc.graph.rebuild import rebuild

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Network:
    """A graph and the float32 weights of its nodes; a node `X` owns the keys `X.weight`, `X.bias` and so on."""

    graph: Graph
    weights: "Mapping[str, Array]"

    def with_nodes(
        self,
        nodes: Iterable[Node],
        outputs: Iterable[Output] | None = None,
        weights: "Mapping[str, Array] | None" = None,
    ) -> "Network":
        """The network with these nodes, proved anew, and the weights that they own."""
        graph = rebuild(self.graph, nodes, outputs)
        every = self.weights if weights is None else weights
        return Network(graph, {key: value for key, value in every.items() if key.rpartition(".")[0] in graph.node})
