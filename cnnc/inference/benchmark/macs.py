"""Count the multiply-adds (MACs) of an ONNX file, of cnnc or of another tool.

Takes the events of nodes in onnxruntime's profile of one run without optimizations, which hold the real shape of every
input and output. Returns the MACs of each node: those of convolutions, matrix products and attention, as `cnnc check`
counts them. Positions in the padding count too; biases, norms and activations do not. Products of other operators are
not counted, but named.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any

from cnnc.inference.benchmark.profile import KERNEL

Shapes = Sequence[Sequence[int]]  # of the inputs, and then of the first output


def _conv(weight: int) -> Callable[[Shapes], int]:
    return lambda shapes: prod(shapes[-1]) * prod(shapes[weight][1:])


def _conv_transpose(shapes: Shapes) -> int:
    return prod(shapes[0]) * prod(shapes[1][1:])


def _gemm(shapes: Shapes) -> int:
    return shapes[-1][1] * prod(shapes[0])  # also if it is transposed


def _matmul(shapes: Shapes) -> int:
    return prod(shapes[-1]) * shapes[0][-1]


def _attention(shapes: Shapes) -> int | None:
    """The scores and the weighted sums; None for Microsoft's operator of this name, which has weights of its own."""
    query, key = shapes[:2]
    return (prod(query) + prod(shapes[-1])) * key[-2] if len(query) == len(key) else None


_COUNTED: Mapping[str, Callable[[Shapes], int | None]] = {
    "Conv": _conv(1),
    "FusedConv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "QGemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Attention": _attention,
}
_PRODUCT = re.compile("Conv|Gemm|MatMul|Attention|Einsum|LSTM|GRU|RNN|DFT|MoE")


def count(events: Iterable[Mapping[str, Any]]) -> tuple[Counter[str], Counter[str]]:
    """Return the MACs of each node by its name, and how many nodes of each operator could not be counted."""
    macs, uncounted = Counter[str](), Counter[str]()
    for each in events:
        about = each["args"]
        op = about["op_name"]
        if not _PRODUCT.search(op):
            continue
        inputs, outputs = (
            [shape for entry in about[end] for shape in entry.values()]
            for end in ("input_type_shape", "output_type_shape")
        )
        found = _COUNTED[op]([*inputs, outputs[0]]) if op in _COUNTED else None
        if found is None:
            uncounted[op] += 1
        else:
            macs[each["name"].removesuffix(KERNEL)] += found
    return macs, uncounted
