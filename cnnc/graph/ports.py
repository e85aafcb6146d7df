"""The inputs and outputs of a spec: what a network takes and what it shows.

In: the spec's own words for them and the top scope. Out: `Input`s, with how a picture becomes each, and `Output`s.
"""

from collections.abc import Callable
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic, Span
from cnnc.graph.graph import Input, Picture
from cnnc.graph.infer import MAX_ELEMENTS, known_elements
from cnnc.graph.scope import Scope
from cnnc.ops.attributes import LARGEST
from cnnc.ops.types import TensorType
from cnnc.spec.expressions import evaluate_value
from cnnc.spec.model import InputPart
from cnnc.spec.names import check_name
from cnnc.spec.validate import show, validate
from cnnc.spec.value import Value

Report = Callable[[Diagnostic], None]
CHANNELS = {"grey": 1, "rgb": 3}


def read_inputs(given: Value, scope: Scope, report: Report) -> dict[str, Input | None]:
    """The inputs by name; one that cannot be read is None."""
    assert isinstance(given.data, dict)
    inputs: dict[str, Input | None] = {}
    for name, value in given.data.items():
        span = given.keys[name]
        check_name(name, span, report, "an input")
        try:
            inputs[name] = _input(name, span, evaluate_value(value, scope), report)
        except CnncError as error:
            inputs[name] = None
            for diagnostic in error.diagnostics:
                report(diagnostic)
    return inputs


def _input(name: str, span: Span, value: Value, report: Report) -> Input | None:
    if not isinstance(value.data, dict):
        shape = _shape(name, value, report)
        return Input(name, shape, _picture(shape, InputPart(shape=value), value, report), span) if shape else None
    part = validate(InputPart, value, f"input `{name}`", report)
    if part is None:
        return None
    shape = _shape(name, part.shape, report)
    return Input(name, shape, _picture(shape, part, value, report), span) if shape else None


def _shape(name: str, value: Value, report: Report) -> TensorType | None:
    """A shape as it is written: [C, H, W] or [features]; only a height or width may be unknown."""
    sizes = value.plain()
    message = None
    if not isinstance(sizes, list) or len(sizes) not in (1, 3):
        message, help = (
            f"the shape of `{name}` must be [channels, height, width] or [features], got {show(sizes)}",
            "[3, 224, 224]",
        )
        if isinstance(sizes, list) and len(sizes) == 4:
            help = f"leave the batch out: [{', '.join('null' if size is None else str(size) for size in sizes[1:])}]"
    else:
        for position, size in enumerate(sizes):
            unknown = size is None and position > 0
            if not unknown and (not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST):
                side = ("channels", "height", "width")[position] if len(sizes) == 3 else "features"
                message = f"the {side} of `{name}` must be an integer from 1 to {LARGEST:,}, got {show(size)}"
                help = "a height or width may be null: unknown until run time" if position else "write it as a number"
                value = value.at(position)
                break
    if message is not None:
        report(Diagnostic(Code.BAD_VALUE, message, value.span, help=help))
        return None
    shape = TensorType(tuple(sizes))
    if known_elements(shape) > MAX_ELEMENTS:
        many = f"{known_elements(shape):,}"
        report(
            Diagnostic(
                Code.TOO_BIG,
                f"the input `{name}` has {many} elements, at most {MAX_ELEMENTS:,} are allowed",
                value.span,
                help="give it fewer channels, or a smaller height and width",
            )
        )
        return None
    return shape


def _picture(shape: TensorType, part: InputPart, value: Value, report: Report) -> Picture | None:
    """How a picture becomes the input; None for what no picture can become."""
    told = [key for key in ("mode", "mean", "std", "resize", "crop") if getattr(part, key) is not None]
    modes = {channels: mode for mode, channels in CHANNELS.items()}
    mode = part.mode or (modes.get(shape.channels) if shape.is_map else None)
    if mode is None or not shape.is_map or CHANNELS[mode] != shape.channels:
        for key in told[:1]:
            message = f"`{key}` speaks of pictures, but the input is {shape}"
            if part.mode:
                message = f"a picture of mode {part.mode} has {CHANNELS[part.mode]} channels, but the input is {shape}"
            report(
                Diagnostic(
                    Code.BAD_VALUE, message, value.at(key).span, help="a picture has 1 channel (grey) or 3 (rgb)"
                )
            )
        return None
    for key in ("mean", "std"):
        found = getattr(part, key)
        if found is not None and len(found) != shape.channels:
            message = f"`{key}` has {len(found)} numbers, but the input has {shape.channels} channels"
            report(Diagnostic(Code.BAD_VALUE, message, value.at(key).span, help="give one number a channel"))
    mean = tuple(part.mean or [0.0] * shape.channels)
    std = tuple(part.std or [1.0] * shape.channels)
    resize = _extent("resize", part.resize, report)
    crop = _extent("crop", part.crop, report)
    if isinstance(crop, int):
        crop = (crop, crop)
    return Picture(mode, mean, std, resize, crop)


def _extent(key: str, value: Value | None, report: Report) -> Any:
    """A size in pixels, or a pair of them."""
    plain = None if value is None else value.plain()
    sizes = plain if isinstance(plain, list) else [plain]
    if value is None or plain is None:
        return None
    if len(sizes) > 2 or not all(
        isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 65_536 for size in sizes
    ):
        message = f"`{key}` must be a number of pixels or [height, width], got {show(plain)}"
        report(Diagnostic(Code.BAD_VALUE, message, value.span))
        return None
    return tuple(sizes) if isinstance(plain, list) and len(sizes) == 2 else sizes[0]
