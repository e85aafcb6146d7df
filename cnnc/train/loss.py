"""The training loss: cross-entropy of the prediction and of the auxiliary outputs.

Takes the graph and fields of the recipe. The first output that is not `only: train` is the prediction. Each output that
is `only: train` is auxiliary, weighted by its `weight`, or else by the recipe's `aux_weight`. Outputs may be logits,
probabilities or log-probabilities.
"""

from typing import TYPE_CHECKING, Any

from cnnc.artifacts.metadata import scores_of
from cnnc.graph.graph import Graph

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-30  # smaller probabilities are clamped, because the logarithm of 0 is infinite


class Objective:
    """The loss of a graph's outputs."""

    def __init__(self, graph: Graph, smoothing: float = 0.0, aux_weight: float = 0.0) -> None:
        self.prediction = next(index for index, each in enumerate(graph.outputs) if not each.train_only)
        self._weights = {
            index: aux_weight if each.weight is None else each.weight
            for index, each in enumerate(graph.outputs)
            if each.train_only
        }
        self._probabilities = [scores_of(graph, each.ref) == "probabilities" for each in graph.outputs]
        self._smoothing = smoothing

    @property
    def heads(self) -> list[int]:
        """The positions of the outputs that the loss depends on."""
        return [self.prediction, *self._weights]

    def __call__(self, outputs: Any, labels: "Tensor") -> "tuple[Tensor, Tensor, Tensor]":
        """Return the total loss and the prediction's own loss, summed over the batch, and the scores (N, classes)."""
        given = outputs if isinstance(outputs, tuple) else (outputs,)
        scores = self._scores(given, self.prediction)
        loss = self._entropy(scores, labels)
        total = loss
        for head, weight in self._weights.items():
            total = total + weight * self._entropy(self._scores(given, head), labels)
        return total, loss, scores

    def _scores(self, outputs: "tuple[Tensor, ...]", index: int) -> "Tensor":
        values = outputs[index].float().flatten(1)
        return values.clamp_min(LEAST).log() if self._probabilities[index] else values

    def _entropy(self, scores: "Tensor", labels: "Tensor") -> "Tensor":
        from torch.nn.functional import cross_entropy

        return cross_entropy(scores, labels, reduction="sum", label_smoothing=self._smoothing)
