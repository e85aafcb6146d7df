"""Globs that leave files out: `drafts`, `*.draft.yaml`, `specs/old/**`.

A glob without a slash is held against every name in a file's path below the globs' base, one with a slash against that
path, or, where it begins with one, against the whole path. A glob that means a folder means all in it.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from os.path import abspath
from pathlib import Path

Parts = tuple[str, ...]


class Globs:
    """Globs that are written in the folder `base`."""

    def __init__(self, globs: Iterable[str], base: str) -> None:
        self._base = Path(abspath(base))
        self._globs = [(path.is_absolute(), path.parts) for path in map(Path, globs) if path.parts]

    def match(self, path: str) -> bool:
        """Whether a file, or a folder that it is in, is meant by one of them."""
        if not self._globs:
            return False
        whole = Path(abspath(path))
        below = whole.relative_to(self._base).parts if whole.is_relative_to(self._base) else ()
        return any(
            _fits(whole.parts if absolute else below, ("**", *glob) if len(glob) == 1 else glob)
            for absolute, glob in self._globs
        )


def _fits(names: Parts, glob: Parts) -> bool:
    """Whether a glob means the names, or the first of them."""
    if not glob:
        return True
    if glob[0] == "**":
        return any(_fits(names[at:], glob[1:]) for at in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], glob[0]) and _fits(names[1:], glob[1:])
