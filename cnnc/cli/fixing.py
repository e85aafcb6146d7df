"""`cnnc check --fix` and `--diff`: apply the certain fixes of errors, in rounds, until none is left.

Takes the check of each spec by its path. Only the files that are checked change, not other files that they use.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnnc.cli.fmt import print_diff
from cnnc.diagnostics import Code, Diagnostic, Fix, Source, counted
from cnnc.diagnostics.render import visible
from cnnc.files.write import rewrite_file
from cnnc.formatting.edits import apply
from cnnc.text.source import ReadSpec, read

if TYPE_CHECKING:
    from cnnc.compiler import Checked

Check = Callable[[ReadSpec], "Checked"]
MOST_KNOWN = 1000  # results that are kept for the report: a large network takes 1 MB
ROUNDS = 20  # a fix may show another error: attributes are checked only once their op is known


class FixedFile(NamedTuple):
    """A file as it was read, its new text, and the number of fixes."""

    old: Source
    text: str
    fixes: int


class KnownResult(NamedTuple):
    """The result of a check, and the files that it read in the version of their fixes; None for those on the disk."""

    checked: "Checked"
    read: Mapping[str, FixedFile | None]


def fix(checks: Mapping[str, Check], *, only_show: bool) -> tuple[dict[str, Check], int]:
    """Write the fixed files, or print the changes; return the checks of the result, and 1 if files are still to change.

    Raises E405 if a file cannot be written.
    """
    fixes = Fixes(checks)
    files = fixes.find()
    for file in files.values():
        if only_show:
            print_diff(file.old.name, file.old.text, file.text)
        else:
            rewrite_file(Path(file.old.name), file.text.encode())
            print(f"fixed {visible(file.old.name)}: {counted(file.fixes, 'change')}", file=sys.stderr)
    return {path: partial(fixes.checked, path) for path in checks}, int(only_show and bool(files))


class Fixes:
    """The fixes of some specs. A spec is checked again only if a file that it read has changed since."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._files: dict[str, FixedFile] = {}  # by their real paths
        self._known: dict[str, KnownResult] = {}

    def checked(self, path: str, _: ReadSpec = read) -> "Checked":
        """Return the result of the check of a spec and the files that it uses, as they are with their fixes."""
        known = self._known.get(path)
        if known is None or any(self._files.get(real) is not file for real, file in known.read.items()):
            files: dict[str, FixedFile | None] = {}
            known = KnownResult(self._checks[path](partial(self._read, files)), files)
            if len(self._known) < MOST_KNOWN:
                self._known[path] = known
        return known.checked

    def _read(self, noted: dict[str, FixedFile | None], path: str | Path) -> Source:
        real = realpath(path)
        file = noted[real] = self._files.get(real)
        return read(path) if file is None else Source(str(path), file.text)

    def find(self) -> dict[str, FixedFile]:
        """Return the files that change, by their real paths."""
        mine = {realpath(path) for path in self._checks}
        wrong = list(self._checks)
        for _ in range(ROUNDS):
            before = dict(self._files)
            for path in list(wrong):
                found: tuple[Diagnostic, ...] = ()
                with suppress(Exception):  # the check of the result reports an internal error
                    found = self.checked(path).diagnostics
                if any(each.code == Code.UNKNOWN_PARAM for each in found):  # a wrong call changes nothing
                    self._files.clear()
                    return {}
                if not any(each.severity == "error" for each in found):
                    wrong.remove(path)
                for source, fixes in _certain(found).items():
                    if realpath(source.name) in mine:
                        self._apply(source, fixes)
            if self._files == before:
                break
        return self._files

    def _apply(self, source: Source, fixes: list[Fix]) -> None:
        text, count = apply(source, fixes)
        if count:
            real = realpath(source.name)
            old = self._files.get(real, FixedFile(source, "", 0))
            self._files[real] = FixedFile(old.old, text, old.fixes + count)


def _certain(found: Iterable[Diagnostic]) -> dict[Source, list[Fix]]:
    """Return the certain fixes of errors by their sources; a warning alone changes no network."""
    fixes: dict[Source, list[Fix]] = {}
    for each in found:
        if each.severity == "error" and each.fix is not None and each.fix.certain:
            fixes.setdefault(each.fix.source, []).append(each.fix)
    return fixes
