"""The folder in which `cnnc infer --save FOLDER` writes masks, pictures and arrays.

A file is named after its picture, whose path is kept below the folder, so that the files of `a/x.png` and `b/x.png` are
two. A file appears complete or not at all, and an existing one is replaced only if the user says so.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from secrets import token_hex

from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import reported, staging

LONGEST = 80  # characters of an output's name in a file's name


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """An open folder; `write` may be called from several threads."""

    path: Path
    stage: Path
    overwrite: bool = False

    def write(self, picture: str, ending: str, data: bytes) -> str:
        """Write a file for a picture, and return its path; raises CnncError (E405)."""
        target = self.path / _below(picture, ending)
        with reported(target):
            if not self.overwrite and os.path.lexists(target):
                raise CnncError.of(
                    Code.NOT_WRITTEN,
                    f"cannot write {target}: it exists already",
                    help="choose another folder, or replace existing files with --overwrite",
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = self.stage / token_hex(8)
            staged.write_bytes(data)
            staged.replace(target)
        return str(target)


@contextmanager
def open_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[OutputFolder]:
    """Context manager: the folder at `path`, created if needed; raises CnncError (E405)."""
    with staging(Path(path)) as stage:
        yield OutputFolder(Path(path), stage, overwrite)


def _below(picture: str, ending: str) -> PurePath:
    """Return the picture's path as one that leads down from a folder, with `ending` added to its name."""
    path = PurePath(picture)
    parts = [re.sub(r"\W", "", path.drive), *path.relative_to(path.anchor).parts]
    down = [{"..": "__"}.get(part, part) for part in parts if part]
    return PurePath(*down[:-1], f"{(down or ['output'])[-1]}{ending}")


def file_names(outputs: tuple[str, ...]) -> dict[str, str]:
    """Return each output's name as a part of a file's name; two that would be the same are numbered."""
    plain = {name: re.sub(r"[^\w.-]", "_", name)[:LONGEST] for name in outputs}
    return {
        name: text if list(plain.values()).count(text) == 1 else f"{text}_{at}"
        for at, (name, text) in enumerate(plain.items())
    }
