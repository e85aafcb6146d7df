"""Diagnostics: codes, source spans, and the `Diagnostic`s that every stage reports.

Stages create `Diagnostic`s and never print; `render` formats them as text, JSON or GitHub annotations. A `Span` keeps a
reference to its `Source`, so that a diagnostic can be shown long after the file was read. Codes are grouped by stage:
E1xx text, E2xx spec, E3xx graph and shape, E4xx target, E5xx runtime; a `W` code is a warning.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple


class Code(StrEnum):
    """All diagnostic codes; `cnnc explain CODE` prints the page `cnnc/diagnostics/pages/CODE.md`."""

    UNREADABLE = "E101"
    TOO_LARGE = "E102"
    NOT_TEXT = "E103"
    SYNTAX = "E104"
    DUPLICATE_KEY = "E105"
    NOT_DATA = "E106"
    TOO_DEEP = "E107"
    BAD_NUMBER = "E108"
    NOT_ONE_DOCUMENT = "E109"

    UNKNOWN_KEY = "E201"
    MISSING_KEY = "E202"
    BAD_VALUE = "E203"
    MALFORMED_NODE = "E204"
    UNKNOWN_OP = "E205"
    UNKNOWN_ATTRIBUTE = "E206"
    MISSING_ATTRIBUTE = "E207"
    BAD_ATTRIBUTE = "E208"
    BAD_NAME = "E209"
    DUPLICATE_NAME = "E210"
    BAD_EXPRESSION = "E211"
    FAILED_EXPRESSION = "E212"
    RECURSIVE_BLOCK = "E213"
    BAD_USE = "E214"
    BAD_REPEAT = "E215"
    UNKNOWN_PARAM = "E216"
    TOO_MANY_NODES = "E217"
    LANGUAGE_VERSION = "E218"

    UNEQUAL_SHAPES = "E301"
    WRONG_RANK = "E302"
    WINDOW_MISFIT = "E303"
    INDIVISIBLE = "E304"
    WRONG_ARITY = "E305"
    UNKNOWN_NODE = "E306"
    CYCLE = "E307"
    DEAD_NODE = "E308"
    NO_INPUT_OR_OUTPUT = "E309"
    UNKNOWN_SIZE = "E310"
    TOO_BIG = "E311"
    OVER_BUDGET = "E312"
    IMPOSSIBLE_ATTRIBUTE = "E313"
    PORT = "E314"
    UNSHARABLE = "E315"

    UNEVEN_WINDOWS = "W301"
    LOST_ROWS = "W302"
    CANCELLED_SCALE = "W303"
    CANCELLED_BIAS = "W304"
    DROPOUT_AT_OUTPUT = "W305"
    UNUSED_ALLOW = "W306"
    PIXEL_SCALE = "W307"
    COUNTED_BATCH = "W308"
    OTHER_ROUND = "W309"

    WEIGHTS_MISMATCH = "E401"
    WEIGHTS_UNREADABLE = "E402"
    WEIGHTS_NOT_FINITE = "E403"
    NOT_VERIFIED = "E404"
    NOT_WRITTEN = "E405"
    NOT_EXPORTABLE = "E406"
    WEIGHTS_UNDECIDED = "E407"
    BAD_WEIGHT_MAP = "E408"
    ACCURACY_LOST = "E409"
    NOT_REDUCIBLE = "E410"
    NOT_IMPORTABLE = "E411"
    SNAPSHOT_DIFFERS = "E412"
    BAD_SNAPSHOT = "E413"

    MODEL_UNREADABLE = "E501"
    MODEL_UNSUITED = "E502"
    PICTURE_UNREADABLE = "E503"
    PICTURE_TOO_LARGE = "E504"
    PICTURE_MISFIT = "E505"
    NO_PROVIDER = "E506"
    MODEL_FAILED = "E507"
    DATA_UNREADABLE = "E508"
    DOWNLOAD_FAILED = "E509"
    DATA_MISFIT = "E510"
    NOT_FINITE = "E511"
    CANNOT_RESUME = "E512"
    MISSING_EXTRA = "E513"
    NO_DEVICE = "E514"
    RANK_DIED = "E515"
    NOT_COMPILED = "E516"
    WEIGHTS_UNSELECTED = "E517"
    RUN_UNREADABLE = "E518"
    OUT_OF_MEMORY = "E519"

    @property
    def severity(self) -> str:
        """`error` or `warning`, from the letter of the code."""
        return "error" if self.value.startswith("E") else "warning"

    @property
    def page(self) -> str:
        """The Markdown page that `cnnc explain` prints: the meaning of the code, an example, and how to correct it."""
        from importlib.resources import files  # slow to import; a check does not need it

        return files("cnnc.diagnostics").joinpath("pages", f"{self.value}.md").read_text(encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Source:
    """A text, and its name in messages (a path, `<stdin>` or `<dict>`)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def line(self, number: int) -> str:
        """Line `number`, counted from 1; empty if the text has no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def path_at(self, line: int, column: int) -> str | None:
        """The path of the value at a position, for data given as a dict (`nodes[2].conv.out`); None for a text."""
        return None


class Span(NamedTuple):
    """A range of a source; lines and columns count from 1, and `end_column` is one past the last character."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def path(self) -> str | None:
        """The path in data given as a dict, which has no lines and columns; None for a text."""
        return self.source.path_at(self.line, self.column)

    def __str__(self) -> str:
        return self.path or f"{self.source.name}:{self.line}:{self.column}"


