"""The scope of items during expansion: names, variables, and the enclosing scopes.

A name is bound to a `Bound` (ports with their wires), or to a `Pending` while its item waits for a node further down.
The rounds of an `each` without a name share the `Names` of one scope and differ in their variables.
"""

from collections import ChainMap, Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, NoReturn, cast

from cnnc.diagnostics import Allow, CnncError, Code, Diagnostic, Fix, Note, Report, Span
from cnnc.expressions.budget import Work
from cnnc.graph.graph import Ref
from cnnc.language.names import TAKEN, check_name
from cnnc.ops.types import TensorType
from cnnc.text.value import Value

SILENT = CnncError([])  # a consequence of an error that has been reported already
_SIZES = {1: ("features",), 2: ("tokens", "features"), 3: ("channels", "height", "width")}  # by the number of axes
UNKNOWN: Final = object()  # a parameter whose value failed: its uses report nothing


class Wire(NamedTuple):
    """A value that a node may take. Its type is None (unknown) if its node failed; its users then report nothing."""

    ref: Ref
    type: TensorType | None
    span: Span | None = None


Wires = tuple[Wire, ...]
UNKNOWN_WIRE = Wire(Ref(""), None)  # the output of a failed node


class Bound(NamedTuple):
    """The ports of a name. The name alone, without a port, refers to the port with the empty name."""

    ports: Mapping[str, Wire]
    failed: bool = False


FAILED = Bound({}, failed=True)


class Pending:
    """The binding of an item that waits for `needs`: names in its scope, or other waiting items.

    `bound` is None until the item is built. A `passage` takes the place of a left-out node: it will have the value of
    the node's input, and has no name of its own.
    """

    __slots__ = ("bound", "name", "needs", "passage", "span")

    def __init__(self, name: str, span: Span, needs: tuple["str | Pending", ...], *, passage: bool = False) -> None:
        self.name = name
        self.span = span
        self.needs = needs
        self.passage = passage
        self.bound: Bound | None = None


Binding = Bound | Pending


class Names:
    """The names of one scope. The reader claims them, in the order of the file; the expander binds them.

    `bindings` and `given` are at first those of the scope's inputs. `around` is the enclosing scope, not visible from
    here; it is used in help lines. `last` is the value that an item without a `from` takes: at first the scope's only
    input, then the item before.
    """

    def __init__(
        self,
        bindings: dict[str, Binding] | None = None,
        given: dict[str, Span] | None = None,
        *,
        by_index: bool = False,
        around: "Names | None" = None,
        last: Binding | None = None,
    ) -> None:
        self.bindings = {} if bindings is None else bindings
        self.given = {} if given is None else given
        self.by_index = by_index
        self.around = around
        self.last = last
        self.absent: dict[str, Binding] = {}  # the names of left-out nodes
        self.nameless: set[str] = set()  # the ops of left-out nodes without a name; used in help lines
        self.rounds: list[dict[Span, str]] = []  # default names by item; one for each `each` around
        self.lost = False  # an item failed before its names were known, so an unknown name may be its name
        self._reserved: frozenset[str] = frozenset()
        self._ahead: Counter[str] = Counter()
        self._count = 0
        self._defaults: Counter[str] = Counter()
        self._items: dict[str, Span] = {}  # the items of the default names given in rounds

    def find(self, name: str) -> Binding | None:
        """The current binding of a name; None if it is not known yet."""
        binding = self.bindings.get(name)
        if binding is None and not self._ahead[name]:
            binding = self.absent.get(name)
        if isinstance(binding, Pending) and binding.bound is not None:
            return binding.bound
        return binding

    def is_ahead(self, name: str) -> bool:
        """Whether an item further down has this explicit name."""
        return self._ahead[name] > 0

    def expect(self, reserved: frozenset[str], ahead: Counter[str]) -> None:
        """Set the explicit names in the scope: those that default names must avoid, and how many items have each."""
        self._reserved, self._ahead = reserved, ahead

    def claim(self, name: str | None, op: str, span: Span, report: Report) -> str:
        """The local name of a new node: the given name, even if it is refused, or the default."""
        position = self._count
        self._count += 1
        if name is None:
            name = str(position) if self.by_index else self._default(op)
            if self.rounds:
                self.rounds[-1][span] = name
                self._items[name] = span
        else:
            self._reach(name)
            check_name(name, span, report)
        if name in self.given:
            report(_given_twice(name, span, self.given[name]))
            name = self._default(name)
        self.given[name] = span
        return name

    def bind(self, name: str, binding: Binding) -> None:
        """Bind a name; if its item has been waiting, all who hold its `Pending` see the binding."""
        waiting = self.bindings.get(name)
        if isinstance(waiting, Pending) and isinstance(binding, Bound):
            waiting.bound = binding
        else:
            self.bindings[name] = binding

    def leave(self, name: str, binding: Binding) -> None:
        """Bind the name of a left-out node to its input."""
        self._reach(name)
        self.absent[name] = binding

    def lose(self, name: str, span: Span) -> None:
        """Bind the name of a node that cannot be read."""
        self.bindings.setdefault(name, FAILED)
        self.given.setdefault(name, span)
        self._ahead[name] = 0

    def close(self) -> None:
        """Mark the scope as read: no further names will be claimed."""
        self._ahead.clear()

    def in_this_round(self, name: str) -> str | None:
        """The default name that the item with the default name `name` has in the current round, if it is another."""
        span = self._items.get(name)
        found = next((each[span] for each in reversed(self.rounds) if span in each), name) if span else name
        return None if found == name else found

    def _reach(self, name: str) -> None:
        """Count an item further down as read, if one has this explicit name."""
        self._ahead[name] -= self._ahead[name] > 0

    def _default(self, op: str) -> str:
        """The op's name, or the first of op_2, op_3 … that is free."""
        while True:
            self._defaults[op] += 1
            count = self._defaults[op]
            name = op if count == 1 else f"{op}_{count}"
            if name not in self.given and name not in self._reserved and name not in TAKEN["a node"]:
                return name


