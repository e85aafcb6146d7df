"""Decide which layers stay in float32 if int8 costs too much accuracy.

Takes the float32 model, its ranges and a judge of a quantized model. Each node is quantized alone, and the noise that
this causes in the first output, for calibration pictures, ranks the nodes. Then the worst stay in float32, more and
more of them, until the judge accepts the model or half of the nodes are in float32.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cnnc.precision import int8
from cnnc.precision.fidelity import Fidelity, compare
from cnnc.precision.onnxruntime_tools import quantizing, runner

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from cnnc.precision.fidelity import Feed, Run

    Judge = Callable[[onnx.ModelProto], Fidelity]


def worst_first(
    model: "onnx.ModelProto",
    ranges: Any,
    reference: "Run",
    outputs: Sequence[str],
    feeds: "Sequence[Feed]",
    folder: "Path",
    progress: Callable[[str], None],
) -> list[str]:
    """Return the names of the nodes that quantization makes less exact, those that cause the most noise first."""
    found = {}
    nodes = [node.name for node in int8.layers(model)]
    for at, name in enumerate(nodes, 1):
        progress(f"quantizing each layer alone: {at} of {len(nodes)}")
        with quantizing(folder):
            alone = int8.quantized(model, ranges, only=[name])
        found[name] = compare(reference, runner(alone), outputs, feeds, classes=False).first_snr
    return sorted(found, key=found.__getitem__)


def steps(count: int) -> list[int]:
    """Return how many of `count` nodes to try in float32, in order: 1, 2, 3, 5, 8 and so on, at most half of them."""
    found, step = [1], 1
    while found[-1] + step <= count // 2:
        found.append(found[-1] + step)
        step = max(1, found[-1] // 2)
    return [each for each in found if each <= count // 2]
