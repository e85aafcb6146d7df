"""What `build` can be asked for: targets, and ONNX operator sets. The command line has its choices from here."""

from enum import StrEnum

OPSETS = range(17, 27)
OPSET = 20
"""The ONNX operator sets that can be written, and the one that is where nobody asks for another."""


class Target(StrEnum):
    """What `build` writes."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    PYTHON = "python"


DEFAULTS = (Target.ONNX, Target.TORCHSCRIPT)
