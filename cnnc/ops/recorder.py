"""Records how an op lowers itself to torch, without torch: what it registers and what it calls.

Two nodes can share their parameters if they register the same modules and tensors, and a module can run in place of
another if all their nodes have equal steps.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnc.ops.base import Op
from cnnc.ops.types import Types


class RecordedCall(NamedTuple):
    """One call of a method of a `TorchBuilder`, with all its arguments; `what` is a module, a function or a name."""

    method: str
    what: str
    values: tuple[Any, ...]
    arguments: dict[str, Any]

    @property
    def registers(self) -> bool:
        """Whether the step adds a module or tensors to the state_dict."""
        return self.method in ("module", "tensors", "parameter")


class RecordedValue(NamedTuple):
    """A value: a result of the step at this index, or the input at -1 - `step`."""

    step: int
    result: int = 0


class Recorder:
    """Records the steps of one node; see ops.base.TorchBuilder."""

    def __init__(self, inputs: Types, outputs: Types) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.steps: list[RecordedCall] = []

    def module(self, kind: str, x: Any, /, **arguments: Any) -> RecordedValue:
        return self._record("module", kind, (x,), arguments)

    def call(self, function: str, *args: Any, **kwargs: Any) -> RecordedValue:
        return self._record("call", function, args, kwargs)

    def method(self, name: str, x: Any, *args: Any) -> RecordedValue:
        return self._record("method", name, (x, *args), {})

    def parameter(self, name: str, shape: tuple[int, ...], fill: float, deviation: float = 0.0) -> RecordedValue:
        return self._record("parameter", name, (), {"shape": shape, "fill": fill, "deviation": deviation})

    def tensors(self, kind: str, names: Sequence[str], /, **arguments: Any) -> list[RecordedValue]:
        step = self._record("tensors", kind, tuple(names), arguments).step
        return [RecordedValue(step, result) for result in range(len(names))]

    def training(self) -> RecordedValue:
        return self._record("training", "", (), {})

    def _record(self, method: str, what: str, values: tuple[Any, ...], arguments: dict[str, Any]) -> RecordedValue:
        self.steps.append(RecordedCall(method, what, values, arguments))
        return RecordedValue(len(self.steps) - 1)


def record(op: Op, inputs: Types, outputs: Types) -> tuple[list[RecordedCall], Any]:
    """Return the steps of a node, and the value or values that it returns."""
    recorder = Recorder(inputs, outputs)
    result = op.to_torch(recorder, *(RecordedValue(-1 - index) for index in range(len(inputs))))
    return recorder.steps, result


def registered(op: Op, inputs: Types, outputs: Types) -> list[RecordedCall]:
    """Return the steps of a node that add to the state_dict."""
    return [step for step in record(op, inputs, outputs)[0] if step.registers]
