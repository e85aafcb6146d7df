"""The choices of precision: formats, calibration methods and their defaults. The command line uses them too."""

from enum import StrEnum


class Precision(StrEnum):
    """A precision below float32."""

    FP16 = "fp16"
    INT8 = "int8"


class Calibration(StrEnum):
    """A method that chooses the range of a value's 256 steps from the values of the calibration pictures."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"


CALIBRATION = Calibration.PERCENTILE
PICTURES = 256  # calibrated with
FEWEST = 64  # pictures; with fewer, ranges are unreliable
HELD_OUT = 1000  # pictures that the outputs are compared on
MAX_DROP = 1.0  # points of accuracy
ALL_POINTS = 100.0  # the `max_drop` that accepts everything
GOOD_SNR = 20.0  # dB
