"""`python -m cnnc.train.monitor.draw_curves PICTURE EPOCHS`: draw the curves and the report as epoch records arrive.

Reads a line of JSON from stdin for each EpochRecord, and replaces PICTURE, and `report.html` in its folder, atomically.
A file that it cannot draw is not tried again; at the end it prints a line for each to stdout, and exits with 1.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cnnc.diagnostics import CnncError
from cnnc.drawing.png import png
from cnnc.files.write import write_file
from cnnc.train.monitor.metrics import METRICS, EpochRecord
from cnnc.train.report import page
from cnnc.train.report.charts import HEIGHT, WIDTH, Series, chart

NAMES = 96  # pixels beside the lines, for their names
# the colours and line styles of the figures in Dive into Deep Learning
STYLE = """
rect { fill: #fff } .grid { stroke: #b0b0b0; fill: none; stroke-width: .8 } text { fill: #333; font-size: 11.5px }
.line { fill: none; stroke-width: 1.7; stroke-linejoin: round } .name { font-size: 12.5px }
.line.series-1 { stroke: #1f77b4 } .dot.series-1, .name.series-1 { fill: #1f77b4 }
.line.series-2 { stroke: #bf00bf; stroke-dasharray: 6 3 } .dot.series-2, .name.series-2 { fill: #bf00bf }
.line.series-3 { stroke: #008000; stroke-dasharray: 9 3 2 3 } .dot.series-3, .name.series-3 { fill: #008000 }
"""


def draw(records: Sequence[EpochRecord], epochs: int) -> bytes:
    """Draw the records' curves as a PNG, on an axis of `epochs` epochs.

    resvg draws in 20 ms, without the half second of CPU time that importing matplotlib takes from the training.
    """
    last = max(epochs, *(each.epoch for each in records))
    lines = chart("Loss and metric", [*_curves(records)], last, from_zero=True, right=NAMES)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style><rect {size}/>'
    return png(f"{head}{lines}</svg>")


def _curves(records: Sequence[EpochRecord]) -> Iterator[Series]:
    """Yield the training loss and the deciding metric of both parts."""
    name = records[0].metric
    label = METRICS[name].label
    yield Series("train loss", [(each.epoch, each.train_loss) for each in records])
    yield Series(f"train {label}", [(each.epoch, each.train[name]) for each in records])
    if tested := [(each.epoch, each.test[name]) for each in records if each.test]:
        yield Series(f"test {label}", tested)


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
