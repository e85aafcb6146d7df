"""Reads the inputs of a spec: their shapes, and how pictures are converted to them.

Takes the value of `input` or `inputs` and the top scope; returns `Input`s.
"""

from cnnc.diagnostics import CnncError, Code, Diagnostic, Report, Span, counted
from cnnc.expand.hints import channels_first
from cnnc.expand.infer_node import MAX_ELEMENTS, known_elements
from cnnc.expand.scope import Scope
from cnnc.expressions.strings import as_expression, evaluate_value
from cnnc.graph.graph import Input, Picture
from cnnc.language.model import InputPart
from cnnc.language.names import check_name
from cnnc.language.validate import show, validate
from cnnc.ops.attributes import LARGEST
from cnnc.ops.types import CHANNELS, MODES, TensorType
from cnnc.text.value import Value

MAX_SIDE = 65_536  # pixels
PICTURES = (3, 4)  # numbers of channels that only pictures have


def read_inputs(given: Value, scope: Scope, report: Report) -> dict[str, Input | None]:
    """The inputs by name; None for one that cannot be read."""
    assert isinstance(given.data, dict)
    inputs: dict[str, Input | None] = {}
    for name, value in given.data.items():
        span = given.keys[name]
        check_name(name, span, report, "an input")
        try:
            inputs[name] = _input(name, span, evaluate_value(value, scope), scope, report)
        except CnncError as error:
            inputs[name] = None
            for diagnostic in error.diagnostics:
                report(diagnostic)
    return inputs


def _input(name: str, span: Span, value: Value, scope: Scope, report: Report) -> Input | None:
    if not isinstance(value.data, dict):
        shape = _shape(name, value, scope, report)
        return Input(name, shape, _picture(shape, InputPart(shape=value), value, report), span) if shape else None
    part = validate(InputPart, value, f"input `{name}`", report)
    if part is None:
        return None
    shape = _shape(name, part.shape, scope, report)
    return Input(name, shape, _picture(shape, part, value, report), span) if shape else None


def _shape(name: str, value: Value, scope: Scope, report: Report) -> TensorType | None:
    """The type for a shape [C, H, W] or [features]; only a height or width may be unknown."""
    sizes = value.plain()
    if not isinstance(sizes, list) or len(sizes) not in (1, 3):
        message = f"the shape of `{name}` must be [channels, height, width] or [features], got {show(sizes)}"
        report(Diagnostic(Code.BAD_VALUE, message, value.span, help=_map_of(sizes)))
        return None
    for position, size in enumerate(sizes):
        if not (size is None and position > 0) and not _is_count(size):
            side = ("channels", "height", "width")[position] if len(sizes) == 3 else "features"
            message = f"the {side} of `{name}` must be an integer from 1 to {LARGEST:,}, got {show(size)}"
            help = "a height or width may be null: unknown until run time" if position else "write it as a number"
            if isinstance(size, str) and (written := as_expression(size, scope.knows)):
                help = f"write an expression with a dollar sign: `{written}`"
            report(Diagnostic(Code.BAD_VALUE, message, value.at(position).span, help=help))
            return None
    shape = TensorType(tuple(sizes))
    if known_elements(shape) > MAX_ELEMENTS:
        many = f"{known_elements(shape):,}"
        message = f"the input `{name}` has {many} elements; at most {MAX_ELEMENTS:,} are allowed"
        help = "give it fewer channels, or a smaller height and width"
        report(Diagnostic(Code.TOO_BIG, message, value.span, help=help))
        return None
    return shape


def _map_of(sizes: object) -> str:
    """A help line for a shape with a wrong number of sizes: of tokens, with the batch, or of a clip (C, T, H, W)."""
    if isinstance(sizes, list) and len(sizes) == 2:
        count, features = sizes
        if (count is None or _is_count(count)) and _is_count(features):
            return f"tokens come from a map: write `{_written([features, count, 1])}`, and `tokens` as the first node"
    if not isinstance(sizes, list) or len(sizes) != 4:
        return "for example `[3, 224, 224]`"
    channels, frames, *space = sizes
    if channels in PICTURES and frames not in (*PICTURES, 1) and _is_count(frames) and channels * frames <= LARGEST:
        stacked = _written([channels * frames, *space])
        return f"feature maps have only height and width; the frames of a clip can be channels: {stacked}"
    return f"leave out the batch: {_written(sizes[1:])}"


def _written(sizes: list[object]) -> str:
    return f"[{', '.join('null' if size is None else str(size) for size in sizes)}]"


