"""The choices of `build`: targets and ONNX operator sets. The command line uses them too."""

from enum import StrEnum

OPSETS = range(17, 27)
OPSET = 20
"""The supported ONNX operator sets, and the default."""


class Target(StrEnum):
    """A format that `build` writes."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    PYTHON = "python"
    TRITON = "triton"
    SPEC = "spec"


DEFAULTS = (Target.ONNX, Target.TORCHSCRIPT)
