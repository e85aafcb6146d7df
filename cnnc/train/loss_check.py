"""Check from time to time whether the loss is finite, without waiting for the device.

A loss that is not finite makes the sum of all losses not finite, so checking the sum is enough.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EVERY = 50  # steps between two checks


class LossCheck:
    """Copies the totals from a GPU asynchronously, and checks a copy once it has arrived.

    On other devices it does nothing: losses on the CPU are checked in every step, others at the end of the epoch.
    """

    def __init__(self, device: "torch.device") -> None:
        self._active = device.type == "cuda"
        self._copy: Tensor | None = None
        self._arrived: Any = None

    def failed(self, totals: "Tensor", step: int) -> bool:
        """Return whether a loss up to some earlier step was not finite."""
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
