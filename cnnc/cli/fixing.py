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
ROUNDS = 20  # a fix may show another error: attributes are checked only once their op is known


class FixedFile(NamedTuple):
    """A file as it was read, its new text, and the number of fixes."""

    old: Source
    text: str
    fixes: int


def fix(checks: Mapping[str, Check], *, only_show: bool) -> tuple[ReadSpec, int]:
    """Write the fixed files, or print the changes; return how to read the result, and 1 if files are still to change.

    Raises E405 if a file cannot be written.
    """
    files = fixed_files(checks)
    for file in files.values():
        if only_show:
            print_diff(file.old.name, file.old.text, file.text)
        else:
            rewrite_file(Path(file.old.name), file.text.encode())
            print(f"fixed {visible(file.old.name)}: {counted(file.fixes, 'change')}", file=sys.stderr)
    return partial(_read_fixed, files), int(only_show and bool(files))


def fixed_files(checks: Mapping[str, Check]) -> dict[str, FixedFile]:
    """Return the files that change, by their real paths."""
    files: dict[str, FixedFile] = {}
    mine = {realpath(path) for path in checks}
    wrong = list(checks)
    for _ in range(ROUNDS):
        before = dict(files)
        for path in list(wrong):
            found: tuple[Diagnostic, ...] = ()
            with suppress(Exception):  # the check of the result reports an internal error
                found = checks[path](partial(_read_fixed, files)).diagnostics
            if any(each.code == Code.UNKNOWN_PARAM for each in found):  # a wrong call changes nothing
                return {}
            if not any(each.severity == "error" for each in found):
                wrong.remove(path)
            for source, fixes in _certain(found).items():
                real = realpath(source.name)
                text, count = apply(source, fixes) if real in mine else ("", 0)
                if count:
                    old = files.get(real, FixedFile(source, "", 0))
                    files[real] = FixedFile(old.old, text, old.fixes + count)
        if files == before:
            break
    return files


def _read_fixed(files: Mapping[str, FixedFile], path: str | Path) -> Source:
    file = files.get(realpath(path))
    return read(path) if file is None else Source(str(path), file.text)


def _certain(found: Iterable[Diagnostic]) -> dict[Source, list[Fix]]:
    """Return the certain fixes of errors by their sources; a warning alone changes no network."""
    fixes: dict[Source, list[Fix]] = {}
    for each in found:
        if each.severity == "error" and each.fix is not None and each.fix.certain:
            fixes.setdefault(each.fix.source, []).append(each.fix)
    return fixes
