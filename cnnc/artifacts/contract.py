"""The contract in an ONNX file's `metadata_props`: how to preprocess a picture, and what the outputs are.

A `Contract` is JSON under the key `CONTRACT`. The exporter writes it, and `cnnc infer` reads it. It is a plain
dataclass, because `infer` reads one at every cold start. A Contract is always valid: constructing one from invalid
values raises ValueError (a bug of the caller), and reading one from a file raises a diagnostic.
"""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.output_kinds import KINDS
from cnnc.ops.types import CHANNELS

CONTRACT = "cnnc.contract"
VERSION = "cnnc.version"
SPEC = "cnnc.spec"
SPEC_SHA256 = "cnnc.spec_sha256"
WEIGHTS_SHA256 = "cnnc.weights_sha256"
TOOLS = "cnnc.tools"
PRECISION = "cnnc.precision"  # JSON about an int8 or fp16 file
FLOAT_WEIGHTS_SHA256 = "cnnc.float_weights_sha256"  # the weights that an int8 or fp16 file was made from

INTERPOLATIONS = ("bilinear", "bicubic")
SCALES = (1, 255)
SCORES = ("logits", "probabilities", "log_probabilities")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputContract:
    """The preprocessing of a picture, and the input sizes that the network accepts.

    `shape` is without the batch: (C, H, W), where an H or W of None is known only at run time. `mode` is `grey`, `rgb`,
    `bgr`, or None for an input that is not a picture (then it may have any shape). `resize` is the shorter side, or
    (H, W), by one of INTERPOLATIONS; `crop` is (H, W), taken from the centre. Pixels are scaled to 0..`scale`; `mean`
    and `std` apply to these values and have one number per channel, or are empty.
    If H or W is unknown, `smallest` (H, W) is the minimum, and both must be multiples of `divisor` (a pair if they
    differ), or leave one of the `remainders` (for H and for W) when divided by it. The sizes in `others` (for H and for
    W) fit as well; without remainders, they are the only ones. If `either` is given, H must be at least its first
    number or W at least its second. If `uint8`, the file itself takes pixels (H, W, C), in RGB or grey, and scales and
    normalises them.
    """

    name: str
    shape: tuple[int | None, ...]
    mode: str | None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    smallest: tuple[int, int] | None = None
    divisor: int | tuple[int, int] | None = None
    remainders: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    others: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    either: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    scale: int = 1
    uint8: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError, naming the field, if a value is invalid."""
        channels = CHANNELS[self.mode] if self.mode is not None else None
        _require(
            self,
            name=isinstance(self.name, str) and self.name != "",
            shape=_is_shape(self.shape) and (channels is None or (len(self.shape) == 3 and self.shape[0] == channels)),
            mean=_is_numbers(self.mean, channels),
            std=_is_numbers(self.std, channels) and all(number > 0 for number in self.std),
            resize=self.resize is None or _is_size(self.resize) or _is_pair(self.resize),
            crop=self.crop is None or _is_pair(self.crop),
            smallest=self.smallest is None or _is_pair(self.smallest),
            divisor=self.divisor is None or _is_size(self.divisor) or _is_pair(self.divisor),
            interpolation=self.interpolation in INTERPOLATIONS,
            scale=type(self.scale) is int and self.scale in SCALES,
            uint8=self.uint8 is False or (self.uint8 is True and self.mode is not None),
            others=self.others is None or _are_sizes(self.others),
            remainders=self.remainders is None
            or _are_remainders(self.remainders, self._divisors, self.others or ((), ())),
            either=self.either is None or _is_pair(self.either),
        )

    @property
    def array(self) -> tuple[str, tuple[int | None, ...]]:
        """The type and the shape, without the batch, of the array that the file takes."""
        return ("uint8", (*self.shape[1:], self.shape[0])) if self.uint8 else ("float32", self.shape)

    @property
    def _divisors(self) -> tuple[int, int]:
        if isinstance(self.divisor, tuple):
            return self.divisor
        return self.divisor or 1, self.divisor or 1

    def misfit(self, height: int, width: int) -> str | None:
        """Return which sizes the network accepts, in words, if it does not accept this one; otherwise None."""
        wanted, sides = self.shape[1:], (height, width)
        if any(want not in (None, side) for want, side in zip(wanted, sides, strict=True)):
            return " × ".join("any" if want is None else str(want) for want in wanted)
        for axis, (want, size) in enumerate(zip(wanted, sides, strict=True)):
            if want is None and (problem := self._misfit_along(axis, size)):
                return problem
        if self.either and height < self.either[0] and width < self.either[1]:
            return f"a height of at least {self.either[0]} or a width of at least {self.either[1]}"
        return None

    def _misfit_along(self, axis: int, size: int) -> str | None:
        """Return which sizes the network accepts along an open axis if it does not accept this one; otherwise None."""
        side, divisor, least = ("height", "width")[axis], self._divisors[axis], self.smallest or (1, 1)
        rest = self.remainders[axis] if self.remainders else (0,)
        others = self.others[axis] if self.others else ()
        besides = f"a {side} of {_listed(others)}" if others else ""
        if size in others:
            return None
        if not rest:
            return besides
        if size < least[axis]:
            shown = " × ".join(str(want or low) for want, low in zip(self.shape[1:], least, strict=True))
            return f"at least {shown}" + (f", or {besides}" if besides else "")
        if size % divisor not in rest:
            return _rule(side, divisor, rest, self.remainders is None and isinstance(self.divisor, int))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputContract:
    """What an output holds.

    `kind` is one of `output_kinds.KINDS`, or None if only its shape at run time shows it. `scores` is one of SCORES, or
    None if unknown. A segmentation has one pixel per `stride` pixels (high and wide) of the prepared picture; None if
    unknown. A picture has the channels of `mode`; its pixels of 0..`scale` were normalised with `mean` and `std`, as in
    an `InputContract`.
    """

    name: str
    kind: str | None = None
    scores: str | None = None
    stride: tuple[float, float] | None = None
    mode: str | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError, naming the field, if a value is invalid."""
        channels = CHANNELS.get(self.mode or "", 0)
        _require(
            self,
            name=isinstance(self.name, str) and self.name != "",
            kind=self.kind is None or self.kind in KINDS,
            scores=self.scores is None or self.scores in SCORES,
            stride=self.stride is None
            or (len(self.stride) == 2 and _is_numbers(self.stride, 2) and min(self.stride) > 0),
            mode=self.mode is None or self.mode in CHANNELS,
            mean=_is_numbers(self.mean, channels),
            std=_is_numbers(self.std, channels) and all(number > 0 for number in self.std),
            scale=type(self.scale) is int and self.scale in SCALES,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The inputs, the names of the outputs (the first is the prediction), and the kind of its scores.

    `input` is the first picture, or the first input if there is no picture; `more_inputs` are the others. `scores` is
    one of SCORES, or None if unknown (a model that cnnc did not build); `labels` has a name for each class. `details`
    describe all outputs, in order; files of earlier versions of cnnc have none.
    """

    input: InputContract
    outputs: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    scores: str | None = "logits"
    more_inputs: tuple[InputContract, ...] = ()
    details: tuple[OutputContract, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError, naming the field, if a value is invalid."""
        _require(
            self,
            outputs=len(self.outputs) > 0 and _is_words(self.outputs),
            labels=self.labels is None or _is_words(self.labels),
            scores=self.scores is None or self.scores in SCORES,
            more_inputs=len({each.name for each in self.inputs}) == len(self.inputs),
            details=self.details == () or tuple(each.name for each in self.details) == self.outputs,
        )

    @property
    def inputs(self) -> tuple[InputContract, ...]:
        """All inputs."""
        return self.input, *self.more_inputs

    @property
    def described(self) -> tuple[OutputContract, ...]:
        """What each output holds, as far as it is known."""
        first, *others = self.outputs
        unknown = (OutputContract(name=first, scores=self.scores), *(OutputContract(name=name) for name in others))
        return self.details or unknown

    def to_json(self) -> str:
        """Return JSON that `from_json` reads back to an equal Contract."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read a contract; raises CnncError (E501) if this version of cnnc does not understand `text`."""
        try:
            fields = {key: _frozen(value) for key, value in json.loads(text).items()}
            parts: dict[str, Any] = {
                "input": InputContract(**_fields(fields.pop("input"))),
                "more_inputs": tuple(InputContract(**_fields(each)) for each in fields.pop("more_inputs", ())),
                "details": tuple(OutputContract(**_fields(each)) for each in fields.pop("details", ())),
            }
            return cls(**parts, **fields)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = f"{error.args[0]!r} is unknown or missing" if isinstance(error, KeyError) else str(error)
            raise CnncError.of(
                Code.MODEL_UNREADABLE,
                f"the model's contract (its {CONTRACT} metadata) cannot be read: {reason}",
                help="the file was damaged, or a newer cnnc wrote it: build it again with `cnnc build`",
            ) from error


def canonical(data: Mapping[str, Any]) -> str:
    """Return plain data as the JSON whose SHA-256 is its hash: the order of keys and spaces do not count."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    return {key: _frozen(value) for key, value in given.items()}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _rule(side: str, divisor: int, remainders: tuple[int, ...], both: bool) -> str:
    """Return the rule for accepted sizes in words."""
    if remainders == (0,):
        return f"multiples of {divisor}" if both else f"a {side} that is a multiple of {divisor}"
    return f"a {side} that leaves {' or '.join(map(str, remainders))} when divided by {divisor}"


def _listed(sizes: tuple[int, ...]) -> str:
    """Return the sizes in words, shortened if there are many."""
    first = [*map(str, sizes[:6]), *(["…"] if len(sizes) > 6 else [])]
    return " or ".join([", ".join(first[:-1]), first[-1]]) if len(first) > 1 else first[0]


def _require(of: Any, **sound: bool) -> None:
    for field, fine in sound.items():
        if not fine:
            raise ValueError(f"{field} is {reprlib.repr(getattr(of, field))}")


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(side is None or _is_size(side) for side in value)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_size, value))


def _are_sizes(value: object) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, tuple) for each in value)
    return pair and all(_is_size(size) for each in value for size in each)  # type: ignore[attr-defined]


def _are_remainders(value: object, divisors: tuple[int, int], others: tuple[tuple[int, ...], ...]) -> bool:
    if not isinstance(value, tuple) or len(value) != 2 or not all(isinstance(each, tuple) for each in value):
        return False
    if not all(each or besides for each, besides in zip(value, others, strict=True)):
        return False
    pairs = [(rest, divisor) for each, divisor in zip(value, divisors, strict=True) for rest in each]
    return all(type(rest) is int and 0 <= rest < divisor for rest, divisor in pairs)


def _is_numbers(value: object, count: int | None) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) in (0, count)
        and all(type(number) in (int, float) and isfinite(number) for number in value)
    )


def _is_words(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) for word in value)
