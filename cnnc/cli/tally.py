"""What a check of many files ends with: which it passed over, and a line of counts.

In: what each check found. Out: the lines for standard output and standard error. JSON stays one object a spec.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnc.cli.renderers import Shown
from cnnc.diagnostics import counted
from cnnc.diagnostics.render import visible
from cnnc.text.find_specs import KEYS

if TYPE_CHECKING:
    from cnnc.compiler import Checked

MOST = 20  # names of files that are passed over


class Tally:
    """Counts specs, and diagnostics: one that several specs share, of a file that they use, is one."""

    def __init__(self) -> None:
        self.fine = self.wrong = self.failed = 0
        self._told: dict[str, set[str]] = {"error": set(), "warning": set()}

    def add(self, checked: "Checked") -> None:
        """Count what a check has found."""
        self.fine += checked.ok
        self.wrong += not checked.ok
        for each in checked.diagnostics:
            self._told[each.severity].add(str(each))

    def closing(self, format: str, passed_over: Sequence[str]) -> Shown:
        """The last lines of a run."""
        specs = self.fine + self.wrong + self.failed
        left = [_passed_over(passed_over)] if passed_over else []
        counts = [f"{counted(specs, 'spec')}: {self._specs()}; {self._diagnostics()}"]
        if specs == 1 or format == "json":
            counts = []
        if format == "github":
            return Shown([*left, *counts], [])
        return Shown(counts, left) if self.fine == specs else Shown([], [*left, *counts])

    def _specs(self) -> str:
        parts = [(self.fine, "fine"), (self.wrong, "wrong"), (self.failed, "not checked, for cnnc itself failed")]
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)

    def _diagnostics(self) -> str:
        return ", ".join(counted(len(told), severity) for severity, told in self._told.items())


def _passed_over(files: Sequence[str]) -> str:
    named = ", ".join(map(visible, files[:MOST]))
    more = f" and {len(files) - MOST:,} more" if len(files) > MOST else ""
    return f"passed over, with no `{'`, `'.join(KEYS[:-1])}` or `{KEYS[-1]}` at the top: {named}{more}"
