"""Collects the diagnostics of a check: without duplicates, errors and warnings apart, up to a limit.

An error in a line of a block occurs in all its instances. Messages that differ only in paths and numbers are
duplicates; but if shapes or the names in scope differ, the corrections may differ too. Warnings are kept once a line,
and not at all if the spec allows them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from cnnc.diagnostics import Allow, Code, Diagnostic, Note, Source
from cnnc.diagnostics.json_help import in_braces, in_json
from cnnc.diagnostics.levels import Levels

MOST = 100  # different errors, and different warnings
MOST_REPORTED = 20 * MOST  # errors in total, with duplicates: each instance of a block may report the same one


class Enough(Exception):
    """The limit of errors is reached; the rest is not checked."""


class Collector:
    """Collects the diagnostics of one spec.

    `allow` holds the warnings that the spec allows everywhere, `levels` those from the command line and the project.
    """

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.found: dict[object, Diagnostic] = {}
        self.warnings: dict[object, Diagnostic] = {}
        self.allow: tuple[Allow, ...] = ()
        self.reported = 0
        self._used: set[Allow] = set()

    def warn(self, warning: Diagnostic, allow: Iterable[Allow] = ()) -> None:
        """Keep a new warning that is not allowed; `allow` holds the `allow`s around its place, innermost first."""
        if silencer := next((each for each in (*allow, *self.allow) if each.code == warning.code), None):
            self._used.add(silencer)
        elif len(self.warnings) < MOST and not self.levels.allows(warning.code):
            self.warnings.setdefault((warning.code, warning.span), self._with_level(warning))

    def _with_level(self, warning: Diagnostic) -> Diagnostic:
        if not self.levels.denies(warning.code):
            return warning
        return replace(
            warning, denied=True, notes=(*warning.notes, Note("this is a warning that `deny` turns into an error"))
        )

    def warn_of_unused(self, allows: Iterable[tuple[Allow, ...]], source: Source) -> None:
        """Warn of each `allow` in `source` that has silenced no warning. `allows` holds those around each node.

        The `allow`s of other files are not checked: they may silence warnings in other specs.
        """
        chains = {id(chain): chain for chain in (*allows, self.allow)}.values()  # most nodes share theirs
        for each in dict.fromkeys(each for chain in chains for each in chain):
            if each not in self._used and each.span.source is source:
                message = f"`allow: {each.code}` silences no warning"
                way_out = "remove it: there is no such warning here, or an inner `allow` already silences it"
                self.warn(Diagnostic(Code.UNUSED_ALLOW, message, each.span, help=way_out))

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a new diagnostic; raises Enough if there are too many errors."""
        if diagnostic.code.severity == "warning":
            self.warn(diagnostic, diagnostic.allows)
            return
        self.found.setdefault((diagnostic.code, diagnostic.span, _gist(diagnostic)), diagnostic)
        self.reported += 1
        if len(self.found) == MOST:
            rest = f"more than {MOST} problems: the rest was not checked"
            self.found[rest] = Diagnostic(diagnostic.code, rest, diagnostic.span)
        if len(self.found) > MOST or self.reported > MOST_REPORTED:
            raise Enough

    def add_all(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep the diagnostics of a stage that could not continue; the stage limits their number."""
        self.found |= {each: each for each in diagnostics}

    def explain(self, explained: Callable[[list[Diagnostic]], list[Diagnostic]]) -> None:
        """Replace the errors found by the same errors with explanations."""
        self.found = dict(zip(self.found, explained(list(self.found.values())), strict=True))

    def in_order(self, path: str) -> tuple[Diagnostic, ...]:
        """The diagnostics, sorted by place: first those without a place, then the file `path`, then other files."""

        def place(each: Diagnostic) -> tuple[bool, str, int, int]:
            if each.span is None:
                return False, "", 0, 0
            return each.span.source.name != path, each.span.source.name, each.span.line, each.span.column

        return tuple(sorted(map(_shown, [*self.found.values(), *self.warnings.values()]), key=place))


def _shown(diagnostic: Diagnostic) -> Diagnostic:
    """The diagnostic in the syntax of its file, without its origin."""
    if diagnostic.help and diagnostic.span and in_braces(diagnostic.span.source):
        choices = tuple(each._replace(help=each.help and in_json(each.help)) for each in diagnostic.choices)
        diagnostic = replace(diagnostic, help=in_json(diagnostic.help), choices=choices)
    return replace(diagnostic, origin=None) if diagnostic.origin else diagnostic


def _gist(diagnostic: Diagnostic) -> str:
    """The message without the parts that differ between instances."""
    if not diagnostic.code.value.startswith("E3"):
        return re.sub(r"-?\d[\d.,]*", "…", diagnostic.message)
    return re.sub(r"`[^`]*`", _local, diagnostic.message)


def _local(path: re.Match[str]) -> str:
    """The name of a path in its own scope, without numbers."""
    names = [re.sub(r"\d+", "…", name) for name in path[0].strip("`").split(".")]
    return next((name for name in reversed(names) if name != "…"), "…")
