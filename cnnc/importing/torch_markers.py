"""Nodes of a domain of our own for what torch's exporter to ONNX refuses, though the spec has an op for it.

These are adaptive pools with windows of unequal size, and the dropout of whole channels in training. `markers` is a
context in which the exporter writes such nodes; the table of ONNX ops imports them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnc.importing.values import DOMAIN

OPSET = 17  # the newest of torch's exporter that traces, whose nodes keep the paths of modules


@contextmanager
def markers() -> Iterator[None]:
    """Let torch's exporter write the nodes."""
    import torch

    exporter: Any = torch.onnx
    made = {
        "aten::adaptive_avg_pool2d": _average,
        "aten::adaptive_max_pool2d": _maximum,
        "aten::feature_dropout": _dropout,
    }
    for name, symbolic in made.items():
        exporter.register_custom_op_symbolic(name, symbolic, OPSET)
    try:
        yield
    finally:
        for name in made:
            exporter.unregister_custom_op_symbolic(name, OPSET)


def _average(g: Any, x: Any, size: Any) -> Any:
    return _with_space(g.op(f"{DOMAIN}::AdaptiveAveragePool", x, size_i=_sizes(size)), x, _sizes(size))


def _maximum(g: Any, x: Any, size: Any) -> Any:
    values, indices = g.op(f"{DOMAIN}::AdaptiveMaxPool", x, size_i=_sizes(size), outputs=2)
    indices.setType(_with_space(values, x, _sizes(size)).type())
    return values, indices


def _dropout(g: Any, x: Any, rate: Any, training: Any) -> Any:
    from torch.onnx.symbolic_helper import _parse_arg

    if not _parse_arg(training, "b"):
        return x
    found = g.op(f"{DOMAIN}::ChannelDropout", x, rate_f=_parse_arg(rate, "f"))
    found.setType(x.type())
    return found


def _sizes(size: Any) -> list[int]:
    from torch.onnx.symbolic_helper import _parse_arg

    return [int(each) for each in _parse_arg(size, "is")]


def _with_space(value: Any, x: Any, size: list[int]) -> Any:
    """Set the shape of a pool's output, which later nodes may need."""
    from torch.onnx.symbolic_helper import _get_tensor_sizes

    sizes = _get_tensor_sizes(x)
    if sizes is not None:
        value.setType(x.type().with_sizes([*sizes[:-2], *size]))
    return value
