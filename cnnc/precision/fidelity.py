"""How close the outputs of a reduced model are to those of the float32 model, on the same pictures.

Takes two sessions and batches of inputs; returns a `Fidelity`. The signal of an output is its variance over the
pictures and positions in each channel (a constant carries no information), the noise is the difference.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.diagnostics import CnncError, Code

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = Mapping[str, Array]
    Run = Callable[[Feed], Sequence[Array]]

LIMIT = 200.0  # dB, so that equal and constant outputs have a finite number
CONSTANT = 1e-12  # of the squares of an output: less variance than this is rounding
BETTER = 0.1  # of the distance between guessing and perfect
TIE = 0.01  # of the range of the scores: if the two best are closer, their order means nothing


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The comparison of two models on some pictures.

    `snr` is the signal-to-noise ratio of each output in dB, `relative` the largest RMS error of an output relative to
    its RMS. For scores of classes in the first output (also for each
    position): `agreement` is the fraction with the same best class, without the `near_ties`; `float_accuracy` and
    `accuracy` are those of the two models if the pictures have labels, `chance` is that of guessing.
    """

    pictures: int
    snr: Mapping[str, float]
    relative: float
    agreement: float | None = None
    near_ties: int = 0
    accuracy: float | None = None
    float_accuracy: float | None = None
    chance: float = 0.0

    @property
    def first_snr(self) -> float:
        return next(iter(self.snr.values()))

    @property
    def labels_fit(self) -> bool:
        """Whether float32 finds the classes of the data, clearly better than by guessing."""
        return self.float_accuracy is not None and self.float_accuracy > self.chance + BETTER * (1 - self.chance)

    @property
    def drop(self) -> float | None:
        """The points of accuracy lost, or the percentage of other classes without labels that fit; None without any."""
        if self.accuracy is not None and self.float_accuracy is not None and self.labels_fit:
            return 100 * (self.float_accuracy - self.accuracy)
        return None if self.agreement is None else 100 * (1 - self.agreement)

    def as_json(self) -> dict[str, Any]:
        """The numbers as plain values."""
        return {
            "pictures": self.pictures,
            "snr_db": {name: round(each, 2) for name, each in self.snr.items()},
            "relative_error": self.relative,
            "agreement": self.agreement,
            "near_ties": self.near_ties,
            "accuracy": self.accuracy,
            "float32_accuracy": self.float_accuracy,
        }

    def __str__(self) -> str:
        parts = [f"{self.first_snr:.1f} dB"]
        if self.agreement is not None:
            parts.append(f"{self.agreement:.1%} same class")
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.2%} (float32 {self.float_accuracy:.2%})")
        return ", ".join(parts)


@dataclass(slots=True)
class _Powers:
    """Sums over the values of an output, by channel."""

    count: int = 0
    total: "Array" = field(default_factory=lambda: np.zeros(1))
    squares: float = 0.0
    noise: float = 0.0

    def add(self, wanted: "Array", given: "Array") -> None:
        if wanted.ndim == 1:
            wanted, given = wanted[:, None], given[:, None]
        wanted, given = np.moveaxis(wanted.astype(np.float64), 1, -1), np.moveaxis(given, 1, -1)
        flat = wanted.reshape(-1, wanted.shape[-1])
        self.count += len(flat)
        self.total = self.total + flat.sum(0)
        self.squares += float((flat**2).sum())
        self.noise += float(((wanted - given) ** 2).sum())

    @property
    def snr(self) -> float:
        signal = self.squares - float((self.total**2).sum()) / max(1, self.count)
        if not np.isfinite(self.noise):
            return -LIMIT
        if signal <= CONSTANT * self.squares:  # all pictures have the same outputs
            signal = self.squares
        if not signal:
            return -LIMIT if self.noise else LIMIT
        return float(np.clip(10 * np.log10(signal / self.noise), -LIMIT, LIMIT)) if self.noise else LIMIT

    @property
    def relative(self) -> float:
        if not np.isfinite(self.noise):
            return float("inf")
        return (self.noise / self.squares) ** 0.5 if self.squares else float(self.noise > 0)


@dataclass(slots=True)
class _Classes:
    """Counts of the best classes of an output with a score for each class."""

    positions: int = 0
    ties: int = 0
    same: int = 0
    right: int = 0
    right_in_float: int = 0
    classes: int = 1

    def add(self, wanted: "Array", given: "Array", labels: "Array | None") -> None:
        """Count the positions of a batch; raises E510 for a label that is not a class."""
        best, ours = wanted.argmax(1), given.argmax(1)
        ranked = np.partition(wanted, -2, axis=1)
        margin, spread = ranked[:, -1] - ranked[:, -2], ranked[:, -1] - wanted.min(1)
        clear = margin > TIE * spread
        self.classes = wanted.shape[1]
        self.positions += best.size
        self.ties += int((~clear).sum())
        self.same += int(((best == ours) & clear).sum())
        if labels is not None and best.size == len(best):
            if int(labels.max()) >= wanted.shape[1]:
                raise CnncError.of(
                    Code.DATA_MISFIT,
                    f"the data has the label {int(labels.max())}, but the network has the classes 0 to "
                    f"{wanted.shape[1] - 1}",
                    help="calibrate with data that has the classes of the network, or with a folder of pictures",
                )
            self.right += int((ours.reshape(-1) == labels).sum())
            self.right_in_float += int((best.reshape(-1) == labels).sum())


def compare(
    reference: "Run",
    other: "Run",
    outputs: Sequence[str],
    feeds: "Iterable[Feed]",
    labels: "Array | None" = None,
    *,
    classes: bool = True,
) -> Fidelity:
    """Return the fidelity of `other` to `reference`, functions of a batch that return the `outputs` in this order.

    `labels` are the classes of all pictures in the order of `feeds`; `classes` is whether the first output has scores.
    """
    powers = [_Powers() for _ in outputs]
    counts, done = _Classes(), 0
    for each in feeds:
        wanted, given = reference(each), other(each)
        for power, a, b in zip(powers, wanted, given, strict=True):
            power.add(a, b)
        size = len(next(iter(each.values())))
        classes = classes and wanted[0].ndim > 1 and wanted[0].shape[1] > 1
        if classes:
            counts.add(wanted[0], given[0], None if labels is None else labels[done : done + size])
        done += size
    snr = {name: power.snr for name, power in zip(outputs, powers, strict=True)}
    relative = max(power.relative for power in powers)
    if not classes or not counts.positions:
        return Fidelity(done, snr, relative)
    clear = counts.positions - counts.ties
    agreement = counts.same / clear if clear else None
    if labels is None or counts.positions != done:
        return Fidelity(done, snr, relative, agreement, counts.ties)
    right, right_in_float = counts.right / done, counts.right_in_float / done
    return Fidelity(done, snr, relative, agreement, counts.ties, right, right_in_float, 1 / counts.classes)
