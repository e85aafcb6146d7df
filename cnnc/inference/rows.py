"""Results as rows of a file: JSON, a line for each picture, and tables for CSV and Parquet, a row for each picture.

Takes results and returns strings, one for each picture; reads a picture's name out of such a string again. A table has
the columns `image`, `index_1`, `label_1`, `score_1` and so on for each rank, `provider`, `milliseconds`, `notes`,
`outputs` (JSON) if the model has others than classes, and `error`. Cells that do not apply are empty.
"""

import csv
import json
from collections.abc import Iterable
from io import StringIO
from typing import Any, Protocol

from cnnc.inference.model import Model
from cnnc.inference.results import Failed, Result

Cell = str | int | float | None
Columns = dict[str, type]  # the types of a table's cells, by column


class Rows(Protocol):
    """A format of a file of results."""

    header: str
    """The first line of a file, or nothing."""

    quoted: bool
    """Whether line ends between quotes are part of a row."""

    def write(self, each: Result | Failed) -> str:
        """Return the row of a picture, with its line end."""

    def read(self, row: str) -> tuple[str, bool]:
        """Return the picture of a row, as `spelled`, and whether it failed; raises ValueError if it is not a row."""

    def may_begin(self, text: str) -> bool:
        """Whether `text` may be the beginning of a row."""


class Text:
    """What `cnnc infer` prints for people; broken pictures are left out."""

    header, quoted = "", False

    def write(self, each: Result | Failed) -> str:
        return "" if isinstance(each, Failed) else each.as_text() + "\n"

    def read(self, row: str) -> tuple[str, bool]:
        raise ValueError("text has no rows")

    def may_begin(self, text: str) -> bool:
        return False


class JsonLines:
    """A JSON object for each picture."""

    header, quoted = "", False

    def write(self, each: Result | Failed) -> str:
        return json.dumps(each.as_json()) + "\n"

    def read(self, row: str) -> tuple[str, bool]:
        try:
            record = json.loads(row)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        if not isinstance(record, dict) or not isinstance(record.get("image"), str):
            raise ValueError("no image")
        return spelled(record["image"]), bool(record.get("diagnostics") or record.get("error"))

    def may_begin(self, text: str) -> bool:
        start = '{"image": "'
        return text.startswith(start) or start.startswith(text)


class TableLines(JsonLines):
    """The row of a table as a JSON object for each picture."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def write(self, each: Result | Failed) -> str:
        return json.dumps(as_row(each, self._columns)) + "\n"


class Csv:
    """Comma-separated values, with a header."""

    quoted = True

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.header = _as_csv(columns)

    def write(self, each: Result | Failed) -> str:
        return _as_csv(as_row(each, self._columns).values())

    def read(self, row: str) -> tuple[str, bool]:
        try:
            cells = next(csv.reader(StringIO(row, newline=""), strict=True))
        except csv.Error as error:
            raise ValueError(str(error)) from error
        if len(cells) != len(self._columns):
            raise ValueError("other columns")
        return cells[0], bool(cells[-1])

    def may_begin(self, text: str) -> bool:
        return True


def columns(model: Model, top_k: int) -> Columns:
    """Return the columns of a table of a model's results, with the `top_k` best classes.

    Only the shapes at run time show what some outputs of other tools' models are: there is room for both.
    """
    ports = {port.name: port.shape[1:] for port in model.runner.outputs}
    classes = [about for about in model.contract.described if about.kind in (None, "classes", "probabilities")]
    ranks = 0
    if classes:
        sides = [side for side in ports[classes[0].name] if side != 1]
        known = sides[0] if len(sides) == 1 and sides[0] is not None else 1 if not sides else top_k
        ranks = min(top_k, known)
    others = len(model.contract.described) > 1 or not classes or classes[0].kind is None
    return table_columns(ranks, others=others)


def table_columns(ranks: int, *, others: bool = False) -> Columns:
    """Return the columns of a table with the best `ranks` classes, and with a column for `others` than classes."""
    kinds = (("index", int), ("label", str), ("score", float))
    ranked = {f"{name}_{rank}": kind for rank in range(1, ranks + 1) for name, kind in kinds}
    rest: Columns = {"provider": str, "milliseconds": float, "notes": str}
    return {"image": str, **ranked, **rest, **({"outputs": str} if others else {}), "error": str}


def as_row(each: Result | Failed, columns: Columns) -> dict[str, Cell]:
    """Return the cells of a picture by column."""
    record = each.as_json()
    cells: dict[str, Any] = {**record, "notes": "; ".join(record["notes"])}
    for rank, prediction in enumerate(record["predictions"], 1):
        cells |= {f"{name}_{rank}": value for name, value in prediction.items()}
    cells["error"] = "; ".join(f"{one['code']}: {one['message']}" for one in record.get("diagnostics", ()))
    return {name: _cell(cells.get(name)) for name in columns}


def spelled(path: str) -> str:
    """Return a path as tables hold it: bytes of a name that are not UTF-8 are escaped."""
    return path.encode(errors="backslashreplace").decode()


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return spelled(value) or None
    if isinstance(value, list | tuple | dict):
        return json.dumps(value) if value else None
    return value  # type: ignore[no-any-return]


def _as_csv(cells: Iterable[Cell]) -> str:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
