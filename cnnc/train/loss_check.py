"""A look at the loss now and then that does not wait for the device.

A loss that is not finite spoils the sum of all, so the sum is enough to know that there was one.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EVERY = 50  # steps between two looks


class Sentinel:
    """Copies the totals off a GPU behind the running step, and looks at a copy when it has arrived.

    On other devices it sees nothing: the CPU's losses are looked at in every step, others at the end of the epoch.
    """

    def __init__(self, device: "torch.device") -> None:
        self._active = device.type == "cuda"
        self._copy: Tensor | None = None
        self._arrived: Any = None

    def sees(self, totals: "Tensor", step: int) -> bool:
        """Whether a loss up to some earlier step was not finite."""
        if not self._active or step % EVERY:
            return False
        import torch

        if self._copy is not None and not self._arrived.query():
            return False
        bad = self._copy is not None and not bool(self._copy.isfinite().all())
        self._copy = torch.empty(totals.shape, dtype=totals.dtype, pin_memory=True).copy_(totals, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()
        return bad
