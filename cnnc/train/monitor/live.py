"""`cnnc train --live`: the curves of the run so far on the terminal, above the bar, redrawn after every epoch.

Takes the records of the epochs; returns what rich shows. plotille draws the curves, in Braille characters.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from cnnc.train.monitor.console import Bar, bar
from cnnc.train.monitor.metrics import LOSS, EpochRecord
from cnnc.train.monitor.pace import Pace

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

COLOURS = {"train": "cyan", "test": "magenta"}
HEIGHT = 10
AXES = 25  # the columns that plotille adds around a chart
NARROWEST = 24  # the least columns of a chart; on a narrower terminal the charts stand one above the other


class LiveCurves(Bar):
    """A Display with curves. They are drawn once for each epoch and width, not each time that the bar moves."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._drawn: tuple[tuple[int, int], RenderableType] | None = None

    def shown(self) -> "RenderableType":
        """Return the curves and the bar."""
        from rich.console import Group

        assert self._pace is not None  # start was first
        lines = bar(self._pace, self._console.width)
        return Group(self._curves(self._pace), lines) if self._records else lines

    def close(self) -> None:
        """Remove the bar, and leave the last curves."""
        super().close()
        if self._records and self._pace:
            self._console.print(self._curves(self._pace))

    def _curves(self, pace: Pace) -> "RenderableType":
        key = len(self._records), self._console.width
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, curves(self._records, pace.epochs, self._console.width)
        return self._drawn[1]


def curves(records: Sequence[EpochRecord], epochs: int, width: int) -> "RenderableType":
    """Return a chart for each metric, side by side if `width` columns suffice."""
    from rich.console import Group
    from rich.table import Table

    values = [record.as_json() for record in records]
    names = [key.removeprefix("train_") for key in values[0] if key.startswith("train_")][:2]
    beside = width // len(names) - AXES >= NARROWEST
    size = max(width // len(names) if beside else width, NARROWEST + AXES) - AXES
    charts = [_chart(name, values, max(epochs, len(records), 2), size) for name in names]
    if not beside:
        return Group(*charts)
    table = Table.grid()
    table.add_row(*charts)
    return table


def _chart(name: str, values: Sequence[Mapping[str, Any]], epochs: int, width: int) -> "Text":
    import plotille
    from rich.text import Text

    figure = plotille.Figure()
    figure.width, figure.height, figure.color_mode, figure.origin = width, HEIGHT, "names", False
    figure.set_x_limits(1, epochs)
    figure.x_label, figure.y_label = "epoch", name.replace("_", " ")
    figure.x_ticks_fkt = lambda least, most: f"{least:,.0f}"
    figure.y_ticks_fkt = lambda least, most: f"{least:.3g}"
    text, heights = Text(), []
    for part, colour in COLOURS.items():
        key = f"{part}_{name}"
        points = [(each["epoch"], each[key]) for each in values if each.get(key) is not None]
        if points:
            heights += [height for _, height in points]
            figure.plot(*zip(*points, strict=True), lc=colour)
            text.append(f"{part} {points[-1][1]:.3f}  ", style=colour)
    least, most = min([*heights, 0.0]) if name == LOSS else min(heights), max(heights)
    figure.set_y_limits(least, most if most > least else least + 1)
    return text.append("\n").append_text(Text.from_ansi(figure.show()))
