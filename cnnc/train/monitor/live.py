"""The curves of `cnnc train --live`, for the terminal.

Takes the records of the epochs; returns what rich shows. plotille draws the curves, in Braille characters.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnnc.train.monitor.metrics import LOSS, EpochRecord

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

COLOURS = {"train": "cyan", "test": "magenta"}
HEIGHT = 10
AXES = 25  # the columns that plotille adds around a chart
NARROWEST = 24  # the least columns of a chart; on a narrower terminal the charts stand one above the other


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
