"""Line charts as inline SVG, in the colours of `cnnc.pages`.

Takes named series of (x, y) points and returns an SVG element as text. A chart is one picture to a screen reader, with
its extremes in words: the page has the values in a table.
"""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 48, 10, 34
MOST = 400  # points of a line: a chart has fewer pixels
MARKED = 60  # up to this many points, each is marked and shows its value
APART = 13  # pixels between the names at the ends of two lines
Point = tuple[float, float]


class Series(NamedTuple):
    """A line of a chart; its name stands at its end."""

    name: str
    points: Sequence[Point]


class Axis(NamedTuple):
    """A linear scale from values to pixels, with its ticks."""

    least: float
    most: float
    start: float
    stop: float
    ticks: Sequence[float]

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, to a tenth."""
        share = (value - self.least) / (self.most - self.least)
        return round(self.start + share * (self.stop - self.start), 1)


def chart(
    title: str,
    series: Sequence[Series],
    epochs: int,
    *,
    from_zero: bool,
    mark: Point | None = None,
    right: int = RIGHT,
) -> str:
    """Return a chart over the epochs 1 to `epochs`; `mark` is a point to circle, the best epoch.

    `right` are the pixels beside the lines, for their names.
    """
    series = [Series(name, [each for each in points if isfinite(each[1])]) for name, points in series]
    values = [y for each in series for _, y in each.points]
    if not values:
        return ""
    across = Axis(1, max(epochs, 2), LEFT, WIDTH - right, _whole_ticks(max(epochs, 2)))
    up = _upright(min(values), max(values), from_zero)
    parts = [_grid(across, up)]
    parts += [_line(index, each, across, up) for index, each in enumerate(series, 1)]
    if mark:
        parts.append(f'<circle class="best" cx="{across(mark[0])}" cy="{up(mark[1])}" r="6"/>')
    if len(series) > 1:
        parts.append(_names(series, across, up))
    about = "; ".join(_in_words(each) for each in series)
    label = escape(f"{title} by epoch. {about}.", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def number(value: float) -> str:
    """Return a value with four significant digits: `0.9835`, `12,669`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most about MOST points, with the extremes of every stretch."""
    if len(points) <= MOST:
        return [*points]
    step = ceil(2 * len(points) / MOST)
    kept: set[Point] = {points[-1]}
    for at in range(0, len(points), step):
        part = points[at : at + step]
        kept |= {min(part, key=_y), max(part, key=_y)}
    return sorted(kept)


def _y(point: Point) -> float:
    return point[1]


def _upright(least: float, most: float, from_zero: bool) -> Axis:
    least = min(0.0, least) if from_zero else least
    if least == most:
        least, most = (0.0, most) if most > 0 else (least, least + 1)
    step = _step(most - least, 4)
    low, high = floor(least / step + 1e-9), ceil(most / step - 1e-9)
    return Axis(low * step, high * step, HEIGHT - BOTTOM, TOP, [at * step for at in range(low, high + 1)])


def _whole_ticks(epochs: int) -> list[int]:
    step = max(1, round(_step(epochs, 6)))
    return [1, *(at for at in range(step, epochs + 1, step) if at > 1)]


def _step(span: float, count: int) -> float:
    """Return the step of 1, 2 or 5 times a power of ten that divides `span` into about `count` parts."""
    rough = span / count
    power = 10 ** floor(log10(rough))
    return float(next(each for each in (1, 2, 5, 10) if each * power >= rough * 0.999) * power)


def _grid(across: Axis, up: Axis) -> str:
    right, bottom = across.stop, HEIGHT - BOTTOM
    rows = "".join(
        f'<path class="grid" d="M{LEFT} {up(at)}H{right}"/><text x="{LEFT - 6}" y="{up(at) + 4}" text-anchor="end">'
        f"{number(at)}</text>"
        for at in up.ticks
    )
    columns = "".join(
        f'<text x="{across(at)}" y="{bottom + 16}" text-anchor="middle">{at:,}</text>' for at in across.ticks
    )
    return f'{rows}{columns}<text x="{right}" y="{HEIGHT - 3}" text-anchor="end">epoch</text>'


def _line(index: int, series: Series, across: Axis, up: Axis) -> str:
    points = thinned(series.points)
    path = "L".join(f"{across(x)} {up(y)}" for x, y in points)
    line = f'<path class="line series-{index}" d="M{path}"/>'
    if len(series.points) > MARKED:
        return line
    dots = "".join(
        f'<circle class="dot series-{index}" cx="{across(x)}" cy="{up(y)}" r="2.5">'
        f"<title>epoch {x:,.0f}: {escape(series.name)} {number(y)}</title></circle>"
        for x, y in points
    )
    return line + dots


def _names(series: Sequence[Series], across: Axis, up: Axis) -> str:
    """Return the names at the ends of the lines, moved apart where they would overlap."""
    ends = sorted((up(each.points[-1][1]), index, each.name) for index, each in enumerate(series, 1) if each.points)
    parts, last = [], -1e9
    for y, index, name in ends:
        last = max(y + 4, last + APART)
        parts.append(f'<text class="name series-{index}" x="{across.stop + 6:g}" y="{last}">{escape(name)}</text>')
    return "".join(parts)


def _in_words(series: Series) -> str:
    if not series.points:
        return f"{series.name}: no values"
    first, last = series.points[0], series.points[-1]
    low, high = min(series.points, key=_y), max(series.points, key=_y)
    return (
        f"{series.name}: {number(first[1])} in epoch {first[0]:,.0f}, {number(last[1])} in epoch {last[0]:,.0f}, "
        f"lowest {number(low[1])} in epoch {low[0]:,.0f}, highest {number(high[1])} in epoch {high[0]:,.0f}"
    )
