"""A rank's share of a batch, and the random numbers of its examples.

The numbers depend only on the run's seed, the epoch and the example's place in it. So they are the same however many
ranks share the batch, and in a run that resumes at any step.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cnnc.train.epoch_order import Range, derive

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The part `taken` of a batch; both are positions in the order of epoch `epoch`.

    A rank without a part takes an example that does not count, because the others would wait for it.
    """

    seed: int
    epoch: int
    batch: Range
    taken: Range

    @property
    def counts(self) -> bool:
        """Whether the rank has examples of its own."""
        return len(self.taken) > 0

    def uniform(self, columns: int = 1) -> "Tensor":
        """Draw numbers in [0, 1) for each example: float32 (n, columns) on the CPU, others at every call."""
        import numpy as np
        import torch

        drawn = self._generator.random((len(self.batch), columns), dtype=np.float32)
        return torch.from_numpy(drawn[self._rows])

    def beta(self, alpha: float) -> "Tensor":
        """Draw numbers of the distribution Beta(alpha, alpha), one for each example: float32 (n,) on the CPU."""
        import torch

        drawn = self._generator.beta(alpha, alpha, len(self.batch))
        return torch.from_numpy(drawn[self._rows].astype("float32"))

    @property
    def _rows(self) -> slice:
        start = min(self.taken.start, self.batch.stop - 1) - self.batch.start
        return slice(start, start + max(1, len(self.taken)))

    @cached_property
    def _generator(self) -> "np.random.Generator":
        import numpy as np

        return np.random.default_rng(derive(self.seed, "augment", self.epoch, self.batch.start))
