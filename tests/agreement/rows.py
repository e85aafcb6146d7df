"""The table of the agreement test: for each op, rows of attributes and the shapes of its inputs.

Every op and every attribute of one has a row, and so has every choice of an attribute that offers some. Sizes are odd
and unequal where they can be, so that no mistake of an axis goes unseen. None is an unknown height or width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAP = (3, 7, 6)
OPEN = (3, None, None)
VECTOR = (5,)
POSITIVE = ("log", "sqrt")  # ops of positive numbers
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Row:
    op: str
    attributes: dict[str, Any]
    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        attributes = ",".join(f"{name}={value}" for name, value in self.attributes.items())
        shapes = ",".join("x".join(map(str, shape)) for shape in self.shapes)
        return f"{self.op}({attributes}){shapes}".replace(" ", "").replace("None", "?")


WINDOWS: list[tuple[Any, ...]] = [
    ({"kernel": 3}, MAP),
    ({"kernel": [3, 2]}, MAP),
    ({"kernel": 3, "stride": 1}, MAP),
    ({"kernel": 3, "stride": [2, 3]}, MAP),
    ({"kernel": 2, "stride": 3}, MAP),
    ({"kernel": 3, "padding": 1}, MAP),
    ({"kernel": 3, "stride": 2, "padding": [1, 0]}, MAP),
    ({"kernel": 3, "stride": 2, "padding": [0, 1, 1, 0]}, MAP),
    ({"kernel": 3, "stride": 1, "padding": [2, 1, 0, 2]}, MAP),
    ({"kernel": 2, "stride": 1, "padding": 1}, MAP),
    ({"kernel": 3, "stride": 1, "padding": "same"}, MAP),
    ({"kernel": 2, "stride": 1, "padding": "same"}, MAP),
    ({"kernel": 2, "stride": 1, "padding": "same_lower"}, MAP),
    ({"kernel": 3, "stride": 2, "padding": "same"}, (2, 8, 8)),
    ({"kernel": [4, 3], "stride": 2, "padding": "same_lower"}, MAP),
    ({"kernel": 1, "stride": 2, "padding": "same"}, MAP),
    ({"kernel": 3, "stride": 2, "padding": "valid"}, MAP),
    ({"kernel": [7, 6]}, MAP),
    ({"kernel": 1, "stride": 1}, (4, 1, 1)),
    ({"kernel": 3, "stride": 2, "padding": 1}, OPEN),
    ({"kernel": 3, "stride": 2, "padding": [0, 1, 1, 0]}, (3, 7, None)),
    ({"kernel": 2, "stride": 1, "padding": "same"}, (3, None, 6)),
]

POOLS: list[tuple[Any, ...]] = [
    *WINDOWS,
    ({"kernel": 3, "stride": 2, "ceil": True}, MAP),
    ({"kernel": 3, "stride": 2, "ceil": True}, (3, 6, 8)),
    ({"kernel": 3, "stride": 2, "padding": 1, "ceil": True}, (3, 6, 7)),
    ({"kernel": 2, "stride": 3, "ceil": True}, (3, 7, 4)),
    ({"kernel": 4, "stride": 3, "ceil": True}, (3, 3, 2)),
    ({"kernel": 2, "stride": 2, "padding": 1, "ceil": True}, (3, 7, 5)),
    ({"kernel": 3, "stride": 2, "padding": [1, 0, 0, 1], "ceil": True}, (3, 7, 8)),
    ({"kernel": 4, "stride": 3, "padding": [0, 3, 2, 1], "ceil": True}, (3, 7, 8)),
    ({"kernel": 3, "stride": 2, "padding": [0, 0, 2, 0], "ceil": True}, (3, 6, 8)),
    ({"kernel": 3, "stride": 1, "ceil": True}, OPEN),
    ({"kernel": [2, 3], "padding": [1, 2]}, (1, 4, 4)),
    ({"kernel": 3, "stride": 2, "padding": 2}, MAP),
    ({"kernel": 3, "stride": 2, "padding": 2}, OPEN),
]


def _with(extra: dict[str, Any], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [({**extra, **attributes}, *shapes) for attributes, *shapes in rows]


EVERY_SHAPE: list[tuple[Any, ...]] = [({}, MAP), ({}, VECTOR), ({}, OPEN), ({}, (2, 5))]

PAIRS: list[tuple[Any, ...]] = [
    ({}, MAP, MAP),
    ({}, MAP, (3, 1, 1)),
    ({}, (3, 1, 1), MAP),
    ({}, MAP, (1, 7, 6)),
    ({}, (1, 7, 6), MAP),
    ({}, MAP, (1, 1, 1)),
    ({}, (1,), MAP),
    ({}, (3, 1, 1), (3, 1, 1)),
    ({}, OPEN, (3, 1, 1)),
    ({}, OPEN, (1, None, None)),
    ({}, OPEN, (1, 7, 6)),
    ({}, OPEN, MAP),
    ({}, OPEN, (1,)),
    ({}, VECTOR, VECTOR),
    ({}, VECTOR, (1,)),
    ({}, (1, 1, 1), VECTOR),
    ({}, (2, 5), (2, 5)),
    ({}, (2, 5), (1, 5)),
    ({}, (2, 1), (2, 5)),
]
SEVERAL: list[tuple[Any, ...]] = [
    ({}, MAP, MAP, MAP),
    ({}, (3, 1, 1), (1, 7, 6), MAP),
    ({}, VECTOR, VECTOR, VECTOR),
    ({}, OPEN, (3, 7, None), MAP),
]
REDUCTIONS: list[tuple[Any, ...]] = [
    ({"axes": [1, 2]}, MAP),
    ({"axes": 0}, MAP),
    ({"axes": [-1]}, OPEN),
    ({"axes": [1, 2]}, OPEN),
    ({"axes": [2, 0]}, MAP),
    ({"axes": 0}, VECTOR),
    ({"axes": 0, "keep": False}, (2, 5)),
    ({"axes": 1, "keep": False}, (2, 5)),
    ({"axes": [1, 2], "keep": False}, OPEN),
    ({"axes": 0, "keep": False}, MAP),
]

TABLE: dict[str, list[tuple[Any, ...]]] = {
    "conv": [
        *_with({"out": 4}, WINDOWS),
        ({"out": 4, "kernel": 3, "dilation": 2}, MAP),
        ({"out": 4, "kernel": [2, 3], "dilation": [3, 2], "stride": 2, "padding": "same"}, MAP),
        ({"out": 6, "kernel": 3, "groups": 3}, MAP),
        ({"out": 6, "kernel": 3, "groups": 2, "bias": False, "padding": 4}, (4, 5, 5)),
        ({"out": 4, "kernel": 3, "bias": False, "padding": [1, 0, 2, 0]}, MAP),
        ({"out": 1, "kernel": 3, "padding": 1}, (1, 1, 1)),
        ({"out": 4, "kernel": 3, "padding": [1, 0], "standardize": True}, MAP),
        ({"out": 4, "kernel": [2, 3], "standardize": True, "bias": False, "padding": [1, 0, 2, 0]}, OPEN),
        ({"out": 6, "kernel": 2, "groups": 3, "stride": 2, "dilation": 2, "standardize": True, "eps": 0.01}, MAP),
    ],
    "conv_transpose": [
        *_with({"out": 4}, [row for row in WINDOWS if row[0].get("padding") != [2, 1, 0, 2]]),
        ({"out": 4, "kernel": 2, "stride": 2}, (3, 1, 1)),
        ({"out": 4, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1}, MAP),
        ({"out": 4, "kernel": 3, "stride": [2, 3], "output_padding": [0, 2]}, MAP),
        ({"out": 4, "kernel": 3, "stride": 2, "padding": [0, 1, 1, 2], "output_padding": [1, 0]}, MAP),
        ({"out": 4, "kernel": 3, "dilation": 2, "stride": 2, "output_padding": 1}, MAP),
        ({"out": 4, "kernel": 3, "dilation": 3, "output_padding": 2}, MAP),
        ({"out": 4, "kernel": 2, "dilation": [4, 1], "stride": [2, 3], "output_padding": [3, 2]}, MAP),
        ({"out": 4, "kernel": 3, "dilation": 3, "padding": [2, 0, 1, 4], "output_padding": [2, 1]}, MAP),
        ({"out": 4, "kernel": 3, "dilation": 3, "padding": "same", "output_padding": 2}, OPEN),
        ({"out": 4, "kernel": [2, 3], "dilation": [3, 2], "stride": 2, "padding": "same"}, MAP),
        ({"out": 4, "kernel": 4, "stride": 2, "padding": "same_lower"}, MAP),
        ({"out": 4, "kernel": 2, "stride": 3, "padding": "same"}, MAP),
        ({"out": 4, "kernel": 2, "stride": 3, "padding": "valid"}, MAP),
        ({"out": 4, "kernel": 3, "stride": 2, "padding": 3}, MAP),
        ({"out": 6, "kernel": 3, "groups": 3}, MAP),
        ({"out": 6, "kernel": 3, "groups": 2, "bias": False}, (4, 5, 5)),
        ({"out": 4, "kernel": 3, "stride": 2, "padding": "same"}, OPEN),
    ],
    "max_pool": [
        *POOLS,
        ({"kernel": 2, "stride": 1, "dilation": 2}, MAP),
        ({"kernel": 3, "stride": 2, "dilation": [2, 1], "padding": 1, "ceil": True}, MAP),
        ({"kernel": 2, "stride": 1, "dilation": 4, "padding": 3}, MAP),
        ({"kernel": 2, "stride": 1, "dilation": 4, "padding": 3}, OPEN),
        ({"kernel": 2, "stride": 1, "dilation": 3, "padding": [3, 3, 0, 0]}, (3, 1, 1)),
    ],
    "avg_pool": [
        *POOLS,
        *_with({"count_padding": False}, POOLS),
        ({"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": True}, (3, 6, 8)),
    ],
    "adaptive_avg_pool": [
        ({"size": 1}, MAP),
        ({"size": 1}, OPEN),
        ({"size": [7, 6]}, MAP),
        ({"size": [2, 3]}, (3, 8, 9)),
        ({"size": [1, 3]}, (3, 8, 9)),
        ({"size": [4, 5]}, (3, 14, 7)),  # windows that overlap
        ({"size": [9, 3]}, (3, 8, 9)),  # and windows of one row twice
        ({"size": [1, 3]}, (3, None, 9)),
        ({"size": [2, 1]}, (3, 8, None)),
    ],
    "adaptive_max_pool": [
        ({"size": 1}, MAP),
        ({"size": 1}, OPEN),
        ({"size": [7, 6]}, MAP),
        ({"size": [2, 3]}, (3, 8, 9)),
        ({"size": [4, 5]}, (3, 14, 7)),
        ({"size": [9, 3]}, (3, 8, 9)),
        ({"size": [1, 3]}, (3, None, 9)),
        ({"size": [2, 1]}, (3, 8, None)),
    ],
    "lp_pool": [
        *POOLS,
        ({"kernel": 2, "p": 1}, MAP),
        ({"kernel": 3, "stride": 2, "p": 3}, MAP),
        ({"kernel": [2, 3], "padding": [1, 2], "p": 5}, OPEN),
    ],
    "global_avg_pool": [({}, MAP), ({}, (10, 5, 5)), ({}, (3, 1, 1)), ({}, OPEN)],
    "global_max_pool": [({}, MAP), ({}, (3, 1, 1)), ({}, OPEN)],
    "batch_norm": [
        ({}, MAP),
        ({}, VECTOR),
        ({}, OPEN),
        ({"eps": 0.1}, MAP),
        ({"eps": 1e-12}, VECTOR),
        ({"momentum": 0.5}, MAP),
        ({"momentum": None}, MAP),
        ({"momentum": None}, VECTOR),
        ({"affine": False}, MAP),
        ({"affine": False}, VECTOR),
    ],
    "layer_norm": [
        *EVERY_SHAPE,
        ({"over": "channels", "affine": False}, MAP),
        ({"over": "channels"}, (2, 5)),
        ({"over": "features", "affine": False}, (2, 5)),
        ({"over": "features"}, VECTOR),
        ({"affine": False}, VECTOR),
        ({"over": "all"}, MAP),
        ({"over": "all"}, VECTOR),
        ({"over": "all", "affine": False, "eps": 0.1}, MAP),
        ({"over": "all", "bias": False}, MAP),
        ({"eps": 0.1, "bias": False}, MAP),
    ],
    "group_norm": [
        *_with({"groups": 2}, [({}, (4, 7, 6)), ({}, (6,)), ({}, (4, None, None)), ({}, (4, 5))]),
        ({"groups": 1, "eps": 0.1}, MAP),
        ({"groups": 3}, MAP),
        ({"groups": 3, "affine": False}, MAP),
        ({"groups": 3, "affine": False}, OPEN),
    ],
    "instance_norm": [({}, MAP), ({}, OPEN), ({}, (3, 1, 2)), ({"eps": 0.1}, MAP), ({"affine": True}, MAP)],
    "local_response_norm": [
        ({"size": 5}, (8, 7, 6)),
        ({"size": 1}, MAP),
        ({"size": 9}, MAP),
        ({"size": 3}, OPEN),
        ({"size": 3, "alpha": 0.5, "beta": 1.5, "k": 2.0}, (8, 7, 6)),
        ({"size": 5, "alpha": 1, "k": 2}, (8, 7, 6)),
        ({"size": 3, "alpha": 2.0, "k": 1e-5}, (8, 7, 6)),
        ({"size": 1, "alpha": 0.5, "beta": 0.5, "k": 1e-3}, OPEN),
        ({"size": 3, "beta": 1}, MAP),
        ({"size": 3, "beta": 2}, MAP),
        ({"size": 2**31 - 1, "alpha": 1e8}, MAP),
        ({"size": 101}, MAP),
        ({"size": 1, "alpha": 5e-324}, MAP),
        ({"size": 3, "beta": 1e-300}, MAP),
        ({"size": 2**31 - 1, "alpha": 1e-37}, MAP),
    ],
    "linear": [
        ({"out": 4}, (7, 5)),
        ({"out": 4, "bias": False}, (7, 5)),
        ({"out": 4}, VECTOR),
        ({"out": 1}, (1,)),
        ({"out": 4, "bias": False}, VECTOR),
    ],
    "tokens": [({}, MAP), ({}, (3, 1, 1))],
    "untokens": [
        ({"height": 4, "width": 3}, (12, 5)),
        ({"height": 1, "width": 1}, (1, 5)),
        ({"like": "other"}, (12, 5), (2, 4, 3)),
    ],
    "matmul": [({}, (7, 5), (5, 4)), ({"transpose": True}, (7, 5), (4, 5)), ({}, (1, 1), (1, 3))],
    "attention": [
        ({"heads": 2}, (7, 6)),
        ({"heads": 1, "bias": False}, (7, 5)),
        ({"heads": 3, "dropout": 0.2}, (7, 6)),
        ({"heads": 2}, (7, 6), (4, 6)),
        ({"heads": 2, "bias": False, "dropout": 0.5}, (1, 4), (9, 4)),
        ({"heads": 2}, (7, 6), (4, 6), (4, 6)),
    ],
    "scale": [*EVERY_SHAPE, ({"init": 1e-6}, MAP)],
    "flatten": [({}, MAP), ({}, VECTOR), ({}, (3, 1, 1)), ({}, (2, 5))],
    "reshape": [
        ({"shape": [18, 7]}, MAP),
        ({"shape": [2, -1, 3]}, MAP),
        ({"shape": [-1]}, MAP),
        ({"shape": [5, 1, 1]}, VECTOR),
        ({"shape": [1, 3, 7, 2, 3]}, MAP),
        ({"shape": [3, -1]}, OPEN),
        ({"shape": [9, 2, -1]}, (3, None, 6)),
    ],
    "permute": [
        ({"axes": [1, 2, 0]}, MAP),
        ({"axes": [0, 2, 1]}, OPEN),
        ({"axes": [1, 0, 2]}, (3, 7, None)),
        ({"axes": [0]}, VECTOR),
    ],
    "channel_shuffle": [
        ({"groups": 2}, (6, 5, 4)),
        ({"groups": 3}, (6, 5, 4)),
        ({"groups": 3}, (6, None, None)),
        ({"groups": 1}, MAP),
        ({"groups": 3}, MAP),
    ],
    "pad": [
        ({"padding": 1}, MAP),
        ({"padding": [1, 0]}, MAP),
        ({"padding": [1, 2, 3, 4]}, MAP),
        ({"padding": [1, 2, 3, 4]}, OPEN),
        ({"padding": 0}, MAP),
        ({"padding": [1, 2, 3, 4], "value": -1.5}, MAP),
        ({"padding": [1, 2, 3, 4], "mode": "constant", "value": 2}, MAP),
        ({"padding": [6, 5, 3, 4], "mode": "reflect"}, MAP),
        ({"padding": [1, 2, 3, 4], "mode": "reflect"}, OPEN),
        ({"padding": [1, 9, 8, 4], "mode": "replicate"}, MAP),
        ({"padding": [1, 2, 7, 6], "mode": "circular"}, MAP),
        ({"padding": [0, 2, 0, 0], "mode": "circular"}, OPEN),
    ],
    "slice": [
        ({"start": 1}, MAP),
        ({"stop": 2}, OPEN),
        ({"start": -2, "stop": -1}, MAP),
        ({"axis": 1, "start": 1, "step": 2}, OPEN),
        ({"axis": -1, "start": -4, "stop": 5, "step": 3}, MAP),
        ({"axis": 2, "start": -3}, OPEN),
        ({"axis": 1, "stop": -1}, OPEN),
        ({"start": 3, "stop": 99}, VECTOR),
        ({"axis": 1, "step": 2}, (2, 5)),
    ],
    "parameter": [
        ({"shape": [3, 1, 1], "init": 1e-6}, MAP),
        ({"shape": [4], "deviation": 0.02}, VECTOR),
        ({"shape": [1, 5], "batch": True}, OPEN),
    ],
    "constant": [
        ({"shape": [2, 3, 4], "value": -1.5}, MAP),
        ({"shape": [5]}, OPEN),
        ({"shape": [2, 3, 4], "coordinates": True}, VECTOR),
        ({"shape": [2, 1, 4], "coordinates": True}, OPEN),
    ],
    "crop": [
        ({"like": "other"}, MAP, (2, 4, 3)),
        ({"like": "other"}, OPEN, (2, 4, 3)),
        ({"like": "other"}, (3, 9, 7), (1, 6, None)),
        ({"size": [4, 3]}, MAP),
        ({"size": 5}, MAP),
        ({"size": [7, 6]}, MAP),
    ],
    "pixel_shuffle": [
        ({"factor": 2}, (8, 3, 5)),
        ({"factor": 3}, (9, None, None)),
        ({"factor": 1}, MAP),
    ],
    "pixel_unshuffle": [
        ({"factor": 2}, (3, 6, 4)),
        ({"factor": 3}, (2, 9, 6)),
        ({"factor": 1}, OPEN),
        ({"factor": 2}, (3, 8, None)),
    ],
    "upsample": [
        ({"like": "other"}, MAP, (2, 14, 9)),
        ({"like": "other"}, (3, 5, 9), (1, None, 13)),
        ({"like": "other"}, OPEN, (1, 10, 9)),
        ({"like": "other", "mode": "bilinear"}, (3, 5, 9), (1, None, 13)),
        ({"like": "other", "mode": "bicubic", "align_corners": True}, OPEN, OPEN),
        ({"factor": [2, 3], "mode": "bicubic"}, MAP),
        ({"factor": [2, 3], "mode": "bicubic"}, OPEN),
        ({"size": [14, 9], "mode": "bicubic"}, MAP),
        ({"size": [5, 4], "mode": "bicubic"}, MAP),
        ({"size": [14, 9], "mode": "bicubic", "align_corners": True}, OPEN),
        ({"factor": 2}, MAP),
        ({"factor": [3, 1]}, MAP),
        ({"factor": 2}, OPEN),
        ({"size": [14, 9]}, MAP),
        ({"size": [5, 4]}, MAP),
        ({"size": 9}, OPEN),
        ({"size": 2}, (1, 30, 30)),  # 1 / (2 / 30) is less than 15 in float32
        ({"size": [3, 6]}, (2, 49, 12)),
        ({"factor": 2, "mode": "nearest"}, (3, 1, 1)),
        ({"factor": [2, 3], "mode": "bilinear"}, MAP),
        ({"factor": [2, 3], "mode": "bilinear"}, OPEN),
        ({"size": [14, 9], "mode": "bilinear"}, MAP),
        ({"size": [1, 4], "mode": "bilinear"}, MAP),
        ({"size": [1, 4], "mode": "bilinear", "align_corners": True}, MAP),
        ({"factor": [2, 3], "mode": "bilinear", "align_corners": True}, MAP),
        ({"size": [14, 9], "mode": "bilinear", "align_corners": True}, OPEN),
    ],
    "identity": EVERY_SHAPE,
    "dropout": [*EVERY_SHAPE, ({"rate": 0.2}, MAP), ({"rate": 0}, MAP), ({"channels": True}, MAP)],
    "drop_path": _with({"rate": 0.3}, EVERY_SHAPE),
    "relu": EVERY_SHAPE,
    "relu6": EVERY_SHAPE,
    "leaky_relu": [*EVERY_SHAPE, ({"slope": 0.2}, MAP), ({"slope": -1}, MAP)],
    "prelu": [*EVERY_SHAPE, *_with({"per_channel": True}, EVERY_SHAPE), ({"slope": 0.1}, MAP)],
    "selu": EVERY_SHAPE,
    "celu": [*EVERY_SHAPE, ({"alpha": 0.3}, MAP), ({"alpha": 1e4}, MAP)],
    "softplus": [*EVERY_SHAPE, ({"beta": 2.5}, MAP)],
    "softsign": EVERY_SHAPE,
    "hardtanh": [*EVERY_SHAPE, ({"min": -0.5, "max": 2}, MAP)],
    "glu": [({}, (6, 7, 5)), ({}, (4,)), ({}, (4, None, None)), ({"axis": -1}, MAP), ({"axis": 1}, (2, 4))],
    "abs": EVERY_SHAPE,
    "exp": EVERY_SHAPE,
    "log": EVERY_SHAPE,
    "sqrt": EVERY_SHAPE,
    "square": EVERY_SHAPE,
    "clip": [*_with({"min": -0.5}, EVERY_SHAPE), ({"max": 1}, MAP), ({"min": 0.5, "max": 0.5}, MAP)],
    "affine": [
        *_with({"scale": -0.5}, EVERY_SHAPE),
        ({"shift": 1.5}, MAP),
        ({"scale": 2, "shift": -3}, OPEN),
        ({"scale": 1}, MAP),
    ],
    "mean": REDUCTIONS,
    "sum": REDUCTIONS,
    "amax": REDUCTIONS,
    "l2_norm": [*EVERY_SHAPE, ({"axis": 1}, MAP), ({"axis": -1}, OPEN), ({"eps": 5.0}, MAP)],
    "elu": [*EVERY_SHAPE, ({"alpha": 0.3}, MAP)],
    "sigmoid": EVERY_SHAPE,
    "tanh": EVERY_SHAPE,
    "softmax": [*EVERY_SHAPE, ({"axis": 1}, MAP), ({"axis": -1}, MAP), ({"axis": 2}, OPEN)],
    "log_softmax": [*EVERY_SHAPE, ({"axis": 1}, MAP), ({"axis": -3}, MAP)],
    "gelu": [*EVERY_SHAPE, ({"approximate": "tanh"}, MAP), ({"approximate": "none"}, VECTOR)],
    "silu": EVERY_SHAPE,
    "hardswish": EVERY_SHAPE,
    "hardsigmoid": EVERY_SHAPE,
    "mish": EVERY_SHAPE,
    "activation": [
        ({"kind": "leaky_relu", "slope": 0.3}, MAP),
        ({"kind": "prelu", "slope": 0.3, "per_channel": True}, MAP),
        ({"kind": "elu", "alpha": 0.3}, MAP),
        ({"kind": "softplus", "beta": 2.5}, MAP),
        ({"kind": "gelu", "approximate": "tanh"}, MAP),
        ({"kind": "hardtanh", "min": -0.5, "max": 2.0}, MAP),
        ({"kind": "softmax", "axis": 1}, MAP),
        ({"kind": "prelu"}, MAP),
        ({"kind": "softmax"}, VECTOR),
        ({"kind": "gelu"}, OPEN),
    ],
    "add": [*PAIRS, *SEVERAL],
    "sub": PAIRS,
    "mul": [*PAIRS, *SEVERAL],
    "div": PAIRS,
    "maximum": [*PAIRS, *SEVERAL],
    "minimum": [*PAIRS, *SEVERAL],
    "concat": [
        ({}, MAP, (2, 7, 6)),
        ({}, MAP, MAP, (1, 7, 6)),
        ({}, VECTOR, (2,)),
        ({}, OPEN, (2, None, 6)),
        ({"axis": 1}, MAP, (3, 2, 6)),
        ({"axis": -1}, OPEN, (3, 7, 2)),
    ],
    "split": [
        ({"parts": 3}, (6, 5, 4)),
        ({"parts": 3, "axis": 0}, (6, None, None)),
        ({"parts": 2, "axis": 2}, MAP),
        ({"parts": 1}, VECTOR),
        ({"sizes": [1, 2]}, MAP),
        ({"sizes": [4, 1, 2], "axis": -2}, MAP),
        ({"sizes": [2, 3]}, VECTOR),
    ],
}


def rows() -> Iterator[Row]:
    """All rows of the table."""
    for op, each in TABLE.items():
        for attributes, *shapes in each:
            yield Row(op, attributes, tuple(shapes))
