"""Read a data set from CSV: a row for each picture, with its path and its labels.

Takes a file, or a folder with `train.csv` and perhaps `test.csv`, and returns picture files with labels. The first row
names the columns. One is the path (`path`, `file`, `filename` or `image`), relative to the CSV file; `split` may say
which rows are for testing. The others depend on what the labels must be (`Labelling`):

    classes        `label` or `class`: a name, or the number of a class
    probabilities  `labels`: names, separated by spaces, `;` or `|`; or a column for each label, with 0 or 1
    vector         a column for each number
    segmentation   `mask`: the path of the mask
"""

import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import Files, Labelling, unreadable
from cnnc.data.masks import TESTS, TRAIN
from cnnc.diagnostics import CnncError, Code, Note, counted
from cnnc.files.checks import require_file
from cnnc.graph.output_kinds import MOST_CLASSES

PATHS = ("path", "file", "filename", "image")
SPLIT = "split"
CLASS_COLUMNS = ("label", "class")
LIST, MASK = "labels", "mask"
LARGEST = 1 << 30  # bytes of a CSV file
SHOWN = 5
LARGEST_NUMBER = float(np.finfo(np.float32).max)

_Parts = tuple[Files, Files | None, tuple[str, ...] | None]


@dataclass(frozen=True)
class _Row:
    """A row: its number in the file, counted from 1 with the names of the columns, and its cells by column."""

    file: Path
    number: int
    cells: dict[str, str]

    def error(self, column: str, reason: str, help: str | None = None) -> CnncError:
        return unreadable(self.file, f"row {self.number:,}, column `{column}`: {reason}", help)


def find(path: Path) -> bool:
    """Return whether the path is a CSV file, or a folder with `train.csv`."""
    return path.suffix.lower() == ".csv" if os.path.isfile(path) else os.path.isfile(path / f"{TRAIN}.csv")


def read(path: Path, labelling: Labelling) -> _Parts:
    """Return training files, test files and class names; raises CnncError (E508, E510). Opens no picture."""
    if os.path.isfile(path):
        columns, rows = _rows(path)
        test = [row for row in rows if _is_test(row)] if SPLIT in columns else []
        train = [row for row in rows if not _is_test(row)] if SPLIT in columns else rows
    else:
        columns, train = _rows(path / f"{TRAIN}.csv")
        other = next((path / f"{name}.csv" for name in TESTS if os.path.isfile(path / f"{name}.csv")), None)
        others, test = _rows(other) if other else (columns, [])
        if other and set(others) != set(columns):
            odd = min(set(others) ^ set(columns))
            raise unreadable(other, f"the column `{odd}` is in only one of {TRAIN}.csv and {other.name}")
    if not train:
        raise unreadable(path, "it has no rows for training")
    place = _column(train[0].file, columns, PATHS)
    others = tuple(each for each in columns if each not in (place, SPLIT))
    parse, names = _READERS[labelling.kind](train, others, labelling)

    def files(part: list[_Row]) -> Files:
        paths = _existing(part, place)
        if labelling.kind == "segmentation":
            masks = _existing(part, MASK)
            return Files(paths, np.zeros(len(part), np.int64), masks=masks, mask_classes=labelling.size or MOST_CLASSES)
        return Files(paths, np.stack([parse(row) for row in part]))

    return files(train), files(test) if test else None, names


