"""Where the results of `cnnc infer` go: to standard output or a file, as text, JSON, CSV or Parquet."""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cnnc.cli.parser import OneOf, Parser, WrongCall

if TYPE_CHECKING:
    from cnnc.inference.model import Model
    from cnnc.inference.results import Failed, Result
    from cnnc.inference.rows import Rows

FORMATS = ("text", "json", "csv", "parquet")
SUFFIXES = {"": "text", ".txt": "text", ".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}


class Destination(Protocol):
    """The place for results. A file may have `held` some before this run, `failed` of them for broken pictures."""

    held: int
    failed: int

    def missing(self, pictures: "Iterable[str | Failed]") -> "Iterator[str | Failed]":
        """Yield the pictures that are not there yet."""

    def write(self, each: "Result | Failed") -> None:
        """Add the result of a picture."""

    def finish(self) -> None:
        """Complete the output."""


class Printed:
    """Standard output, in a format of `cnnc.inference.rows`."""

    held = failed = 0

    def __init__(self, rows: "Rows") -> None:
        self._rows = rows
        print(rows.header, end="")

    def missing(self, pictures: "Iterable[str | Failed]") -> "Iterator[str | Failed]":
        return iter(pictures)

    def write(self, each: "Result | Failed") -> None:
        print(self._rows.write(each), end="", flush=True)  # also a reader of a pipe gets each result as it comes

    def finish(self) -> None:
        """Do nothing: each result was flushed."""


def add_output_options(parser: Parser) -> None:
    """Add the options for the format and the file of the results."""
    formats = "A table for people, a JSON line or a row of a table per picture; if left out, as the file's name says."
    parser.option("--format", type=OneOf(FORMATS), help=formats)
    parser.option("--output", "-o", metavar="FILE", help="Write the results to this file, each as it comes.")
    parser.option("--save", metavar="FOLDER", help="Write masks and pictures as PNG, other numbers as .npz.")
    parser.flag("--resume", help="Continue a file that was cut off, with the pictures that it does not hold.")
    parser.flag("--overwrite", help="Replace existing files of --output and --save.")


def require_output_options(given: Namespace) -> None:
    """Choose the format if left out; raises WrongCall for options that do not fit together."""
    if given.output == "":
        raise WrongCall("--output: expected a file, got an empty name")
    if given.format is None:
        given.format = _format_of(given.output or "")
    if given.save == "":
        raise WrongCall("--save: expected a folder, got an empty name; . is the current folder")
    if given.overwrite and given.output is None and given.save is None:
        raise WrongCall("--overwrite needs --save FOLDER or --output FILE")
    if given.output is None:
        if given.resume:
            raise WrongCall("--resume needs --output FILE")
        if given.format == "parquet":
            raise WrongCall("--format parquet needs --output FILE: standard output cannot hold it")
    if given.resume and given.overwrite:
        raise WrongCall("--resume continues the file, --overwrite replaces it: give only one of them")
    if given.resume and given.format == "text":
        raise WrongCall("text cannot be resumed", "use --format json, csv or parquet")


def _format_of(output: str) -> str:
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(filter(None, SUFFIXES))
        raise WrongCall(f"--output: no format is known for {suffix}", f"use one of {known}, or add --format")
    return SUFFIXES[suffix]


def open_output(given: Namespace, model: "Model") -> AbstractContextManager[Destination]:
    """Open the output for results of a model; raises E405 for the file, E513 without pyarrow."""
    from cnnc.inference import rows

    how = {"resume": given.resume, "overwrite": given.overwrite}
    columns = rows.columns(model, given.top)
    if given.format == "parquet":
        from cnnc.inference.parquet import ParquetFile

        return ParquetFile(Path(given.output), columns, **how)
    kinds: dict[str, Callable[[], Rows]] = {"text": rows.Text, "json": rows.JsonLines, "csv": lambda: rows.Csv(columns)}
    kind = kinds[given.format]()
    if given.output is None:
        return nullcontext(Printed(kind))
    from cnnc.inference.result_file import ResultFile

    return ResultFile(Path(given.output), kind, **how)
