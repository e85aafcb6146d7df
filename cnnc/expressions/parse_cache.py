"""A cache of parsed expressions, so that each string is parsed once, however often a line of a block is evaluated.

Takes a string; returns its parts, or raises the `Fault` of a malformed one. The cache is limited by the total number of
characters. The strings of one spec fit, because a file has no more bytes than this, so none of them is parsed twice.
"""

from collections.abc import Iterator

from cnnc.expressions.grammar import Expression, parse
from cnnc.expressions.operations import Fault

MAX_KEPT = 1 << 20  # characters

Parts = tuple[str | Expression, ...]


class Texts:
    """The parsed strings, by their text."""

    def __init__(self) -> None:
        self._known: dict[str, Parts | Fault] = {}
        self._kept = 0

    def parsed(self, text: str) -> Parts:
        """The literal text and expressions of a string; raises Fault if it is malformed."""
        found = self._known.get(text)
        if found is None:
            found = self._keep(text)
        if isinstance(found, Fault):
            raise found.with_traceback(None)
        return found

    def expressions(self, text: str) -> Iterator[Expression]:
        """The expressions of a string; none of a malformed one, which is reported when it is evaluated."""
        try:
            return (part for part in self.parsed(text) if isinstance(part, Expression))
        except Fault:
            return iter(())

    def _keep(self, text: str) -> Parts | Fault:
        self._kept += len(text)
        if self._kept > MAX_KEPT:
            self._known, self._kept = {}, len(text)
        try:
            found: Parts | Fault = parse(text)
        except Fault as fault:
            found = fault
        self._known[text] = found
        return found


TEXTS = Texts()
