"""The results of `cnnc infer`: what a model predicts for one picture, or why it failed, as text and as JSON.

Takes the values that `predict.answer` computes; returns strings and plain data. Text never contains control characters.
"""

from dataclasses import asdict, dataclass
from typing import Any

from cnnc.columns import left, widest
from cnnc.diagnostics import CnncError
from cnnc.diagnostics.render import as_json, visible


@dataclass(frozen=True, slots=True)
class Prediction:
    """A class (its index, and its label if the model has labels) and its score, a probability."""

    index: int
    label: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one picture: predictions (best first), provider, time of the run in milliseconds, notes."""

    image: str
    predictions: tuple[Prediction, ...]
    provider: str
    milliseconds: float
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The result as plain values for `json`."""
        return asdict(self)

    def as_text(self) -> str:
        """The picture, and a line for each class with its rank, its label or index, and its score."""
        names = [visible(each.label or f"class {each.index}") for each in self.predictions]
        width = widest(names)
        lines = [
            f"{rank:3}. {left(name, width)}  {each.score:7.2%}"
            for rank, (name, each) in enumerate(zip(names, self.predictions, strict=True), 1)
        ]
        notes = [f"  note: {visible(note)}" for note in self.notes]
        return "\n".join([f"{visible(self.image)} ({self.provider}, {self.milliseconds:.1f} ms)", *notes, *lines])


@dataclass(frozen=True, slots=True)
class Failed:
    """The error of a picture, or of a folder of pictures."""

    image: str
    error: CnncError

    def as_json(self) -> dict[str, Any]:
        """The keys of a result, without predictions, and the diagnostics."""
        empty = asdict(Result(self.image, (), "", 0.0))
        diagnostics = [as_json(each) for each in self.error.diagnostics]
        return {**empty, "provider": None, "milliseconds": None, "diagnostics": diagnostics}
