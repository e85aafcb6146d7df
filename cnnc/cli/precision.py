"""The options about precision that `build` and `quantize` share."""

from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.precision.choices import CALIBRATION, MAX_DROP, PICTURES, Calibration, Precision
from cnnc.precision.request import Request

COMPARES = "Compare on the pictures of DATA that this run of `cnnc train` held out"


def add_precision(parser: Parser) -> None:
    """Add the options of `cnnc build`."""
    precisions = "Also write NAME.int8.onnx or NAME.fp16.onnx; may be repeated."
    parser.option("--precision", type=OneOf(Precision), repeat=True, help=precisions)
    add_calibration(parser, f"{COMPARES}; by default the folder of --weights, if it is a run's.")


def add_calibration(parser: Parser, run: str, *, required: bool = False) -> None:
    """Add the options about calibration and accuracy; `run` is the help of --run."""
    data = "Pictures to quantize with: a data set that `train` takes, or a folder of pictures."
    parser.option("--calibrate", metavar="DATA", help=data, required=required)
    parser.option("--run", metavar="FOLDER", help=run)
    method = "The choice of the range of each value."
    parser.option("--calibration", type=OneOf(Calibration), default=str(CALIBRATION), help=method)
    most = "Largest number of pictures to calibrate with."
    parser.option("--calibration-pictures", type=Number(least=1), default=PICTURES, help=most)
    points = "Points of accuracy (hundredths) that int8 or fp16 may lose."
    parser.option("--max-drop", type=Number(float, least=0, most=100), default=MAX_DROP, help=points)


def request_of(given: Namespace, precisions: Iterable[str], *, trained: bool, targets: tuple[str, ...]) -> Request:
    """Return the request of a command line; raises WrongCall."""
    if given.run and not given.calibrate:
        raise WrongCall("--run needs --calibrate: it chooses among the pictures of that data set")
    request = Request(
        tuple(dict.fromkeys(precisions)),
        given.calibrate,
        given.calibration,
        given.calibration_pictures,
        given.max_drop,
        **(parts_of_run(given) if given.calibrate else {}),
    )
    if fault := request.fault(trained=trained, targets=targets):
        raise WrongCall(*fault)
    return request


def parts_of_run(given: Namespace) -> dict[str, Any]:
    """Return the arguments that make the test part of --calibrate what a run held out; a note says so."""
    from cnnc.cli.eval_run import scored_data

    found = scored_data(
        Namespace(
            data=given.calibrate,
            run=given.run,
            weights=vars(given).get("weights"),
            masks=None,
            limit=None,
            val_split=None,
            seed=0,
            skip_unreadable=False,
        )
    )
    return {
        "limit": found.limit,
        "val_split": found.val_split,
        "seed": found.seed,
        "skip_unreadable": found.skip_unreadable,
    }
