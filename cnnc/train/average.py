"""The exponential moving average of a network's weights: `ema` of the recipe (Polyak and Juditsky, 1992).

After each step, every parameter and running statistic moves by 1 - decay towards its current value. Early in a run the
decay is at most (1 + steps) / (10 + steps), so that the average soon forgets the initial weights.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Average:
    """The averaged values of a module's state_dict, on its device, by key."""

    def __init__(self, module: "torch.nn.Module", decay: float) -> None:
        self._decay, self._steps = decay, 0
        self._current = module.state_dict()  # shares its memory with the module
        self._buffers = [name for name, _ in module.named_buffers() if name in self._current]
        self.values = {key: value.clone() for key, value in self._current.items()}

    @property
    def buffers(self) -> "list[Tensor]":
        """The averaged running statistics, which differ from rank to rank."""
        return [self.values[name] for name in self._buffers]

    def update(self) -> None:
        """Move the average towards the module's current values; counts, which are integers, are copied."""
        from torch.optim.swa_utils import get_ema_multi_avg_fn

        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        pairs = [(self.values[key], value) for key, value in self._current.items()]
        moving = [pair for pair in pairs if pair[0].is_floating_point()]
        move: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        move([mine for mine, _ in moving], [current for _, current in moving], None)
        for mine, current in pairs:
            if not mine.is_floating_point():
                mine.copy_(current)

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"steps": self._steps, "values": {key: value.to("cpu", copy=True) for key, value in self.values.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state of `state`."""
        self._steps = state["steps"]
        for key, value in state["values"].items():
            self.values[key].copy_(value)
