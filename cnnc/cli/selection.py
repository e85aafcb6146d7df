"""Selects the specs that `cnnc check` and `cnnc fmt` work on: the files, folders and globs of the command line.

Takes these and the globs of `--exclude`. The `exclude` of a project applies only to files found in folders.
"""

from collections.abc import Sequence

from cnnc.cli.parser import WrongCall
from cnnc.diagnostics import CnncError, Code
from cnnc.project.settings import project_of
from cnnc.text.find_specs import FoundSpecs, find_specs
from cnnc.text.globs import Globs


def select(specs: Sequence[str], exclude: Sequence[str]) -> FoundSpecs:
    """Return the specs that a command line names; raises WrongCall if `--exclude` leaves none.

    A project's `exclude` applies only to files found in folders.
    """
    globs = Globs(exclude, ".")
    found = find_specs(specs, lambda path: globs.match(path) or project_of(path).leaves_out(path))
    kept = tuple(path for path in found.specs if path == "-" or not globs.match(path))
    if not kept and found.emptied:
        raise _emptied(", ".join(found.emptied), by_call=bool(exclude))
    if not kept:
        raise WrongCall(f"--exclude: all specs match {', '.join(exclude)}, none is left")
    return FoundSpecs(kept, found.passed_over)


def _emptied(folders: str, by_call: bool) -> Exception:
    """Return the error for folders whose specs are all left out."""
    if by_call:
        return WrongCall(f"--exclude leaves out all specs in {folders}")
    message = f"`exclude` of `[tool.cnnc]` leaves out all specs in {folders}"
    return CnncError.of(Code.UNREADABLE, message, help="name a spec file, which `exclude` does not leave out")
