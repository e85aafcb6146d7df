"""What a check has found so far: each fault once, errors and warnings apart, and no more than a reader wants.

A block's line that is wrong is wrong in all its instances. Paths differ there, and so may numbers; but where shapes or
the names in the scope differ, what mends one may not mend the other. Of a warning, one a line is enough, and none where
the spec allows it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from cnnc.diagnostics import Allow, Code, Diagnostic, Note, Source
from cnnc.diagnostics.levels import Levels

MOST = 100  # different errors, and different warnings
MOST_TOLD = 20 * MOST  # errors in all: each instance of a block may tell the same one


class Enough(Exception):
    """There are so many errors that the rest is not worth this machine's time."""


class Collector:
    """Collects the diagnostics of one spec. `allow` is what the spec allows all over, `levels` what others say."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.found: dict[object, Diagnostic] = {}
        self.warnings: dict[object, Diagnostic] = {}
        self.allow: tuple[Allow, ...] = ()
        self.told = 0
        self._used: set[Allow] = set()

    def warn(self, warning: Diagnostic, allow: Iterable[Allow] = ()) -> None:
        """Keep a warning that is news and not allowed; `allow` is what stands around its place, innermost first."""
        if silencer := next((each for each in (*allow, *self.allow) if each.code == warning.code), None):
            self._used.add(silencer)
        elif len(self.warnings) < MOST and not self.levels.allows(warning.code):
            self.warnings.setdefault((warning.code, warning.span), self._judged(warning))

    def _judged(self, warning: Diagnostic) -> Diagnostic:
        if not self.levels.denies(warning.code):
            return warning
        return replace(
            warning, denied=True, notes=(*warning.notes, Note("this is a warning that `deny` turns into an error"))
        )

    def warn_of_unused(self, allows: Iterable[tuple[Allow, ...]], source: Source) -> None:
        """Warn of each `allow` in the text `source` that has silenced nothing. `allows` holds those around each node.

        What another file allows is none of this spec's business: it may silence a warning in another spec.
        """
        chains = {id(chain): chain for chain in (*allows, self.allow)}.values()  # most nodes share theirs
        for each in dict.fromkeys(each for chain in chains for each in chain):
            if each not in self._used and each.span.source is source:
                message = f"`allow: {each.code}` silences no warning"
                way_out = "remove it: there is no such warning here, or an inner `allow` already silences it"
                self.warn(Diagnostic(Code.UNUSED_ALLOW, message, each.span, help=way_out))

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic that is news; raises Enough where there are too many errors."""
        if diagnostic.code.severity == "warning":
            self.warn(diagnostic)
            return
        self.found.setdefault((diagnostic.code, diagnostic.span, _gist(diagnostic)), diagnostic)
        self.told += 1
        if len(self.found) == MOST:
            rest = f"more than {MOST} problems: the rest was not checked"
            self.found[rest] = Diagnostic(diagnostic.code, rest, diagnostic.span)
        if len(self.found) > MOST or self.told > MOST_TOLD:
            raise Enough

    def add_all(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep the diagnostics of a stage that could not go on; it has bounds of its own."""
        self.found |= {each: each for each in diagnostics}

    def explain(self, explained: Callable[[list[Diagnostic]], list[Diagnostic]]) -> None:
        """Put in the place of the faults found the same ones, better explained."""
        self.found = dict(zip(self.found, explained(list(self.found.values())), strict=True))

    def in_order(self, path: str) -> tuple[Diagnostic, ...]:
        """By place, as a reader goes through the file at `path`; first what has none, last what is in other files."""

        def place(each: Diagnostic) -> tuple[bool, str, int, int]:
            if each.span is None:
                return False, "", 0, 0
            return each.span.source.name != path, each.span.source.name, each.span.line, each.span.column

        found = [replace(each, origin=None) if each.origin else each for each in self.found.values()]
        return tuple(sorted([*found, *self.warnings.values()], key=place))


def _gist(diagnostic: Diagnostic) -> str:
    """The message without what differs from instance to instance."""
    if not diagnostic.code.value.startswith("E3"):
        return re.sub(r"-?\d[\d.,]*", "…", diagnostic.message)
    return re.sub(r"`[^`]*`", _local, diagnostic.message)


def _local(path: re.Match[str]) -> str:
    """A path's name in its own scope, and without what counts."""
    names = [re.sub(r"\d+", "…", name) for name in path[0].strip("`").split(".")]
    return next((name for name in reversed(names) if name != "…"), "…")