class Allow(NamedTuple):
    """A code in an `allow` of a spec: this warning is silenced."""

    code: Code
    span: Span


class Note(NamedTuple):
    """A second place, or a remark, that explains a diagnostic."""

    message: str
    span: Span | None = None


class Write(NamedTuple):
    """Replace a key or a value by plain data."""

    at: Span
    data: Any


class Remove(NamedTuple):
    """Remove an entry of a mapping, found by the place of its key; or all of a node but its op."""

    key: Span
    only_value: bool = False


class Put(NamedTuple):
    """Set an attribute of a node, found by the place of its op."""

    op: Span
    attribute: str
    data: Any


class Insert(NamedTuple):
    """Put nodes before a node, found by the place of its op."""

    op: Span
    nodes: tuple[Any, ...]


Change = Write | Remove | Put | Insert


class Fix(NamedTuple):
    """Changes of a spec that do what the help of a diagnostic says; `cnnc.formatting.edits` finds their text.

    A fix that is not `certain` may not be what the author means, so a person has to decide.
    """

    changes: tuple[Change, ...]
    certain: bool

    @property
    def source(self) -> Source:
        """The text that the changes are in."""
        return self.changes[0][0].source


class Advice(NamedTuple):
    """A help line, and the changes that it describes if a program can make them."""

    help: str | None = None
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error or warning. `label` is printed under the marked place; `help` says what to do, and `fix` can do it.

    If `help` offers several changes to choose from, `choices` are those that a program can make, each in its own words.
    A warning that is `denied` counts as an error; `allows` are the `allow`s around its place, innermost first. `origin`
    is the input for the search for the cause (`cnnc.causes`).
    """

    code: Code
    message: str
    span: Span | None = None
    label: str | None = None
    notes: tuple[Note, ...] = ()
    help: str | None = None
    fix: Fix | None = field(default=None, compare=False, repr=False)
    choices: tuple[Advice, ...] = field(default=(), compare=False, repr=False)
    denied: bool = False
    allows: tuple[Allow, ...] = ()
    origin: object = field(default=None, compare=False, repr=False)

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return "error" if self.denied else self.code.severity

    def __str__(self) -> str:
        place = f"{self.span}: " if self.span else ""
        return f"{place}{self.severity}[{self.code}]: {self.message}"


def counted(number: int, noun: str) -> str:
    """A number with its unit, in the singular or plural: `1 channel`, `2,000 channels`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(words: Sequence[str]) -> str:
    """Words in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


Report = Callable[[Diagnostic], None]  # reports a diagnostic; the stage then continues


class CnncError(Exception):
    """The exception for a user's mistake, with one or more diagnostics; never for a bug in the compiler."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(
            "\n".join(f"{each}\n  = help: {each.help}" if each.help else str(each) for each in self.diagnostics)
        )

    def __reduce__(self) -> tuple[type["CnncError"], tuple[tuple[Diagnostic, ...]]]:
        """Pickle the diagnostics: other processes send results with errors."""
        return type(self), (self.diagnostics,)

    @classmethod
    def of(
        cls,
        code: Code,
        message: str,
        span: Span | None = None,
        *,
        label: str | None = None,
        notes: tuple[Note, ...] = (),
        help: str | None = None,
    ) -> "CnncError":
        """An error with a single diagnostic."""
        return cls([Diagnostic(code, message, span, label, notes, help)])