def _is_count(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= LARGEST


def _picture(shape: TensorType, part: InputPart, value: Value, report: Report) -> Picture | None:
    """How a picture is converted to the input; None if the input is not a picture."""
    mode = _mode(shape, part, value, report)
    if mode is None:
        return None
    for key in ("mean", "std"):
        found = getattr(part, key)
        if found is not None and len(found) != shape.channels:
            message = (
                f"`{key}` has {counted(len(found), 'number')}, but the input has {counted(shape.channels, 'channel')}"
            )
            report(Diagnostic(Code.BAD_VALUE, message, value.at(key).span, help="give one number for each channel"))
    mean = tuple(part.mean or [0.0] * CHANNELS[mode])
    std = tuple(part.std or [1.0] * CHANNELS[mode])
    faults: list[Diagnostic] = []
    resize = _extent("resize", part.resize, faults.append)
    crop = _extent("crop", part.crop, faults.append)
    crop = (crop, crop) if isinstance(crop, int) else crop
    if not faults and (misfit := _misfit(shape, resize, crop)):
        key, message, help = misfit
        faults.append(Diagnostic(Code.BAD_VALUE, message, value.at(key).span, help=help))
    for fault in faults:
        report(fault)
    scale = part.scale or 1
    _check_scale(scale, mean, std, value, report)
    return Picture(mode, mean, std, resize, crop, part.interpolation or "bilinear", scale)


def _check_scale(scale: int, mean: tuple[float, ...], std: tuple[float, ...], value: Value, report: Report) -> None:
    """Warn of a mean or standard deviation that pixels of 0..`scale` cannot have."""
    large = [key for key, numbers in (("mean", mean), ("std", std)) if max(numbers) > 1]
    small = [key for key, numbers in (("mean", mean), ("std", std)) if any(0 < number < 1 for number in numbers)]
    wrong = large if scale == 1 else small if not large else []
    if wrong:
        other = 255 if scale == 1 else 1
        message = f"`{wrong[0]}` fits pixels of 0 to {other}, but here they are 0 to {scale}"
        help = "write `scale: 255`, or divide `mean` and `std` by 255" if scale == 1 else "remove `scale: 255`"
        report(Diagnostic(Code.PIXEL_SCALE, message, value.at(wrong[0]).span, help=help))


def _mode(shape: TensorType, part: InputPart, value: Value, report: Report) -> str | None:
    """The mode as given, or from the number of channels; None if the input is not a picture."""
    mode = part.mode or (MODES.get(shape.channels) if shape.is_map else None)
    if mode is not None and shape.is_map and CHANNELS[mode] == shape.channels:
        return mode
    given = [key for key in InputPart.model_fields if key != "shape" and getattr(part, key) is not None]
    for key in given[:1]:
        message = f"`{key}` needs a picture, but the input is {shape}"
        if part.mode:
            channels = counted(CHANNELS[part.mode], "channel")
            message = f"a picture of mode {part.mode} has {channels}, but the input is {shape}"
        meant = channels_first(shape)
        help = f"put channels first: `{meant}`" if meant else "a picture has 1 channel (grey) or 3 (rgb, bgr)"
        report(Diagnostic(Code.BAD_VALUE, message, value.at(key).span, help=help))
    return None


def _extent(key: str, value: Value | None, report: Report) -> int | tuple[int, int] | None:
    """A size in pixels, or a pair of them."""
    plain = None if value is None else value.plain()
    if value is None or plain is None:
        return None
    if _is_size(plain):
        return int(plain)
    if isinstance(plain, list) and len(plain) == 2 and all(map(_is_size, plain)):
        return plain[0], plain[1]
    message = f"`{key}` must be a number of pixels or [height, width], got {show(plain)}"
    report(Diagnostic(Code.BAD_VALUE, message, value.span, help=f"for example `{key}: 224`"))
    return None


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SIDE


def _misfit(
    shape: TensorType, resize: int | tuple[int, int] | None, crop: tuple[int, int] | None
) -> tuple[str, str, str] | None:
    """The key that makes every picture misfit, with a message and a help line; None if pictures can fit."""
    sides = shape.shape[1:]
    known = [side for side in sides if side is not None]
    exact = crop or (resize if isinstance(resize, tuple) else None)
    if exact and any(side not in (None, given) for side, given in zip(sides, exact, strict=True)):
        key = "crop" if crop else "resize"
        message = f"`{key}` gives pictures of {exact[0]}×{exact[1]}, but the input is {shape}"
        return key, message, f"make `{key}` and the shape agree"
    if (
        isinstance(resize, int)
        and not crop
        and known
        and (min(known) < resize or (min(known) > resize and len(known) == 2))
    ):
        message = f"`resize` brings the shorter side of a picture to {resize}, but the input is {shape}"
        return "resize", message, "write `resize: [height, width]`, or add a `crop`"
    if crop and isinstance(resize, tuple) and (crop[0] > resize[0] or crop[1] > resize[1]):
        message = f"`crop` takes {crop[0]}×{crop[1]} out of pictures that `resize` brings to {resize[0]}×{resize[1]}"
        return "crop", message, "resize to at least the size of the crop"
    if crop and isinstance(resize, int) and min(crop) > resize:
        message = f"`crop` takes {crop[0]}×{crop[1]} out of pictures whose shorter side `resize` brings to {resize}"
        return "crop", message, "resize to at least the size of the crop"
    return None
