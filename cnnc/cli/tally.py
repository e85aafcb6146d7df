"""The end of a check of several files: the files that it skipped, and the counts of specs and diagnostics, or a report.

Takes the result of each check and returns the lines for standard output and standard error. The JSON format has no such
lines: it stays one object per spec.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnc.cli.renderers import REPORTS, Shown
from cnnc.diagnostics import Diagnostic, counted
from cnnc.diagnostics.render import visible
from cnnc.text.find_specs import KEYS

if TYPE_CHECKING:
    from cnnc.compiler import Checked

MOST = 20  # names of skipped files in the line


class Tally:
    """Counts specs and diagnostics; a diagnostic of a file that several specs use counts once."""

    def __init__(self) -> None:
        self.fine = self.wrong = self.failed = 0
        self._diagnostics: dict[str, set[str]] = {"error": set(), "warning": set()}
        self._results: list[tuple[str, Sequence[Diagnostic], str | None]] = []  # as in a report

    def add(self, checked: "Checked") -> None:
        """Count the result of a check."""
        self.fine += checked.ok
        self.wrong += not checked.ok
        self._results.append((checked.path, checked.diagnostics, None))
        for each in checked.diagnostics:
            self._diagnostics[each.severity].add(str(each))

    def fail(self, path: str, error: Exception) -> None:
        """Count a spec on which cnnc itself failed."""
        self.failed += 1
        self._results.append((path, (), f"{type(error).__name__}: {error}"))

    def closing(self, format: str, passed_over: Sequence[str]) -> Shown:
        """Return the last lines of a run."""
        specs = self.fine + self.wrong + self.failed
        skipped = [skipped_line(passed_over)] if passed_over else []
        if format in REPORTS:
            from cnnc.cli import reports

            return Shown([reports.REPORTS[format]([reports.SpecFindings(*each) for each in self._results])], skipped)
        counts = [f"{counted(specs, 'spec')}: {self._count_specs()}; {self._count_diagnostics()}"]
        if specs == 1 or format == "json":
            counts = []
        if format == "github":
            return Shown([*skipped, *counts], [])
        return Shown(counts, skipped) if self.fine == specs else Shown([], [*skipped, *counts])

    def _count_specs(self) -> str:
        parts = [(self.fine, "fine"), (self.wrong, "wrong"), (self.failed, "not checked because cnnc itself failed")]
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)

    def _count_diagnostics(self) -> str:
        return ", ".join(counted(len(found), severity) for severity, found in self._diagnostics.items())


def skipped_line(files: Sequence[str]) -> str:
    """Return the line that names the files in folders that are not specs."""
    named = ", ".join(map(visible, files[:MOST]))
    more = f" and {len(files) - MOST:,} more" if len(files) > MOST else ""
    return f"skipped, without a top-level `{'`, `'.join(KEYS[:-1])}` or `{KEYS[-1]}`: {named}{more}"
