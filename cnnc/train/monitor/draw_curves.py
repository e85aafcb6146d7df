"""`python -m cnnc.train.monitor.draw_curves PICTURE EPOCHS`: draw the curves and the report as epoch records arrive.

Reads a line of JSON from stdin for each EpochRecord, and replaces PICTURE, and `report.html` in its folder, atomically.
A file that it cannot draw is not tried again; at the end it prints a line for each to stdout, and exits with 1.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from cnnc.diagnostics import CnncError
from cnnc.files.write import write_file
from cnnc.train.monitor.metrics import METRICS, EpochRecord
from cnnc.train.report import page

# the colours and line styles of the figures in Dive into Deep Learning
LOSS, TRAIN, TEST = ("C0", "-"), ("m", "--"), ("g", "-.")
DOTTED = 12  # up to this number of epochs, each has a mark: a line through one point is invisible


def draw(records: Sequence[EpochRecord], epochs: int) -> bytes:
    """Draw the records' curves as a PNG, on an axis of `epochs` epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((6, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    mark = "o" if epochs <= DOTTED else ""
    for label, points, (colour, stroke) in _curves(records):
        axes.plot(*zip(*points, strict=True), stroke, color=colour, label=label, marker=mark, markersize=3)
    axes.set_xlabel("epoch")
    last = max(epochs, 2, *(each.epoch for each in records))
    axes.set_xlim(1, last)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    axes.grid()
    axes.legend()
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _curves(records: Sequence[EpochRecord]) -> Iterator[tuple[str, list[tuple[int, float]], tuple[str, str]]]:
    """Yield label, points, and colour and line style of the training loss and the deciding metric of both parts."""
    name = records[0].metric
    label = METRICS[name].label
    yield "train loss", [(each.epoch, each.train_loss) for each in records], LOSS
    yield f"train {label}", [(each.epoch, each.train[name]) for each in records], TRAIN
    if tested := [(each.epoch, each.test[name]) for each in records if each.test]:
        yield f"test {label}", tested, TEST


def batches() -> Iterator[list[EpochRecord]]:
    """Yield lists of waiting records from stdin; drops a record that is cut off at the end."""
    waiting = b""
    while data := os.read(0, 1 << 20):
        *lines, waiting = (waiting + data).split(b"\n")
        if lines:
            yield [EpochRecord.of_json(json.loads(line)) for line in lines]


def main() -> None:
    """Draw until stdin ends."""
    if sys.platform != "win32":
        os.nice(10)  # give the training priority
    path, records, faults = Path(sys.argv[1]), list[EpochRecord](), dict[str, str]()
    for batch in batches():
        records += batch
        attempt(page.NAME, partial(page.write, path.parent), faults)
        attempt(path.name, partial(_draw, path, records), faults)
    for name, reason in faults.items():
        print(f"{path.with_name(name)} is not up to date: {reason}")
    sys.exit(bool(faults))


def _draw(path: Path, records: Sequence[EpochRecord]) -> None:
    write_file(path, draw(records, int(sys.argv[2])))


def attempt(name: str, work: Callable[[], object], faults: dict[str, str]) -> None:
    """Draw a file, unless that has failed before; a failure goes into `faults`. The other file is still drawn."""
    if name in faults:
        return
    try:
        work()
    except CnncError as error:
        faults[name] = error.diagnostics[0].message
    except Exception as error:  # a fault of the drawing must not end the process, which has another file to draw
        faults[name] = f"drawing it failed: {type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