def _rows(path: Path) -> tuple[tuple[str, ...], list[_Row]]:
    """Return the names of the columns, and the rows that are not empty."""
    size = require_file(str(path), Code.DATA_UNREADABLE, "data")
    if size > LARGEST:
        raise unreadable(path, f"it has {size:,} bytes; the limit is {LARGEST:,}", "use tar shards")
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.split("\n", 1)[0]
        lines = list(csv.reader(StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True))
    except UnicodeDecodeError as error:
        raise unreadable(path, f"it is not UTF-8 text: byte {error.start:,}", "save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise unreadable(path, str(error)) from error
    columns = tuple(name.strip() for name in lines[0]) if lines else ()
    if double := next((name for name in columns if columns.count(name) > 1), None):
        raise unreadable(path, f"two columns are named `{double}`")
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            found, wanted = counted(len(cells), "cell"), counted(len(columns), "column")
            raise unreadable(path, f"row {number:,} has {found}, but there are {wanted}")
        rows.append(_Row(path, number, dict(zip(columns, map(str.strip, cells), strict=True))))
    if not rows:
        raise unreadable(path, "it has no rows below the names of the columns")
    return columns, rows


def _is_test(row: _Row) -> bool:
    part = row.cells[SPLIT].lower()
    if part != TRAIN and part not in TESTS:
        raise row.error(SPLIT, f"expected {TRAIN} or {TESTS[0]}, got {row.cells[SPLIT]!r}")
    return part in TESTS


def _column(path: Path, columns: Sequence[str], known: Sequence[str]) -> str:
    """Return the first of the `known` columns that is there; raises E508 if there is none."""
    found = next((name for name in known if name in columns), None)
    if found is None:
        wanted = " or ".join(f"`{name}`" for name in known)
        shown = ", ".join(f"`{name}`" for name in columns[:8]) or "no other columns"
        raise unreadable(path, f"the column {wanted} is missing; there are {shown}", "the first row names the columns")
    return found


def _existing(rows: Sequence[_Row], column: str) -> tuple[Path, ...]:
    """Return the paths in a column; raises E508 if one is empty or no file."""
    paths = [row.file.parent / row.cells[column] for row in rows]
    missing = [row for row, path in zip(rows, paths, strict=True) if not (row.cells[column] and os.path.isfile(path))]
    if not missing:
        return tuple(paths)
    few = [Note(f"row {row.number:,}: {row.cells[column] or 'empty'}") for row in missing[:SHOWN]]
    more = [Note(f"and {len(missing) - SHOWN:,} more")] * (len(missing) > SHOWN)
    raise CnncError.of(
        Code.DATA_UNREADABLE,
        f"{len(missing):,} of the {counted(len(rows), 'file')} in the column `{column}` of {rows[0].file} do not exist",
        notes=(*few, *more),
        help=f"paths are relative to {rows[0].file.parent}",
    )


_Reader = Callable[[_Row], NDArray[np.generic]]


def _classes(
    rows: list[_Row], columns: tuple[str, ...], labelling: Labelling
) -> tuple[_Reader, tuple[str, ...] | None]:
    column = columns[0] if len(columns) == 1 else _column(rows[0].file, columns, CLASS_COLUMNS)
    found = {row.cells[column] for row in rows}
    names = labelling.names
    if names is None and all(re.fullmatch(r"\d{1,9}", each) for each in found):
        return lambda row: np.array(_whole(row, column), np.int64), None
    names = names or tuple(sorted(found - {""}))
    known = {name: index for index, name in enumerate(names)}
    return lambda row: np.array(_known(row, column, row.cells[column], known), np.int64), names


def _labels(rows: list[_Row], columns: tuple[str, ...], labelling: Labelling) -> tuple[_Reader, tuple[str, ...] | None]:
    column = next((name for name in (LIST, *CLASS_COLUMNS) if name in columns), None)
    if column is None:
        names = _numbered(rows, columns, labelling)
        return lambda row: np.array([_flag(row, name) for name in names], np.float32), names
    found = {name for row in rows for name in _list(row, column)}
    names = labelling.names or tuple(sorted(found))
    known = {name: index for index, name in enumerate(names)}

    def parse(row: _Row) -> NDArray[np.float32]:
        flags = np.zeros(len(names), np.float32)
        flags[[_known(row, column, name, known) for name in _list(row, column)]] = 1
        return flags

    return parse, names


def _numbers(rows: list[_Row], columns: tuple[str, ...], labelling: Labelling) -> tuple[_Reader, tuple[str, ...]]:
    names = _numbered(rows, columns, labelling)
    return lambda row: np.array([_number(row, name) for name in names], np.float32), names


def _masks(rows: list[_Row], columns: tuple[str, ...], labelling: Labelling) -> tuple[_Reader, tuple[str, ...] | None]:
    _column(rows[0].file, columns, (MASK,))
    return lambda row: np.zeros((), np.int64), labelling.names


_READERS = {"classes": _classes, "probabilities": _labels, "vector": _numbers, "segmentation": _masks}


def _numbered(rows: list[_Row], columns: tuple[str, ...], labelling: Labelling) -> tuple[str, ...]:
    """Return the columns with a number for each label, in the order of the spec's labels if it has any."""
    for name in labelling.names or ():
        _column(rows[0].file, columns, (name,))
    if not columns:
        raise unreadable(rows[0].file, "there is no column with a label", "the first row names the columns")
    return labelling.names or columns


def _list(row: _Row, column: str) -> list[str]:
    return [name for name in re.split(r"[\s;|]+", row.cells[column]) if name]


def _known(row: _Row, column: str, name: str, known: dict[str, int]) -> int:
    if name not in known and re.fullmatch(r"\d{1,9}", name) and int(name) < len(known):
        return int(name)  # the number of a class
    if name not in known:
        near = get_close_matches(name, known, 1)
        help = f"did you mean {near[0]!r}?" if near else f"the labels are {', '.join(list(known)[:10])}"
        raise row.error(column, f"unknown label {name!r}" if name else "the label is empty", help)
    return known[name]


def _whole(row: _Row, column: str) -> int:
    if not re.fullmatch(r"\d{1,9}", row.cells[column]):
        raise row.error(column, f"expected the number of a class, got {row.cells[column]!r}")
    return int(row.cells[column])


def _number(row: _Row, column: str) -> float:
    try:
        value = float(row.cells[column])
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST_NUMBER:  # nor is NaN
        raise row.error(column, f"expected a number, got {row.cells[column]!r}")
    return value


def _flag(row: _Row, column: str) -> float:
    value = row.cells[column]
    if value not in ("0", "1", "0.0", "1.0"):
        raise row.error(column, f"expected 0 or 1, got {value!r}")
    return float(value)
