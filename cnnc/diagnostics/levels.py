"""Which warnings are told, which are not, and which are errors: what a call, a command line or a project says of them.

In: codes of warnings to allow, and codes to deny, or `warnings` for all. Out: `Levels`. What a spec itself allows has
been taken out before: `deny` speaks of what is left.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cnnc.diagnostics import Code

ALL = "warnings"
WARNINGS = tuple(code.value for code in Code if code.severity == "warning")


class Levels(NamedTuple):
    """The codes that are allowed, which are not told, and those that are denied, which are errors."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    @classmethod
    def of(cls, allow: Iterable[str], deny: Iterable[str]) -> "Levels":
        """The levels that a caller names; raises ValueError for what is no code of a warning, or is in both."""
        levels = cls(*(frozenset([each] if isinstance(each, str) else each) for each in (allow, deny)))
        for word in sorted(levels.allow | levels.deny - {ALL}):
            if reason := objection(word):
                raise ValueError(reason)
        for word in sorted(levels.allow & levels.deny):
            raise ValueError(f"{word} is both allowed and denied")
        return levels

    def over(self, other: "Levels") -> "Levels":
        """These, and those of `other` as far as these do not name their codes."""
        return Levels(self.allow | other.allow - self.deny, self.deny | other.deny - self.allow)

    def allows(self, code: Code) -> bool:
        """Whether a warning need not be told."""
        return code in self.allow

    def denies(self, code: Code) -> bool:
        """Whether a warning is an error: one that is denied by name, or as all are and not allowed."""
        return code in self.deny or (ALL in self.deny and code not in self.allow)


def objection(word: str) -> str | None:
    """Why a word is no code of a warning; None where it is one."""
    if word in WARNINGS:
        return None
    if word in {code.value for code in Code}:
        return f"{word} is an error, and errors can be neither allowed nor denied"
    return f"there is no warning {word}; the warnings are {', '.join(WARNINGS)}"
