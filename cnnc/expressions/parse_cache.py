"""The texts of a spec with expressions in them, each parsed once, however often a block's line is read again.

In: a string. Out: its parts, or the `Fault` of what is no expression. What is kept is bounded by the characters of all
texts together, of which one spec has no more than a file has bytes: so no spec makes any of its texts be parsed twice.
"""

from collections.abc import Iterator

from cnnc.expressions.grammar import Expression, parse
from cnnc.expressions.operations import Fault

MAX_KEPT = 1 << 20  # characters

Parts = tuple[str | Expression, ...]


class Texts:
    """What has been parsed, by its text."""

    def __init__(self) -> None:
        self._known: dict[str, Parts | Fault] = {}
        self._kept = 0

    def parsed(self, text: str) -> Parts:
        """Literal text and expressions in turn; raises Fault where it holds what is no expression."""
        found = self._known.get(text)
        if found is None:
            found = self._keep(text)
        if isinstance(found, Fault):
            raise found.with_traceback(None)
        return found

    def expressions(self, text: str) -> Iterator[Expression]:
        """The expressions of a text; none of a malformed one, which is reported when it is evaluated."""
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
