"""The results of `cnnc infer`: what a model shows for one picture, or why it failed, as text and as JSON.

Takes the values that `predict.answer` computes; returns strings and plain data. Text never contains control characters.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

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
class Area:
    """The pixels of a class in a mask; `share` is their part of all pixels that the network saw."""

    index: int
    label: str | None
    pixels: int
    share: float


class OutputResult(Protocol):
    """What one output shows."""

    @property
    def kind(self) -> str:
        """One of `output_kinds.KINDS`."""

    @property
    def is_written(self) -> bool:
        """Whether `--save` writes it to a file."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json`."""

    def as_text(self) -> list[str]:
        """Its size in words, and more lines."""


@dataclass(frozen=True, slots=True)
class Classes:
    """The best classes of an output; `kind` is classes or probabilities."""

    kind: str
    predictions: tuple[Prediction, ...]
    is_written: ClassVar[bool] = False

    def as_json(self) -> dict[str, Any]:
        return {"predictions": [_plain(each) for each in self.predictions]}

    def as_text(self) -> list[str]:
        return ["", *_ranks(self.predictions)]


@dataclass(frozen=True, slots=True)
class Mask:
    """A class for each pixel of the picture, uint8 (H, W), where OUTSIDE is a pixel that the network did not see.

    `areas` are those of the classes that occur, largest first; `shown` of them are printed.
    """

    mask: NDArray[np.uint8]
    areas: tuple[Area, ...]
    outside: int
    shown: int
    kind: ClassVar[str] = "segmentation"
    is_written: ClassVar[bool] = True

    def as_json(self) -> dict[str, Any]:
        areas = [_plain(each) for each in self.areas]
        return {"size": list(self.mask.shape), "areas": areas, "outside": self.outside}

    def as_text(self) -> list[str]:
        names = [_name(each) for each in self.areas[: self.shown]]
        width = widest(names)
        lines = [
            f"     {left(name, width)}  {each.share:7.2%}  {each.pixels:,} pixels"
            for name, each in zip(names, self.areas[: self.shown], strict=True)
        ]
        if len(self.areas) > self.shown:
            rest = len(self.areas) - self.shown
            lines.append(f"     … and {rest} more class{'es' * (rest > 1)}")
        if self.outside:
            lines.append(f"     outside the network's view: {self.outside:,} pixels")
        return [_size(self.mask.shape), *lines]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, uint8 (H, W) or (H, W, 3)."""

    pixels: NDArray[np.uint8]
    kind: ClassVar[str] = "picture"
    is_written: ClassVar[bool] = True

    def as_json(self) -> dict[str, Any]:
        return {"size": list(self.pixels.shape[:2])}

    def as_text(self) -> list[str]:
        return [_size(self.pixels.shape)]


@dataclass(frozen=True, slots=True)
class Values:
    """The numbers of an output, without the batch; `kind` is vector or raw."""

    kind: str
    array: NDArray[Any]
    is_written: ClassVar[bool] = True

    def as_json(self) -> dict[str, Any]:
        about = {"shape": list(self.array.shape), "dtype": self.array.dtype.name}
        if self.kind == "vector":
            return {**about, "values": self.array.reshape(-1).tolist()}
        return {**about, **self._summary()}

    def as_text(self) -> list[str]:
        sides = " × ".join(map(str, self.array.shape)) or "one number"
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self._summary().items() if value is not None)
        return [f"{sides}{'; ' * bool(numbers)}{numbers}"]

    def _summary(self) -> dict[str, float | None]:
        """The smallest, the largest and the mean value; None if it is not a finite number."""
        array = np.asarray(self.array, np.float64)
        found = {name: float(getattr(array, name)()) if array.size else np.nan for name in ("min", "max", "mean")}
        return {name: value if isfinite(value) else None for name, value in found.items()}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one picture: predictions (best first), provider, time of the run in milliseconds, notes.

    The predictions are those of the model's first output with classes; `outputs` are the others, by name. `files` are
    the paths of the files that were written, by output.
    """

    image: str
    predictions: tuple[Prediction, ...]
    provider: str
    milliseconds: float
    notes: tuple[str, ...] = ()
    outputs: Mapping[str, OutputResult] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The result as plain values for `json`."""
        outputs = {
            name: {"as": each.kind, **each.as_json(), "file": self.files.get(name)}
            for name, each in self.outputs.items()
        }
        return {
            "image": self.image,
            "predictions": tuple(_plain(each) for each in self.predictions),
            "provider": self.provider,
            "milliseconds": self.milliseconds,
            "notes": self.notes,
            "outputs": outputs,
        }

    def as_text(self) -> str:
        """The picture, a line for each class with its rank, its label or index, and its score, and other outputs."""
        lines = [f"{visible(self.image)} ({self.provider}, {self.milliseconds:.1f} ms)"]
        lines += [f"  note: {visible(note)}" for note in self.notes]
        lines += _ranks(self.predictions)
        for name, each in self.outputs.items():
            size, *more = each.as_text()
            file = self.files.get(name)
            where = f" → {visible(file)}" if file else " (--save FOLDER writes it)" if each.is_written else ""
            lines += [f"  {visible(name)}: {each.kind}{', ' * bool(size)}{size}{where}", *more]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Failed:
    """The error of a picture, or of a folder of pictures."""

    image: str
    error: CnncError

    def as_json(self) -> dict[str, Any]:
        """The keys of a result, without predictions, and the diagnostics."""
        empty = Result(self.image, (), "", 0.0).as_json()
        diagnostics = [as_json(each) for each in self.error.diagnostics]
        return {**empty, "provider": None, "milliseconds": None, "diagnostics": diagnostics}


def _plain(of: Prediction | Area) -> dict[str, Any]:
    """The fields by name: `asdict` also copies deeply, which takes 4 µs longer for each of a picture's ten."""
    return {name: getattr(of, name) for name in of.__slots__}


def _ranks(predictions: Sequence[Prediction]) -> Iterable[str]:
    names = [_name(each) for each in predictions]
    width = widest(names)
    for rank, (name, each) in enumerate(zip(names, predictions, strict=True), 1):
        yield f"{rank:3}. {left(name, width)}  {each.score:7.2%}"


def _name(of: Prediction | Area) -> str:
    return visible(of.label or f"class {of.index}")


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} × {shape[1]} (height × width)"
