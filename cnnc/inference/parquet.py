"""Write results to a Parquet file, which a later run can continue.

A Parquet file is readable only when it is complete, so the rows go to a file beside it first, `NAME.rows`, as JSON
lines. `finish` turns them into the Parquet file, in row groups, and removes them. A later run that continues a complete
Parquet file turns it into rows again. Either file alone holds all results; if a kill left both, they hold the same.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.missing_packages import require
from cnnc.files.write import reported, write_file
from cnnc.inference.result_file import ResultFile, exists, holds_bytes, split
from cnnc.inference.rows import Columns, TableLines

GROUP = 1 << 13  # rows


class ParquetFile(ResultFile):
    """A `ResultFile` whose rows become a Parquet file in the end; raises E513 without pyarrow."""

    def __init__(self, path: Path, columns: Columns, *, resume: bool = False, overwrite: bool = False) -> None:
        """As for `ResultFile`."""
        require(["pyarrow"], "writing Parquet")
        self._target, self._columns = Path(os.path.realpath(path)), columns  # a link stays
        rows = self._target.with_name(f"{self._target.name}.rows")
        with reported(path):
            if holds_bytes(self._target):
                if not (resume or overwrite):
                    raise exists(path)
                self._take_back(rows, resume)
        super().__init__(rows, TableLines(columns), resume=resume, overwrite=overwrite)

    def finish(self) -> None:
        """Write the Parquet file, and remove the rows; raises E405."""
        super().finish()
        write_file(self._target, self._convert)
        with reported(self._path):
            self._path.unlink()

    def _take_back(self, rows: Path, resume: bool) -> None:
        """Remove the Parquet file; to resume, write its rows to a file of their own first."""
        if resume:
            write_file(rows, self._lines)
        self._target.unlink()

    def _lines(self, file: BinaryIO) -> None:
        from pyarrow import ArrowInvalid, parquet

        try:
            with parquet.ParquetFile(self._target) as complete:
                if complete.schema_arrow != self._schema():
                    raise self._foreign("its columns are not those of this run")
                for batch in complete.iter_batches(GROUP):
                    file.writelines(json.dumps(row).encode() + b"\n" for row in batch.to_pylist())
        except ArrowInvalid as error:
            raise self._foreign("it is not a Parquet file") from error

    def _foreign(self, reason: str) -> CnncError:
        return CnncError.of(
            Code.NOT_WRITTEN,
            f"cannot continue {self._target}: {reason}",
            help="resume with the options of the run that wrote the file, or write to another file",
        )

    def _convert(self, file: BinaryIO) -> None:
        import pyarrow
        from pyarrow import parquet

        schema = self._schema()
        with parquet.ParquetWriter(file, schema) as writer:
            for group in self._groups():
                writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))

    def _groups(self) -> Iterator[list[dict[str, Any]]]:
        group = []
        for row, _ in split(self._file, quoted=False):
            group.append(json.loads(row))
            if len(group) == GROUP:
                yield group
                group = []
        yield group

    def _schema(self) -> Any:
        import pyarrow

        kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
        return pyarrow.schema([(name, kinds[kind]) for name, kind in self._columns.items()])
