"""The parts of a network that the recipe trains differently: `freeze`, `lr_scale` and `lr_decay`.

Takes the graph and the recipe; returns which keys are frozen, and the factor of each
learned key's learning rate. Raises E517 for patterns that select nothing, or that leave nothing to learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.graph.graph import Graph, Node
from cnnc.language.recipe import Train
from cnnc.targets.torch_module import shapes
from cnnc.train.loss import Objective
from cnnc.weights.patterns import all_selected, names_of, require_matches, selected

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # a batch norm updates all of them or none


@dataclass(frozen=True)
class Selection:
    """The keys that are frozen, and the factors of the learning rate that are not 1, by key."""

    frozen: frozenset[str] = frozenset()
    scales: Mapping[str, float] | None = None

    @classmethod
    def of(cls, graph: Graph, recipe: Train) -> "Selection":
        """Return the recipe's selection of the network's keys; raises E517 for a pattern that selects nothing."""
        if not (recipe.freeze or recipe.lr_scale or recipe.lr_decay < 1):
            return WHOLE
        names = names_of(graph, shapes(graph))
        for field in ("freeze", "lr_scale"):
            require_matches(field, getattr(recipe, field), names, f"`{graph.name}`")
        scales = {key: scale for pattern, scale in recipe.lr_scale.items() for key in selected(names, pattern)}
        if recipe.lr_decay < 1:
            behind = layers_behind(graph)
            scales = {key: scales.get(key, 1.0) * recipe.lr_decay**count for key, count in behind.items()}
        return cls(all_selected(names, recipe.freeze), scales)

    def freeze(self, module: "torch.nn.Module") -> None:
        """Exclude the frozen parameters from the backward pass, which ends where no learned parameter is before it."""
        for key, parameter in module.named_parameters():
            if key in self.frozen:
                parameter.requires_grad_(False)

    def evaluate(self, module: "torch.nn.Module") -> None:
        """Put batch norms with a frozen statistic in evaluation mode. Dropout stays active, as in torchvision."""
        for key in self.frozen:
            path, _, name = key.rpartition(".")
            if name in STATISTICS:
                module.get_submodule(path).eval()

    def is_frozen(self, norm: Node) -> bool:
        """Return whether any of the statistics of a batch norm is frozen, and therefore all of them."""
        return any(f"{norm.keys}.{name}" in self.frozen for name in STATISTICS)

    def groups(self, module: "torch.nn.Module") -> "list[tuple[float, list[Parameter]]]":
        """Return the learned parameters by the factor of their learning rate."""
        found: dict[float, list[Parameter]] = {}
        for key, parameter in module.named_parameters():
            if parameter.requires_grad:
                found.setdefault((self.scales or {}).get(key, 1.0), []).append(parameter)
        return [*found.items()]


def layers_behind(graph: Graph) -> dict[str, int]:
    """Return for each key of a parameter how many layers come after its own, on the longest way to an output.

    Layers are nodes with a weight matrix or kernel. A norm belongs to the layer before it.
    """
    keys = {key: shape for key, shape in shapes(graph).items() if key.rpartition(".")[2] not in STATISTICS}
    layers = {owner for key, shape in keys.items() if len(shape) > 1 and (owner := _owner(graph, key))}
    depth: dict[str, int] = {}  # of a node: the layers from the input to its output
    for node in graph.nodes:
        before = max((depth.get(ref.node, 0) for ref in node.inputs), default=0)
        depth[node.path] = before + (node.keys in layers)
    of_keys: dict[str, int] = {}  # shared weights are as deep as their last use
    for node in graph.nodes:
        of_keys[node.keys] = max(depth[node.path], of_keys.get(node.keys, 0))
    deepest = max(of_keys.values(), default=0)
    return {key: deepest - max(1, of_keys[owner]) for key in keys if (owner := _owner(graph, key))}


WHOLE = Selection()
"""All weights are trained alike."""


def counts(module: "torch.nn.Module") -> dict[str, int]:
    """Return the numbers of learned and of frozen parameters."""
    sizes = [(each.requires_grad, each.numel()) for each in module.parameters()]
    return {name: sum(size for learned, size in sizes if learned == flag) for name, flag in _FLAGS.items()}


_FLAGS = {"learned": True, "frozen": False}


def require_learning(graph: Graph, module: "torch.nn.Module") -> None:
    """Raise E517 if no learned parameter affects the loss."""
    heads = [graph.outputs[index] for index in Objective(graph).heads]
    used = {graph.node[path].keys for path in graph.needed(heads) if path in graph.node}
    learned = [key for key, each in module.named_parameters() if each.requires_grad]
    if any(_owner(graph, key) in used for key in learned):
        return
    number = counts(module)["frozen"]
    message = f"`freeze` of the recipe leaves nothing to learn: it matches all {counted(number, 'parameter')}"
    if learned:
        message = f"`freeze` of the recipe leaves only parameters that do not affect the loss, such as `{learned[0]}`"
    raise CnncError.of(Code.WEIGHTS_UNSELECTED, message, help="freeze less, so that at least one layer is trained")


def _owner(graph: Graph, key: str) -> str | None:
    path = graph.owner(key)
    return None if path is None else graph.node[path].keys
