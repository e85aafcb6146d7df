"""Nodes of a domain of our own for what torch's exporter to ONNX refuses, though the spec has an op for it.

These are adaptive pools with windows of unequal size, and the dropout of whole channels in training. `markers` is a
context in which the exporter writes such nodes, and the table of ONNX ops imports them. Messages show their names, so
these are the names of torch's modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnc.importing.values import DOMAIN

CHANNEL_DROPOUTS = {1: "Dropout1d", 2: "Dropout2d", 3: "Dropout3d"}
OPSET = 17  # the newest of torch's exporter that traces, whose nodes keep the paths of modules


@contextmanager
def markers() -> Iterator[None]:
    """Let torch's exporter write the nodes."""
    import torch
    from torch.onnx.symbolic_helper import parse_args

    exporter: Any = torch.onnx
    made = {
        "aten::adaptive_avg_pool2d": parse_args("v", "is")(_average),
        "aten::adaptive_max_pool2d": parse_args("v", "is")(_maximum),
        "aten::feature_dropout": parse_args("v", "f", "b")(_dropout),
    }
    for name, symbolic in made.items():
        exporter.register_custom_op_symbolic(name, symbolic, OPSET)
    try:
        yield
    finally:
        for name in made:
            exporter.unregister_custom_op_symbolic(name, OPSET)


def _average(g: Any, x: Any, size: list[int]) -> Any:
    return _with_space(g.op(f"{DOMAIN}::AdaptiveAvgPool2d", x, size_i=size), x, size)


def _maximum(g: Any, x: Any, size: list[int]) -> Any:
    values, indices = g.op(f"{DOMAIN}::AdaptiveMaxPool2d", x, size_i=size, outputs=2)
    indices.setType(_with_space(values, x, size).type())
    return values, indices


def _dropout(g: Any, x: Any, rate: float, training: bool) -> Any:
    if not training:
        return x
    axes = (x.type().dim() or 4) - 2  # of space
    found = g.op(f"{DOMAIN}::{CHANNEL_DROPOUTS.get(axes, 'Dropout2d')}", x, rate_f=rate)
    found.setType(x.type())
    return found


def _with_space(value: Any, x: Any, size: list[int]) -> Any:
    """Set the shape of a pool's output, which later nodes may need."""
    sizes = x.type().varyingSizes()
    if sizes is not None:
        value.setType(x.type().with_sizes([*sizes[:-2], *size]))
    return value
