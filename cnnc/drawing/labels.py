"""The words and colours of a picture: the label of an op, its colour family, and the width of a text.

Takes ops; returns text and names of colour families. Widths are those of Arial, which Helvetica, Arimo and Liberation
Sans share; a renderer fixes each text to its width, so that another font cannot leave its box.
"""

from typing import Any, Final

from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATION_FAMILIES
from cnnc.ops.base import Op
from cnnc.ops.types import Types

COLOURS: Final = {
    "convolution": ("#cfe2f8", "#2f6db5", "#21405f"),
    "linear, attention": ("#dfd7f5", "#6f52b5", "#3d3464"),
    "pooling, resizing": ("#fbdcc0", "#c0661c", "#5e3a1c"),
    "normalisation": ("#cdebe6", "#2a8b7e", "#1c4a45"),
    "activation": ("#f9d3d6", "#bb3d4b", "#5a2a31"),
    "joining": ("#f5ebb5", "#9c8412", "#4d451a"),
    "other": ("#e6e8ec", "#747c88", "#3a4049"),
    "block": ("#eef1f5", "#5b6675", "#2b323c"),
    "input, output": ("#ffffff", "#6b7482", "#1d2127"),
}
"""A colour for the inside and the border of each family's boxes, and one for the inside on a dark page."""

_OF_FAMILY: Final = {
    **dict.fromkeys(("conv", "conv_transpose"), "convolution"),
    **dict.fromkeys(("linear", "tokens"), "linear, attention"),
    **dict.fromkeys(("pool", "avg_pool", "adaptive_pool", "global_pool", "resize"), "pooling, resizing"),
    "norm": "normalisation",
    **dict.fromkeys((*ACTIVATION_FAMILIES, "gate"), "activation"),
    **dict.fromkeys(("arithmetic", "merge", "split"), "joining"),
}
_WIDTHS: Final = (
    "569 569 727 1139 1139 1821 1366 391 682 682 797 1196 569 682 569 569 1139 1139 1139 1139 1139 1139 1139 1139 1139 "
    "1139 569 569 1196 1196 1196 1139 2079 1366 1366 1479 1479 1366 1251 1593 1479 569 1024 1366 1139 1706 1479 1593 "
    "1366 1593 1479 1366 1251 1479 1366 1933 1366 1366 1251 569 569 569 961 1139 682 1139 1139 1024 1139 1139 569 1139 "
    "1139 455 455 1024 455 1706 1139 1139 1139 1139 682 1024 569 1139 1024 1479 1024 1024 1024 684 532 684 1196"
)
_EM: Final = 2048
_WIDTH: Final = {
    **{chr(32 + index): int(width) / _EM for index, width in enumerate(_WIDTHS.split())},
    **{"×": 1196 / _EM, "·": 682 / _EM, "–": 1139 / _EM, "…": 1.0, "→": 1.0},
}


def text_width(text: str, size: float) -> float:
    """Return the width of a text in Arial at a font size; characters outside of Latin count as full width."""
    return size * sum(_WIDTH.get(each, 1.0) for each in text)


def clipped(text: str, size: float, width: float) -> str:
    """Return the text, or the start of it that fits into `width` with an ellipsis."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"


def family(op: str) -> str:
    """Return the colour family of an op."""
    return _OF_FAMILY.get(registry.PLACES[op][0], "other") if op in registry.PLACES else "other"


def label(op: Op, inputs: Types) -> str:
    """Return an op as a paper would name it: `conv 7×7, 64, /2`, where /2 is the stride."""
    if op.name == "activation":
        return str(getattr(op, "kind", op.name))
    kernel = getattr(op, "kernel", None)
    stride = getattr(op, "stride", None) or kernel  # a pool without a stride has that of its kernel
    details = [
        *_shown(op, "out", "{}"),
        *([f"/{_by(stride)}"] if stride is not None and _by(stride) != "1" else []),
        *([f"dilation {_by(dilation)}"] if _by(dilation := getattr(op, "dilation", 1)) != "1" else []),
        *_groups(op, inputs),
        *(each for name, form in _DETAILS.items() for each in _shown(op, name, form)),
    ]
    name = f"{op.name} {'×'.join(map(str, kernel))}" if isinstance(kernel, tuple) else op.name
    return f"{name}, {', '.join(details)}" if kernel and details else " ".join([name, ", ".join(details)]).strip()


_DETAILS: Final = {"heads": "{} heads", "factor": "×{}", "size": "to {}", "rate": "{}"}


def _shown(op: Op, attribute: str, form: str) -> list[str]:
    value = getattr(op, attribute, None)
    return [form.format(_by(value))] if isinstance(value, int | float | tuple) else []


def _groups(op: Op, inputs: Types) -> list[str]:
    groups = getattr(op, "groups", 1)
    if groups == 1:
        return []
    return ["depthwise" if op.name == "conv" and inputs and groups == inputs[0].channels else f"{groups} groups"]


def _by(value: Any) -> str:
    """Return a value, or several as `2×1`; equal ones are written once."""
    several = value if isinstance(value, tuple) else (value,)
    return "×".join(map(str, several if len({*several}) > 1 else several[:1]))
