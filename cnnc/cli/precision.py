"""The options about precision that `build` and `quantize` share."""

from argparse import Namespace
from collections.abc import Iterable

from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.precision.choices import CALIBRATION, MAX_DROP, PICTURES, Calibration, Precision
from cnnc.precision.request import Request


def add_precision(parser: Parser) -> None:
    """Add the options of `cnnc build`."""
    precisions = "Also write NAME.int8.onnx or NAME.fp16.onnx; may be repeated."
    parser.option("--precision", type=OneOf(Precision), repeat=True, help=precisions)
    add_calibration(parser)


def add_calibration(parser: Parser, *, required: bool = False) -> None:
    """Add the options about calibration and accuracy."""
    data = "Pictures to quantize with: a data set that `train` takes, or a folder of pictures."
    parser.option("--calibrate", metavar="DATA", help=data, required=required)
    method = "The choice of the range of each value."
    parser.option("--calibration", type=OneOf(Calibration), default=str(CALIBRATION), help=method)
    most = "Largest number of pictures to calibrate with."
    parser.option("--calibration-pictures", type=Number(least=1), default=PICTURES, help=most)
    points = "Points of accuracy (hundredths) that int8 or fp16 may lose."
    parser.option("--max-drop", type=Number(float, least=0, most=100), default=MAX_DROP, help=points)


def request_of(given: Namespace, precisions: Iterable[str], *, trained: bool, targets: tuple[str, ...]) -> Request:
    """Return the request of a command line; raises WrongCall."""
    request = Request(
        tuple(dict.fromkeys(precisions)), given.calibrate, given.calibration, given.calibration_pictures, given.max_drop
    )
    if fault := request.fault(trained=trained, targets=targets):
        raise WrongCall(*fault)
    return request
