"""The options of a build or of `cnnc quantize` about precision, and what is wrong with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cnnc.diagnostics import CnncError, Code
from cnnc.precision.choices import ALL_POINTS, CALIBRATION, MAX_DROP, PICTURES, Calibration, Precision


class WrongRequest(NamedTuple):
    """What is wrong with a request, and what to do."""

    message: str
    help: str


@dataclass(frozen=True, slots=True)
class Request:
    """The precisions of the additional files; the data set to calibrate with, the method, and the number of pictures.

    `max_drop` is the largest acceptable loss of accuracy in points (hundredths). `limit`, `val_split`, `seed` and
    `skip_unreadable` are those of `cnnc.data.load.load`: with those of a run of `cnnc train`, the part that it held out
    is the test part here too.
    """

    precisions: tuple[str, ...] = ()
    calibrate: str | None = None
    calibration: str = CALIBRATION
    pictures: int = PICTURES
    max_drop: float = MAX_DROP
    limit: int | None = None
    val_split: float | None = None
    seed: int = 0
    skip_unreadable: bool = False

    @classmethod
    def of(cls, precision: "str | Iterable[str] | Request", calibrate: str | Path | None, max_drop: float) -> "Request":
        """Return the request of the arguments of `cnnc.build`."""
        if isinstance(precision, Request):
            return precision
        names = (precision,) if isinstance(precision, str) else tuple(dict.fromkeys(precision))
        return cls(names, None if calibrate is None else str(calibrate), max_drop=max_drop)

    def require(self, *, trained: bool, targets: tuple[str, ...] = ("onnx",)) -> "Request":
        """Return the request; raises E203 if it is wrong."""
        if fault := self.fault(trained=trained, targets=targets):
            raise CnncError.of(Code.BAD_VALUE, fault.message, help=fault.help)
        return self

    def fault(self, *, trained: bool, targets: tuple[str, ...] = ("onnx",)) -> WrongRequest | None:
        """Return what is wrong; `trained` is whether the weights come from a file."""
        return self._wrong_value() or self._missing(trained, targets)

    def _wrong_value(self) -> WrongRequest | None:
        for kind, known, given in (
            ("precision", Precision, self.precisions),
            ("calibration", Calibration, (self.calibration,)),
        ):
            if unknown := [each for each in given if each not in list(known)]:
                return WrongRequest(f"there is no {kind} `{unknown[0]}`", f"use one of: {', '.join(known)}")
        if self.pictures < 1 or not 0 <= self.max_drop <= ALL_POINTS:
            given_numbers = f"{self.pictures:,} calibration pictures and a largest drop of {self.max_drop:g}"
            return WrongRequest(
                f"got {given_numbers}, expected at least 1 picture and 0 to 100 points", "correct the number"
            )
        return None

    def _missing(self, trained: bool, targets: tuple[str, ...]) -> WrongRequest | None:
        fault = None
        if not self.precisions and self.calibrate is not None:
            fault = WrongRequest("--calibrate needs --precision", "add --precision int8")
        elif self.precisions and "onnx" not in targets:
            fault = WrongRequest("--precision needs the target onnx, whose file it converts", "add --target onnx")
        elif Precision.INT8 in self.precisions and self.calibrate is None:
            fault = WrongRequest(
                "--precision int8 needs --calibrate: the ranges of values are measured on pictures",
                "--calibrate DATA, a data set that `cnnc train` takes, or a folder of pictures",
            )
        elif Precision.INT8 in self.precisions and not trained and self.max_drop < ALL_POINTS:
            fault = WrongRequest(
                "--precision int8 needs --weights: the accuracy of random weights means nothing",
                "--weights FILE; or --max-drop 100 to quantize random weights, for example to measure the speed",
            )
        return fault
