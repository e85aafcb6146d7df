"""How much memory a network takes, from its graph alone: to run it, and an estimate of what training takes.

In: a proved graph and a batch. Out: bytes, in float32. Inference holds the weights and, at most, what is alive at once:
a value lives from its node to its last use. Training holds the weights, a gradient for each parameter, what the
optimizer remembers of it, and what each op keeps from the forward pass for its gradient (`Op.saves`), every value once;
workspaces, the gradients of activations, and copies that a library makes are left out.
"""

from dataclasses import dataclass

from cnnc.analysis.cost import FLOAT, bytes_of, totals
from cnnc.graph.graph import Graph, Node, Ref

INDEX = 8  # bytes of the index that a pool keeps of each largest value
REMEMBERED = {"sgd": 0, "adamw": 2, "rmsprop": 1}  # numbers a parameter; momentum is one more


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at a batch; None where an unknown height or width leaves them open.

    `activations`: the peak in inference. `kept`: what training keeps of a forward pass. `weights`: parameters and
    running statistics. `optimizer`: its state, by the spec's recipe, or `cnnc train`'s default.
    """

    batch: int
    weights: int
    activations: int | None
    kept: int | None
    gradients: int
    optimizer: int

    @property
    def inference(self) -> int | None:
        """Weights and activations."""
        return None if self.activations is None else self.weights + self.activations

    @property
    def training(self) -> int | None:
        """Weights, gradients, the optimizer's state, and what is kept for the backward pass."""
        return None if self.kept is None else self.weights + self.gradients + self.optimizer + self.kept


def memory(graph: Graph, batch: int = 1) -> Memory:
    """The memory that the network takes for `batch` samples at once."""
    sums = totals(graph)
    kept = kept_bytes(graph)
    recipe = graph.train
    remembered = 0 if recipe is None else REMEMBERED[recipe.optimizer] + (recipe.momentum > 0)
    return Memory(
        batch=batch,
        weights=(sums.params + sums.buffers) * FLOAT,
        activations=None if sums.activation_bytes is None else sums.activation_bytes * batch,
        kept=None if kept is None else kept * batch,
        gradients=sums.params * FLOAT,
        optimizer=sums.params * FLOAT * remembered,
    )


def kept_bytes(graph: Graph) -> int | None:
    """What a forward pass in training keeps for the backward pass, per sample."""
    stored: dict[Ref, Ref] = {}  # where a value that is another one's view is really stored
    kept: set[Ref] = set()
    for node in graph.nodes:
        if _is_view(graph, node):
            stored[Ref(node.path)] = stored.get(node.inputs[0], node.inputs[0])
        elif node.op.saves != "nothing":
            refs = (Ref(node.path),) if node.op.saves == "output" else node.inputs
            kept.update(stored.get(ref, ref) for ref in refs)
    values = bytes_of([graph.type_of(ref) for ref in kept])
    indices = bytes_of([node.outputs[0] for node in graph.nodes if node.op.saves == "inputs and indices"], INDEX)
    return None if values is None or indices is None else values + indices


def _is_view(graph: Graph, node: Node) -> bool:
    """Whether a node only shows its input in another form: it keeps nothing, and has as many elements."""
    one = node.op.saves == "nothing" and len(node.inputs) == len(node.outputs) == 1
    return one and node.outputs[0].elements == graph.type_of(node.inputs[0]).elements
