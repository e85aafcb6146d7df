"""Globs that exclude files: `drafts`, `*.draft.yaml`, `specs/old/**`.

A glob without a slash matches any part of a file's path below the base folder. A glob with a slash matches that path
or, if it begins with a slash, the absolute path. A glob that matches a folder matches everything in it.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from os.path import abspath
from pathlib import Path

Parts = tuple[str, ...]


class Globs:
    """Globs relative to the folder `base`."""

    def __init__(self, globs: Iterable[str], base: str) -> None:
        self._base = Path(abspath(base))
        self._globs = [(path.is_absolute(), path.parts) for path in map(Path, globs) if path.parts]

    def match(self, path: str) -> bool:
        """Whether a glob matches a file or a folder that contains it."""
        if not self._globs:
            return False
        whole = Path(abspath(path))
        below = whole.relative_to(self._base).parts if whole.is_relative_to(self._base) else ()
        return any(
            _fits(whole.parts if absolute else below, ("**", *glob) if len(glob) == 1 else glob)
            for absolute, glob in self._globs
        )


def _fits(names: Parts, glob: Parts) -> bool:
    """Whether a glob matches the names, or the first of them."""
    if not glob:
        return True
    if glob[0] == "**":
        return any(_fits(names[at:], glob[1:]) for at in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], glob[0]) and _fits(names[1:], glob[1:])
