"""Memory of a network, from its graph alone: for inference, and an estimate for training.

Takes a proved graph and a batch size; returns bytes, in float32. Inference holds the weights and the peak of live
activations: a value lives from its node to its last use. Training holds the weights, a gradient per parameter, the
optimizer state, and the tensors that each op saves in the forward pass for its gradient (`Op.saves`), each once.
Workspaces, the gradients of activations, and copies made by libraries are not counted.
"""

from dataclasses import dataclass

from cnnc.analysis.cost import FLOAT, bytes_of, totals
from cnnc.graph.graph import Graph, Node, Ref

INDEX = 8  # bytes of the index that a max pool keeps per output element
STATE_SIZE = {"sgd": 0, "adamw": 2, "rmsprop": 1, "nadam": 2, "lamb": 2}  # numbers per parameter; momentum adds one


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at a batch size; None if they depend on an unknown height or width.

    `activations`: the peak in inference. `kept`: what training keeps of a forward pass. `weights`: parameters and
    running statistics. `optimizer`: its state, by the spec's recipe or the default of `cnnc train`.
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
        """Weights, gradients, optimizer state, and the tensors kept for the backward pass."""
        return None if self.kept is None else self.weights + self.gradients + self.optimizer + self.kept


def memory(graph: Graph, batch: int = 1) -> Memory:
    """Return the memory that the network takes for a batch of `batch` samples."""
    sums = totals(graph)
    kept = kept_bytes(graph)
    recipe = graph.train
    state_size = 0 if recipe is None else STATE_SIZE[recipe.optimizer] + (recipe.momentum > 0)
    return Memory(
        batch=batch,
        weights=(sums.params + sums.buffers) * FLOAT,
        activations=None if sums.activation_bytes is None else sums.activation_bytes * batch,
        kept=None if kept is None else kept * batch,
        gradients=sums.params * FLOAT,
        optimizer=sums.params * FLOAT * state_size,
    )


def kept_bytes(graph: Graph) -> int | None:
    """Return the bytes per sample that training keeps of a forward pass for the backward pass."""
    stored: dict[Ref, Ref] = {}  # from a view to the value that holds its memory
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
    """Whether the output is a view of the input: the op saves nothing, and keeps the number of elements."""
    one = node.op.saves == "nothing" and len(node.inputs) == len(node.outputs) == 1
    return one and node.outputs[0].elements == graph.type_of(node.inputs[0]).elements