def _given_twice(name: str, span: Span, first: Span) -> Diagnostic:
    message = f"the name `{name}` is given twice in this scope"
    way_out = f"rename one of them, for example to `{name}_2`"
    if span is first:
        counts = "`i` counts the innermost `repeat` or `each`, and a list in `over` can number the rounds around it"
        way_out = f"make it different in each round: {counts}"
    return Diagnostic(Code.DUPLICATE_NAME, message, span, notes=(Note("first here", first),), help=way_out)


class Scope(NamedTuple):
    """A scope as seen by one of its items. `path` ends in a dot or is empty.

    `shares` is the path, ending in a dot, of the scope whose parameters this scope shares, or empty.
    `trail` holds notes on the instances around it; `allow` the warnings that are allowed in it, the innermost first;
    `inside` the scopes around it, each by the name of its block, `group` or `each`.
    """

    path: str
    local: Names
    sink: Report
    variables: Mapping[str, object]
    work: Work
    trail: tuple[Note, ...] = ()
    inside: tuple[str, ...] = ()
    allow: tuple[Allow, ...] = ()
    shares: str = ""

    def with_variables(self, more: Mapping[str, object]) -> "Scope":
        """The same scope with more variables, for a round of an `each` or a `repeat`. Copies no variables."""
        under = self.variables.maps if isinstance(self.variables, ChainMap) else [self.variables]
        variables: ChainMap[str, object] = ChainMap(*cast("list[dict[str, object]]", [more, *under]))
        return self._replace(variables=variables)

    def find(self, name: str) -> Binding | None:
        """The current binding of a name; None if it is not known yet."""
        return self.local.find(name)

    def report(self, diagnostic: Diagnostic) -> None:
        """Report a diagnostic with notes on the instances around the scope."""
        self.sink(replace(diagnostic, notes=(*diagnostic.notes, *self.trail)) if self.trail else diagnostic)

    def report_all(self, error: CnncError) -> None:
        """Report an error's diagnostics."""
        for diagnostic in error.diagnostics:
            self.report(diagnostic)

    # The lookup for expressions: cnnc.expressions.evaluation.Lookup

    def variable(self, name: str) -> object:
        if self.variables[name] is UNKNOWN:
            raise SILENT
        return self.variables[name]

    def attribute(self, name: str, attribute: str) -> int:
        binding = self.find(name)
        if isinstance(binding, Pending) or (binding is None and self.local.is_ahead(name)):
            message = f"`{name}` depends on nodes further down, so its {attribute} is not yet known here"
            way_out = "the presence, count and name of a node may depend only on the nodes above it"
            fail(Code.FAILED_EXPRESSION, message, None, way_out)
        if binding is None and self.local.lost:
            raise SILENT
        if binding is None:
            raise KeyError(name)
        wire = binding.ports.get("")
        if binding.failed or (wire is not None and wire.type is None):
            raise SILENT
        if wire is None or wire.type is None:
            fail(Code.FAILED_EXPRESSION, f"`{name}` has several outputs, so it has no `{attribute}`", None)
        return size(name, wire.type, attribute)

    def names(self) -> Iterable[str]:
        return [*self.variables, *self.local.bindings, *self.local.absent]

    def knows(self, name: str) -> bool:
        """Whether a name is in scope."""
        return name in self.variables or name in self.local.bindings or name in self.local.absent

    def spend(self, operations: int) -> None:
        self.work.spend(operations)


def size(name: str, of: TensorType, attribute: str) -> int:
    """One of the sizes of a type; raises CnncError if it has no such size."""
    names = _SIZES[len(of.shape)]
    if attribute not in names and not (of.is_vector and attribute == "channels"):
        *most, last = [f"`{each}`" for each in names]
        help = f"it has {', '.join(most)}{' and ' * bool(most)}{last}"
        fail(Code.FAILED_EXPRESSION, f"`{name}` is {of.described}, which has no `{attribute}`", None, help)
    found = of.shape[names.index(attribute) if attribute in names else 0]
    if found is None:
        message = f"the {attribute} of `{name}` is unknown until run time"
        fail(Code.FAILED_EXPRESSION, message, None, "give the input a fixed height and width")
    return found


def fail(
    code: Code, message: str, at: Value | Span | None, help: str | None = None, fix: Fix | None = None
) -> NoReturn:
    """Raise a diagnostic at a value or a span; without a place, it gets the place of the expression."""
    raise CnncError([Diagnostic(code, message, at.span if isinstance(at, Value) else at, help=help, fix=fix)])
