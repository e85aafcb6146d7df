"""The held-out part of a report: the confusion matrix, and the pictures that are classified worst.

Takes a `Tested` and returns HTML. Of many classes, the matrix would be unreadable: then the pairs that are confused
most often stand in its place.
"""

from collections.abc import Sequence
from html import escape

from cnnc.diagnostics import counted
from cnnc.diagnostics.render import visible
from cnnc.train.monitor.tested import Mistake, Tested

LARGEST = 25  # the most classes for a matrix
PAIRS = 30


def matrix(tested: Tested) -> str:
    """Return the confusion matrix as a table, or a table of the most frequent confusions."""
    return _whole(tested) if len(tested.classes) <= LARGEST else _pairs(tested)


def worst(tested: Tested) -> str:
    """Return the pictures, each with its true and its predicted class."""
    if not tested.worst:
        return "<p>Every picture of the test part was classified correctly.</p>"
    return f'<ul class="worst">{"".join(_picture(each, tested.classes) for each in tested.worst)}</ul>'


def text(value: object) -> str:
    """Return text for HTML, on one line and without invisible characters."""
    return escape(visible(str(value)), quote=True)


def _whole(tested: Tested) -> str:
    names = [text(each) for each in tested.classes]
    head = "".join(f'<th scope="col">{each}</th>' for each in names)
    rows = [_row(index, name, tested.matrix) for index, name in enumerate(names)]
    columns = [sum(row[index] for row in tested.matrix) for index in range(len(names))]
    precisions = "".join(f"<td>{_share(tested.matrix[at][at], total)}</td>" for at, total in enumerate(columns))
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Confusion matrix"><table class="confusion">'
        "<caption>Rows are the true classes, columns the predicted ones. Shades are fractions of the row.</caption>"
        f'<thead><tr><th scope="col">true \\ predicted</th>{head}<th scope="col">recall</th></tr></thead>'
        f'<tbody>{"".join(rows)}<tr class="sum"><th scope="row">precision</th>{precisions}<td></td></tr></tbody>'
        "</table></div>"
    )


def _row(index: int, name: str, rows: Sequence[Sequence[int]]) -> str:
    row = rows[index]
    total = sum(row)
    cells = "".join(_cell(count, total, right=at == index) for at, count in enumerate(row))
    return f'<tr><th scope="row">{name}</th>{cells}<td class="recall">{_share(row[index], total)}</td></tr>'


def _cell(count: int, total: int, *, right: bool) -> str:
    if not count:
        return "<td></td>"
    share = count / total if right else (count / total) ** 0.5  # the root makes rare mistakes visible
    return f'<td class="{"right" if right else "wrong"}" style="--share:{60 * share:.0f}%">{count:,}</td>'


def _pairs(tested: Tested) -> str:
    found = [
        (count, true, predicted)
        for true, row in enumerate(tested.matrix)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    names = [text(each) for each in tested.classes]
    rows = "".join(
        f'<tr><td>{names[true]}</td><td>{names[predicted]}</td><td class="number">{count:,}</td>'
        f'<td class="number">{_share(count, sum(tested.matrix[true]))}</td></tr>'
        for count, true, predicted in sorted(found, key=lambda each: (-each[0], each[1:]))[:PAIRS]
    )
    shown = f"{PAIRS} of {len(found):,}" if len(found) > PAIRS else f"all {len(found):,}"
    return (
        f"<table><caption>The most frequent confusions of {counted(len(names), 'class')}: {shown} pairs.</caption>"
        '<thead><tr><th scope="col">true</th><th scope="col">predicted</th><th scope="col" class="number">count</th>'
        f'<th scope="col" class="number">share</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _picture(mistake: Mistake, classes: Sequence[str]) -> str:
    true, predicted = text(classes[mistake.label]), text(classes[mistake.predicted])
    name = text(mistake.name)
    about = f"{name}: {true}, classified as {predicted}"
    image = f'<img src="{mistake.picture}" alt="{about}">' if _is_picture(mistake.picture) else ""
    return (
        f'<li title="{name}">{image}<span>{true} <span class="muted">as</span> {predicted}</span>'
        f'<span class="muted">{mistake.predicted_probability:.0%} sure, {mistake.label_probability:.1%} for {true}'
        "</span></li>"
    )


def _is_picture(address: str | None) -> bool:
    return address is not None and address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
