"""Balance the classes of a training set: weights of their losses, or how often their examples are drawn."""

from typing import TYPE_CHECKING

from cnnc.data.dataset import Data
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.language.recipe import Train
from cnnc.train.epoch_order import derive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def class_weights(recipe: Train, data: Data, width: int) -> list[float] | None:
    """Return the weight of each of the network's `width` classes in the loss, or None if all count alike.

    `balanced` weights are examples / (classes * examples of the class), which are 1 on average over the examples. The
    network may have more classes than occur in the data. Raises E510 if a list has another number of weights.
    """
    import numpy as np

    if recipe.class_weights is None:
        return None
    labels, classes = data.train.labels, data.num_classes
    if recipe.class_weights == "balanced":
        counts = np.bincount(labels, minlength=width)
        found: list[float] = (len(labels) / (classes * np.maximum(counts, 1))).tolist()
        return found
    if len(recipe.class_weights) != width:
        message = f"`class_weights` has {counted(len(recipe.class_weights), 'number')}, but there are {width} classes"
        raise CnncError.of(Code.DATA_MISFIT, message, help="give one weight for each class, or `balanced`")
    return recipe.class_weights


def balanced_order(labels: "NDArray[np.int64]", seed: int, epoch: int) -> "Tensor":
    """Draw an epoch with as many examples as there are labels, each of a random class that occurs: int64 on the CPU.

    Examples of rare classes come several times, and some of frequent classes not at all.
    """
    import numpy as np
    import torch

    generator = np.random.default_rng(derive(seed, "balanced", epoch))
    members = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[members], return_index=True, return_counts=True)
    chosen = generator.integers(len(counts), size=len(labels))
    places = starts[chosen] + generator.integers(counts[chosen])
    return torch.from_numpy(members[places])
