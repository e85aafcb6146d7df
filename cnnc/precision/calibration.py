"""The range of every value in a network, from its values for calibration pictures.

Takes an ONNX file and batches of inputs; returns the ranges that onnxruntime's quantizer needs. Methods: `minmax` takes
all values, `percentile` cuts off 0.001 % at both ends together, `entropy` minimises the divergence between the values
before and after quantization (Migacz, 8-bit inference with TensorRT, 2017).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.precision.choices import Calibration

if TYPE_CHECKING:
    import numpy as np

    Feed = Mapping[str, "np.ndarray[Any, np.dtype[Any]]"]

OPTIONS: Mapping[Calibration, Mapping[str, Any]] = {
    Calibration.MINMAX: {},
    Calibration.PERCENTILE: {"symmetric": False, "percentile": 99.999, "num_bins": 2048},
    # with onnxruntime's 128 bins, no value can be cut off, so that `entropy` would be `minmax`
    Calibration.ENTROPY: {"num_bins": 512, "num_quantized_bins": 256},
}


class _Reader:
    """The interface through which onnxruntime gets one batch."""

    def __init__(self, feed: "Feed") -> None:
        self._next: Feed | None = feed

    def get_next(self) -> "Feed | None":
        feed, self._next = self._next, None
        return feed


def ranges(model: Path, feeds: "Iterable[Feed]", method: Calibration, ops: Iterable[str], folder: Path) -> Any:
    """Return the `TensorsData` of the inputs and outputs of all nodes of `ops`; call it inside `quantizing`.

    `model` is a file whose values all have types. Memory holds the values of one batch at a time.
    """
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    methods = {
        Calibration.MINMAX: CalibrationMethod.MinMax,
        Calibration.PERCENTILE: CalibrationMethod.Percentile,
        Calibration.ENTROPY: CalibrationMethod.Entropy,
    }
    calibrator = create_calibrator(
        model,
        list(ops),
        augmented_model_path=str(folder / "calibration.onnx"),
        calibrate_method=methods[method],
        extra_options=dict(OPTIONS[method]),
    )
    for feed in feeds:
        calibrator.collect_data(_Reader(feed))
    return calibrator.compute_data()
