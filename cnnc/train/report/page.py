"""Assemble `report.html` from a run's folder.

Takes a `Run`; returns the page, or replaces the file in the folder. Its time is that of formatting a few hundred
numbers: a training can draw it after every epoch.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any

from cnnc.diagnostics import counted
from cnnc.files.write import write_file
from cnnc.pages.page import page, part
from cnnc.train.monitor.metrics import LOSS
from cnnc.train.monitor.pace import seconds
from cnnc.train.report import confusion
from cnnc.train.report.charts import Series, chart, number
from cnnc.train.report.confusion import text
from cnnc.train.report.run_folder import PICTURE, SPEC, Record, Run, read, title_of
from cnnc.version import __version__

NAME = "report.html"
MOST_ROWS = 300  # rows of the table of epochs
FIELDS = {"lr": "Learning rate", "examples_per_second": "Examples per second", "seconds": "Seconds"}


def write(folder: Path) -> Path:
    """Draw the report of the run in `folder` and return its path; raises E518 for a damaged run, E405."""
    write_file(folder / NAME, draw(read(folder)).encode())
    return folder / NAME


def draw(run: Run) -> str:
    """Return the page of a run."""
    name = text(run.about["name"])
    sections = {
        "Curves": _curves(run),
        "Confusion matrix": confusion.matrix(run.tested) if run.tested else None,
        "Worst pictures": confusion.worst(run.tested) if run.tested else None,
        "Epochs": _epochs(run),
        "Recipe": _recipe(run),
        "Network": _network(run),
    }
    there = {title: body for title, body in sections.items() if body}
    links = "".join(f'<a href="#{_id(title)}">{title}</a>' for title in there)
    body = "".join(_section(title, each, run) for title, each in there.items())
    style = part("report.css", __package__)
    whole = f"""<header class="bar"><h1>{name}</h1>{_headline(run)}<button id="theme">Dark colours</button></header>
