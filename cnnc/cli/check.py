"""`cnnc check`: print a table with a row for each node, or every mistake with its place."""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import add_exclude, add_set, parameters
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.cli.renderers import ORDERS, RENDERERS, REPORTS, Shown, failure_lines
from cnnc.cli.tally import Tally
from cnnc.diagnostics import CnncError, Code, Diagnostic

if TYPE_CHECKING:
    from cnnc.cli.snapshots import Snapshots
    from cnnc.compiler import Checked
    from cnnc.diagnostics.levels import Levels
    from cnnc.text.source import ReadSpec

    Check = Callable[[ReadSpec], Checked]


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc check`."""
    parser.argument("specs", "Specs, folders or globs; - reads standard input.", several=True)
    add_set(parser)
    parser.option("--depth", type=Number(least=1), help="Fold blocks below this many levels into one row each.")
    parser.flag("--wide", help="Show memory and receptive field of every node, and the memory of training.")
    parser.option("--sort", type=OneOf(ORDERS), help="Sort the rows by this column, largest first.")
    parser.option("--batch", type=Number(least=1, most=2**20), help="Batch size for memory.")
    formats = "A table, one JSON line per spec, GitHub annotations, or one SARIF, JUnit or GitLab report of all specs."
    parser.option("--format", type=OneOf((*RENDERERS, *REPORTS)), default="text", help=formats)
    parser.option("--allow", metavar="CODE", repeat=True, help="Do not report this warning; may be repeated.")
    denied = "Make this warning an error (`warnings`: all warnings); may be repeated."
    parser.option("--deny", metavar="CODE", repeat=True, help=denied)
    parser.flag("--fix", help="Apply the fixes that are certain, and check the result.")
    parser.flag("--diff", help="Write nothing; print what --fix would change as a unified diff.")
    parser.option("--snapshot", metavar="FILE", help="Write shapes, parameters and MACs of all specs to a file.")
    parser.option("--against", metavar="FILE", help="Report what differs from a snapshot, as an error.")
    add_exclude(parser)


def run(given: Namespace) -> int:
    """Prove specs without running them, and return the exit code."""
    from cnnc.cli.selection import select
    from cnnc.text import source

    paths, passed_over, _ = select(given.specs, given.exclude or ())
    _require_fixable(given, paths)
    checks = _checks(given, paths)
    snapshots = _snapshots(given, paths)
    code = 0
    if given.fix or given.diff:
        from cnnc.cli.fixing import fix

        checks, code = fix(checks, only_show=given.diff)
    if snapshots:
        checks = {path: snapshots.compared(check) for path, check in checks.items()} | snapshots.vanished()
    tally = Tally()
    code = max(code, _report(given, checks, source.read, tally))
    _print(tally.closing(given.format, passed_over), given.diff)
    if snapshots:
        snapshots.write()
    return code


def _checks(given: Namespace, paths: Sequence[str]) -> "dict[str, Check]":
    """Return the check of each spec with its parameters and the levels of its warnings."""
    from cnnc.compiler import check_with
    from cnnc.project.settings import project_of

    set, from_options = parameters(given.set), _levels(given.allow, given.deny)
    if set and len(paths) > 1 and "-" in paths:
        raise WrongCall("--set cannot be used if standard input is one of several specs")  # it would be read twice
    levels = {path: from_options.over(project_of(path).levels) for path in paths}
    return {
        path: partial(check_with, path, set=settings, allow=levels[path].allow, deny=levels[path].deny)
        for path, settings in _settings(paths, set).items()
    }


def _report(given: Namespace, checks: "Mapping[str, Check]", read: "ReadSpec", tally: Tally) -> int:
    """Check and print each spec, and return the exit code."""
    view = {name: getattr(given, name) for name in ("depth", "wide", "sort", "batch")}
    brief = len(checks) > 1 and not any(view.values())
    code = 0
    annotated: dict[str, None] = {}  # a file of blocks is checked by itself and in all specs that use it
    for path, check in checks.items():
        try:
            checked = check(read)
            shown = _show(given.format, checked, **view, brief=brief)
        except (ModuleNotFoundError, CnncError):  # the other specs need that package as well
            raise
        except Exception as error:  # an internal error: continue with the other specs
            from cnnc.cli.internal import EXIT_CODE, report_internal

            report_internal(error, path)
            tally.fail(path, error)
            code, shown = EXIT_CODE, Shown(failure_lines(given.format, path, error), [])
        else:
            _require_params(checked)
            tally.add(checked)
            code = max(code, 0 if checked.ok else 1)
        if given.format == "github":
            shown = Shown([line for line in shown.out if line not in annotated], shown.err)
            annotated |= dict.fromkeys(shown.out)
        _print(shown, given.diff)
    return code


def _require_fixable(given: Namespace, paths: Sequence[str]) -> None:
    """Raise WrongCall if standard input is to be fixed, or a diff is to be printed in another format."""
    if (given.fix or given.diff) and "-" in paths:
        raise WrongCall("--fix and --diff need files: standard input cannot be fixed")
    if given.diff and given.format != "text":
        raise WrongCall(f"--diff prints a unified diff, so it cannot be used with --format {given.format}")


def _snapshots(given: Namespace, paths: Sequence[str]) -> "Snapshots | None":
    if not (given.snapshot or given.against):
        return None
    from cnnc.cli.snapshots import Snapshots

    return Snapshots(given.snapshot, given.against, paths)


def _show(format: str, checked: "Checked", **view: Any) -> Shown:
    return Shown([], []) if format in REPORTS else RENDERERS[format](checked, **view)


def _print(shown: Shown, only_diff: bool) -> None:
    """Print the lines; if standard output is for a diff, only those for standard error."""
    for line in shown.err:
        print(line, file=sys.stderr)
    for line in () if only_diff else shown.out:
        print(line)


def _levels(allow: Sequence[str] | None, deny: Sequence[str] | None) -> "Levels":
    """Return the warning levels of `--allow` and `--deny`; raises WrongCall for a code that is not a warning's."""
    from cnnc.diagnostics.levels import Levels

    try:
        return Levels.of(allow or (), deny or ())
    except ValueError as error:
        raise WrongCall(f"--allow and --deny: {error}") from None


def _settings(paths: Sequence[str], given: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the `--set` values of each spec: those of the parameters that it has.

    Raises CnncError if none of several specs has one of the parameters.
    """
    if not given or len(paths) == 1:
        return dict.fromkeys(paths, given)
    from cnnc.compiler import check
    from cnnc.text.python_data import overrides

    names = {value.span.column: name for name, value in overrides(given).items()}  # all are in one line
    lacking: dict[str, set[str]] = {}
    for path in paths:
        with suppress(Exception):  # the check itself reports an internal error
            found = check(path, set=given).diagnostics
            if not any(each.code.value.startswith("E1") for each in found):  # else its parameters are unknown
                unknown = (each.span for each in found if each.code == Code.UNKNOWN_PARAM)
                lacking[path] = {names[span.column] for span in unknown if span}
    for name in set.intersection(*lacking.values()) if lacking else ():
        raise CnncError([Diagnostic(Code.UNKNOWN_PARAM, f"none of the specs has a parameter `{name}` to set")])
    return {path: {name: value for name, value in given.items() if name not in lacking.get(path, ())} for path in paths}


def _require_params(checked: "Checked") -> None:
    """Raise CnncError if `--set` names a parameter that the spec does not have: `cnnc.cli.app` exits with 2."""
    if unknown := [replace(each, span=None) for each in checked.diagnostics if each.code == Code.UNKNOWN_PARAM]:
        raise CnncError(unknown)
