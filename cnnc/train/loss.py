"""The training loss of a network: the task's loss of the prediction and of the auxiliary outputs.

Takes the graph and fields of the recipe. The first output that is not `only: train` is the prediction, whose kind
decides the task. Each output that is `only: train` is auxiliary, weighted by its `weight`, or else by the recipe's
`aux_weight`. Outputs may be logits, probabilities or log-probabilities.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from cnnc.artifacts.metadata import scores_of, stride_of
from cnnc.data.placement import Framing
from cnnc.graph.graph import Graph
from cnnc.train.task_losses import cross_entropy
from cnnc.train.tasks import loss_of, task_of

if TYPE_CHECKING:
    from torch import Tensor


class Objective:
    """The loss of a graph's outputs. `loss` is the name of a loss of the task, the default if it is None.

    `weights` are those of the classes, for the task `classes`; without them, all count alike.
    """

    def __init__(
        self,
        graph: Graph,
        smoothing: float = 0.0,
        aux_weight: float = 0.0,
        loss: str | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.task = task_of(graph)
        self.prediction = next(index for index, each in enumerate(graph.outputs) if not each.train_only)
        self._weights = {
            index: aux_weight if each.weight is None else each.weight
            for index, each in enumerate(graph.outputs)
            if each.train_only
        }
        self._forms = [scores_of(graph, each.ref) for each in graph.outputs]
        self._strides = [stride_of(graph, each.ref, graph.inputs[0]) for each in graph.outputs]
        self._loss, self._smoothing = loss_of(self.task, loss, smoothing), smoothing
        if weights is not None:
            self._loss = partial(cross_entropy, weights=weights)

    @property
    def heads(self) -> list[int]:
        """The positions of the outputs that the loss depends on."""
        return [self.prediction, *self._weights]

    def __call__(self, outputs: Any, targets: "Tensor") -> "tuple[Tensor, Tensor, Tensor, Tensor]":
        """Return the total loss and the prediction's own, summed over the batch, and its scores and their targets.

        For a segmentation, the scores are spread over the pixels of the masks, without those that the network does not
        see.
        """
        given = outputs if isinstance(outputs, tuple) else (outputs,)
        scores, truth = self._pair(given, self.prediction, targets)
        loss = self._loss(scores, truth, self._smoothing)
        total = loss
        for head, weight in self._weights.items():
            total = total + weight * self._loss(*self._pair(given, head, targets), self._smoothing)
        return total, loss, scores, truth

    def _pair(self, outputs: "tuple[Tensor, ...]", index: int, targets: "Tensor") -> "tuple[Tensor, Tensor]":
        scores = self.task.scores(outputs[index], self._forms[index])
        return spread(scores, targets, self._strides[index]) if self.task.masks else (scores, targets)


def spread(scores: "Tensor", masks: "Tensor", stride: tuple[float, float] | None) -> "tuple[Tensor, Tensor]":
    """Return scores (N, K, H, W) at the pixels of masks (N, H, W) that the network sees, and these pixels' masks.

    A pixel takes the nearest scores, as masks that `cnnc infer` shows do.
    """
    import torch

    for axis in (0, 1):
        size, count = masks.shape[1 + axis], scores.shape[2 + axis]
        if size != count:
            start, stop, taken = _seen(size, count, stride[axis] if stride else None)
            index = torch.tensor(taken, device=scores.device)
            scores, masks = scores.index_select(2 + axis, index), masks.narrow(1 + axis, start, stop - start)
    return scores, masks


@cache
def _seen(size: int, count: int, stride: float | None) -> tuple[int, int, tuple[int, ...]]:
    """Return the range of the pixels along an axis that `count` outputs see, and the output that each of them takes."""
    found = Framing((size, size), (size, size), (0, 0), (size, size)).positions(0, count, stride)
    inside = (found >= 0).nonzero()[0]
    return int(inside[0]), int(inside[-1]) + 1, tuple(found[inside].tolist())