<nav aria-label="Sections">{links}</nav>
<main>
{_figures(run)}
{body}
</main>
<footer class="muted">{_footer(run)}</footer>"""
    return page(f"{run.about['name']}: training report", whole, style=style, script=part("report.js", __package__))


def _section(title: str, body: str, run: Run) -> str:
    about = ""
    if title in ("Confusion matrix", "Worst pictures") and run.tested:
        about = f'<p class="muted">{_of_test(run)}</p>'
    return f'<section id="{_id(title)}"><h2>{title}</h2>{about}{body}</section>\n'


def _id(title: str) -> str:
    return title.lower().replace(" ", "-")


def _of_test(run: Run) -> str:
    assert run.tested is not None
    total = sum(map(sum, run.tested.matrix))
    right = sum(row[index] for index, row in enumerate(run.tested.matrix))
    return f"Test part after epoch {run.tested.epoch}, the best: {right:,} of {total:,} correct."


def _headline(run: Run) -> str:
    done = run.about["epochs_done"]
    box = '<label class="reload"><input type="checkbox" id="reload"> reload every 10 s</label>'
    return f'<span class="muted">epoch {done:,} of {run.epochs:,}</span>{box if done < run.epochs else ""}'


def _figures(run: Run) -> str:
    """Return the numbers that people look for first."""
    parameters = run.about.get("parameters") or {}
    last = run.records[-1] if run.records else {}
    found = {
        f"best {_label(run)}": f"{run.score:.4f}" if run.score is not None else None,
        "in epoch": f"{run.best['epoch']:,}" if run.best else None,
        "training time": seconds(run.seconds) if run.records else None,
        "examples/s, last epoch": number(last["examples_per_second"]) if last else None,
        "parameters": f"{sum(parameters.values()):,}" if parameters else None,
        "of them frozen": f"{parameters['frozen']:,}" if parameters.get("frozen") else None,
    }
    shown = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in found.items() if value)
    return f'<dl class="figures">{shown}</dl>'


def _label(run: Run) -> str:
    return f"{'test' if run.is_tested else 'train'} {title_of(run.metric or LOSS)}"


def _curves(run: Run) -> str:
    if not run.records:
        return "<p>No epoch is complete yet.</p>"
    return f'<div class="charts">{"".join(_figure(*each) for each in _charts(run))}</div>'


def _figure(title: str, drawing: str) -> str:
    return f"<figure><figcaption>{text(title)}</figcaption>{drawing}</figure>"


def _charts(run: Run) -> Iterator[tuple[str, str]]:
    """Yield title and drawing of each chart: one for each metric of training and test, then rate and speed."""
    epochs = max(run.epochs, run.records[-1]["epoch"])
    for name in _metrics(run):
        series = [Series(part, _points(run, f"{part}_{name}")) for part in ("train", "test")]
        series = [each for each in series if each.points]
        best = run.best if name == run.metric else None
        mark = (best["epoch"], run.score) if best and run.score is not None else None
        title = _capitalised(title_of(name))
        if mark:
            title += f", best {number(mark[1])} in epoch {mark[0]:,}"
        yield title, chart(title, series, epochs, from_zero=name == LOSS, mark=mark)
    for key in ("lr", "examples_per_second"):
        yield FIELDS[key], chart(FIELDS[key], [Series(FIELDS[key], _points(run, key))], epochs, from_zero=True)


def _metrics(run: Run) -> list[str]:
    return [key.removeprefix("train_") for key in run.records[-1] if key.startswith("train_")]


def _points(run: Run, key: str) -> list[tuple[float, float]]:
    return [(each["epoch"], each[key]) for each in run.records if each.get(key) is not None]


def _epochs(run: Run) -> str | None:
    """Return the table behind the curves."""
    if not run.records:
        return None
    keys = [key for key in run.records[-1] if any(each.get(key) is not None for each in run.records)]
    best = run.best["epoch"] if run.best else None
    step = ceil(len(run.records) / MOST_ROWS)
    kept = [each for at, each in enumerate(run.records, 1) if at % step == 0 or each["epoch"] in (best, 1)]
    head = "".join(f'<th scope="col" class="number">{text(_heading(key))}</th>' for key in keys)
    rows = "".join(_epoch(each, keys, best) for each in kept)
    caption = "Every epoch; the best is bold." if step == 1 else f"Every {step} epochs, and the best, which is bold."
    return (
        f"<details><summary>{counted(len(kept), 'row')} with the values of the curves</summary>"
        f'<div class="wide" tabindex="0" role="region" aria-label="Values of the curves"><table>'
        f"<caption>{caption} metrics.jsonl holds the values as JSON.</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _heading(key: str) -> str:
    part, _, metric = key.partition("_")
    name = f"{part} {title_of(metric)}" if part in ("train", "test") else key.replace("_", " ")
    return FIELDS.get(key, _capitalised(name))


def _capitalised(name: str) -> str:
    return name[0].upper() + name[1:]


def _epoch(record: Record, keys: Sequence[str], best: int | None) -> str:
    first, *rest = (f"{record[key]:,}" if key == "epoch" else _value(record.get(key)) for key in keys)
    cells = "".join(f'<td class="number">{each}</td>' for each in rest)
    mark = ' class="best"' if record["epoch"] == best else ""
    return f'<tr{mark}><th scope="row" class="number">{first}</th>{cells}</tr>'


def _value(value: float | None) -> str:
    return "–" if value is None else number(value)


def _recipe(run: Run) -> str:
    written = run.about.get("written") or {}
    rows = [
        (name, _plain(value), "" if not written or written.get(name) == value else _plain(written.get(name)))
        for name, value in run.recipe.items()
        if value not in (None, [], {})
    ]
    changed = any(spec for _, _, spec in rows)
    head = '<th scope="col">field</th><th scope="col">value</th>' + '<th scope="col">in the spec</th>' * changed
    body = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>{value}</td>{f"<td>{spec}</td>" if changed else ""}</tr>'
        for name, value, spec in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return (
        f'<div class="wide tall" tabindex="0" role="region" aria-label="Fields of the recipe">{table}</div>'
        f"{_lines(_sources(run))}"
    )


def _sources(run: Run) -> Iterator[tuple[str, Any]]:
    yield "data", run.about.get("data")
    yield "initial weights", run.about.get("weights")
    if skipped := run.about.get("skipped"):
        yield "skipped", f"{counted(len(skipped), 'picture')} that cannot be read"
    yield "SHA-256 of the data", run.about.get("fingerprint")
    yield "SHA-256 of the network", run.about.get("network")


def _lines(pairs: Iterable[tuple[str, Any]]) -> str:
    rows = "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in pairs if value)
    return f'<dl class="lines">{rows}</dl>'


def _plain(value: object) -> str:
    return text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _network(run: Run) -> str:
    """Return the picture of the network, if there is one, and the text of its spec."""
    picture, spec = (_read(run.folder / name) for name in (PICTURE, SPEC))
    parts = []
    if picture:
        address = f"data:image/svg+xml;base64,{b64encode(picture).decode()}"
        about = f"Picture of the network {text(run.about['name'])}; its spec follows as text"
        region = 'class="wide network" tabindex="0" role="region" aria-label="Picture of the network"'
        parts.append(f'<div {region}><img src="{address}" alt="{about}"></div>')
    if spec:
        lines = "\n".join(map(text, spec.decode(errors="replace").splitlines()))
        parts.append(f'<details><summary>The spec</summary><pre tabindex="0">{lines}</pre></details>')
    return "".join(parts)


def _read(path: Path) -> bytes:
    """Return the content of a file; empty without it."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _footer(run: Run) -> str:
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    return f"Drawn {now} by cnnc {__version__} from {text(run.folder)}"
