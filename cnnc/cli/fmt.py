"""`cnnc fmt`: format specs in place, or show what would change."""

import sys
from argparse import Namespace
from collections import Counter
from io import StringIO
from pathlib import Path

from cnnc.cli.options import add_exclude
from cnnc.cli.parser import Parser, WrongCall
from cnnc.diagnostics import CnncError, counted
from cnnc.diagnostics.render import show, visible


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc fmt`."""
    parser.argument("specs", "Specs, folders or globs; - reads standard input and prints the result.", several=True)
    parser.flag("--check", help="Write nothing; list the files that would change, and exit with 1 if there are any.")
    parser.flag("--diff", help="Write nothing; print what would change as a unified diff.")
    add_exclude(parser)


def run(given: Namespace) -> int:
    """Format specs, and return the exit code."""
    from cnnc.cli.selection import select

    found = select(given.specs, given.exclude or ())
    if "-" in found.specs and len(found.specs) > 1:
        raise WrongCall("standard input (-) cannot be formatted together with files")
    code, counts = 0, Counter[str]()
    for path in found.specs:
        try:
            changes = _format(path, given)
        except CnncError as error:
            show(error.diagnostics)
            counts["wrong"] += 1
            code = max(code, 1)
        except OSError:  # the output cannot be written
            raise
        except Exception as error:  # an internal error: continue with the other specs
            from cnnc.cli.internal import EXIT_CODE, report_internal

            report_internal(error, path)
            counts["not formatted because cnnc itself failed"] += 1
            code = EXIT_CODE
        else:
            counts[_outcome(changes, given)] += 1
            code = max(code, 1 if changes and given.check else 0)
    _print_counts(counts, found.passed_over)
    return code


def _outcome(changes: bool, given: Namespace) -> str:
    if not changes:
        return "unchanged"
    return "would change" if given.check or given.diff else "formatted"


def _format(path: str, given: Namespace) -> bool:
    """Format one spec, or show what would change; return whether anything does."""
    from cnnc.files.write import rewrite_file
    from cnnc.formatting import format_source
    from cnnc.text.source import read

    source = read(path)
    text = format_source(source)
    changes = text != source.text
    if given.diff and changes:
        print_diff(source.name, source.text, text)
    if given.check and changes:
        print(f"would format {visible(source.name)}")
    if not given.check and not given.diff:
        if path == "-":
            _print_text(text)
        elif changes:
            rewrite_file(Path(path), text.encode())
            print(f"formatted {visible(path)}")
    return changes


def print_diff(name: str, old: str, new: str) -> None:
    """Print the changes of a file as a unified diff."""
    from difflib import unified_diff

    for line in unified_diff(_lines(old), _lines(new), visible(name), visible(name)):
        print(line, end="" if line.endswith("\n") else "\n\\ No newline at end of file\n")


def _lines(text: str) -> list[str]:
    """Return the lines of a text with their ends, as `diff` and `patch` split it: at newlines alone."""
    return list(StringIO(text, newline="\n"))


def _print_text(text: str) -> None:
    """Print a text as UTF-8 with its own line ends, whatever the terminal's encoding is."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        buffer.write(text.encode())
        buffer.flush()


def _print_counts(counts: Counter[str], passed_over: tuple[str, ...]) -> None:
    """Print the files of folders that were skipped, and the counts of several specs, to standard error."""
    from cnnc.cli.tally import skipped_line

    if passed_over:
        print(skipped_line(passed_over), file=sys.stderr)
    if counts.total() > 1:
        words = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        print(f"{counted(counts.total(), 'spec')}: {words}", file=sys.stderr)
