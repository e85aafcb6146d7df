"""Draw the results of a benchmark as a bar chart: pictures per second, and latencies from the median to p99."""

from collections.abc import Sequence
from io import BytesIO

from cnnc.diagnostics.render import visible
from cnnc.inference.benchmark.results import Measurement

SUFFIXES = (".png", ".svg")


def draw(found: Sequence[Measurement], format: str) -> bytes:
    """Return the chart as `png` or `svg`: a bar for each configuration, the first at the top."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((10, 1.4 + 0.42 * len(found)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    speed, latency = figure.subplots(1, 2, sharey=True)
    places = range(len(found))
    rates = speed.barh(places, [each.pictures_per_second for each in found], color="tab:blue")
    speed.bar_label(rates, [f"{each.pictures_per_second:,.1f}" for each in found], padding=3)
    speed.set_xlabel("pictures/s")
    speed.locator_params(axis="x", nbins=4)
    speed.set_xlim(0, 1.35 * max(each.pictures_per_second for each in found))  # space for the figures
    names = [visible(str(each.configuration)).replace("$", r"\$") for each in found]  # a formula is between dollars
    speed.set_yticks(places, names)
    speed.invert_yaxis()
    middle, tail = ([each.percentile(percent) for each in found] for percent in (50, 99))
    latency.barh(places, tail, color="tab:orange", alpha=0.4, label="p99")
    latency.barh(places, middle, color="tab:orange", label="p50")
    latency.set_xlabel("latency of a batch, ms")
    latency.legend()
    picture = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cnnc"}):  # otherwise the ids in an SVG are random
        figure.savefig(picture, format=format, metadata={"Date": None} if format == "svg" else None)
    return picture.getvalue()
