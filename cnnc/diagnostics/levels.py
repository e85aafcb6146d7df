"""The level of each warning, set by a call, a command line or a project: allowed, shown, or denied (an error).

Takes the codes of warnings to allow and to deny, or `warnings` to deny all, and returns `Levels`. Warnings that the
spec itself allows have been removed before: `deny` applies to the rest.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cnnc.diagnostics import Code

ALL = "warnings"
WARNINGS = tuple(code.value for code in Code if code.severity == "warning")


class Levels(NamedTuple):
    """The codes of warnings that are allowed (not shown) and denied (errors)."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    @classmethod
    def of(cls, allow: Iterable[str], deny: Iterable[str]) -> "Levels":
        """Make levels from codes; raises ValueError for a code that is not a warning's or is in both lists."""
        levels = cls(*(frozenset([each] if isinstance(each, str) else each) for each in (allow, deny)))
        for word in sorted(levels.allow | levels.deny - {ALL}):
            if reason := objection(word):
                raise ValueError(reason)
        for word in sorted(levels.allow & levels.deny):
            raise ValueError(f"{word} is both allowed and denied")
        return levels

    def over(self, other: "Levels") -> "Levels":
        """Merge with `other`; these levels take precedence."""
        return Levels(self.allow | other.allow - self.deny, self.deny | other.deny - self.allow)

    def allows(self, code: Code) -> bool:
        """Whether a warning is silenced."""
        return code in self.allow

    def denies(self, code: Code) -> bool:
        """Whether a warning is an error: denied by its code, or by `warnings` and not allowed."""
        return code in self.deny or (ALL in self.deny and code not in self.allow)


def objection(word: str) -> str | None:
    """Why a word is not the code of a warning; None if it is one."""
    if word in WARNINGS:
        return None
    if word in {code.value for code in Code}:
        return f"{word} is an error, and errors can be neither allowed nor denied"
    return f"there is no warning {word}; the warnings are {', '.join(WARNINGS)}"
