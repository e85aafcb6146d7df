"""Show the results of a benchmark as text: a table, warnings, and the time of each block."""

from collections.abc import Sequence

from cnnc.columns import left, right, widest
from cnnc.diagnostics import listed
from cnnc.diagnostics.render import visible
from cnnc.inference.benchmark.child import SIDE
from cnnc.inference.benchmark.results import BUSY, NOISY, Measurement, Peak

HEAD = ("model", "provider", "threads", "batch", "load", "p50", "p95", "p99", "pictures/s", "memory", "GFLOP/s", "peak")
UNITS = ("", "", "", "", "ms", "ms", "ms", "ms", "", "MB", "", "%")
_BLOCKS = ("block", "ms", "share", "MACs", "GFLOP/s")


def as_text(found: Sequence[Measurement]) -> str:
    """Return the table, with a row for each configuration, its footnotes, and a table for each profile."""
    parts = [_table([HEAD, UNITS, *map(_cells, found)], texts=2)]
    parts += ["\n".join(_footnotes(found))]
    parts += [f"{each.configuration}:\n{_blocks(each)}" for each in found if each.blocks]
    return "\n\n".join(parts)


def warnings(found: Sequence[Measurement]) -> list[str]:
    """Return why figures may be wrong (other programs were running, or the rounds differ), or are left out."""
    notes = []
    disturbed = [each for each in found if each.disturbed]
    if disturbed:
        least = min(min(each.busy, each.peak.busy if each.peak else 1) for each in disturbed)
        notes.append(
            f"other programs used the processor: CPU time was {least:.0%} of the time, under {BUSY:.0%}; all times are "
            "too long, and the share of the peak is left out"
        )
    faults = {each.configuration.model: each.macs.fault for each in found if each.macs.fault is not None}
    notes += [f"{model}: no GFLOP/s, because its multiply-adds cannot be counted: {faults[model]}" for model in faults]
    worst = max(found, key=lambda each: each.spread)
    if worst.spread > NOISY:
        notes.append(
            f"the machine was noisy: the medians of the {len(worst.samples)} rounds of {worst.configuration} differ by "
            f"{worst.spread:.0%}"
        )
    return notes


def _cells(found: Measurement) -> tuple[str, ...]:
    about = found.configuration
    return (
        visible(about.model),
        about.provider,
        str(about.threads) if about.provider == "cpu" else "",
        str(about.batch),
        f"{found.load:,.0f}",
        *(f"{found.percentile(percent):,.2f}" for percent in (50, 95, 99)),
        f"{found.pictures_per_second:,.1f}",
        "?" if found.memory is None else f"{found.memory / 1e6:,.0f}",
        "" if found.gflops is None else f"{found.gflops:,.1f}",
        "" if found.of_peak is None else f"{found.of_peak:.0%}".removesuffix("%"),
    )


def _footnotes(found: Sequence[Measurement]) -> list[str]:
    peaks = {each.peak.threads: each.peak for each in found if each.peak}
    shown = ", ".join(map(_peak, peaks.values()))
    rounds, runs = len(found[0].samples), sum(len(each.latencies) for each in found)
    lines = [
        f"{runs:,} runs in {rounds} rounds, each in its own process; threads that wait do not spin, as in `cnnc infer`"
    ]
    if peaks:
        lines.append(f"peak of this machine, from float32 products of {SIDE} × {SIDE} matrices in numpy: {shown}")
    left_out = {each.configuration.model: each.macs.uncounted for each in found if each.macs.uncounted}
    for model, ops in left_out.items():
        names = listed([f"{number} {op}" for op, number in sorted(ops.items())])
        lines.append(f"GFLOP/s of {visible(model)} are too low: the multiply-adds of {visible(names)} are not counted")
    return lines


def _peak(peak: Peak) -> str:
    return f"{peak.gflops:,.0f} GFLOP/s on {peak.threads} thread{'s' * (peak.threads > 1)}"


def _blocks(found: Measurement) -> str:
    rows = [
        (
            visible(each.path) if each.in_file else f"({each.path})",
            f"{each.milliseconds:,.3f}",
            f"{each.share:.1%}",
            f"{each.macs:,}" if each.macs else "",
            f"{each.gflops:,.1f}" if each.gflops else "",
        )
        for each in found.blocks
    ]
    whole = sum(each.milliseconds for each in found.blocks)
    return _table([_BLOCKS, *rows, ("total, with the profiler", f"{whole:,.3f}", "100.0%", "", "")], texts=1)


def _table(cells: Sequence[Sequence[str]], texts: int) -> str:
    """Return aligned columns; the first `texts` are texts, the others numbers."""
    widths = [widest(column) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        parts = [
            (left if at < texts else right)(cell, width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
