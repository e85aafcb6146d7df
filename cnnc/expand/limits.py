"""The limits on the size of a network, enforced before anything of that size is built.

`count_step`, `count_links` and `require_room` count in the `Work` of a check; they raise TooMuch. `Estimate` computes a
lower bound for the number of nodes of an item, so that a network that must become too large is refused at once.
"""

from collections.abc import Iterable, Mapping
from typing import NoReturn

from cnnc.diagnostics import CnncError, Code, Diagnostic, Span
from cnnc.expand.scope import SILENT, Scope
from cnnc.expressions.budget import Work
from cnnc.expressions.strings import evaluate_value
from cnnc.language.model import Block, Item
from cnnc.language.names import COUNTERS
from cnnc.text.value import Value

MAX_NODES = 100_000
MAX_LINKS = 500_000  # inputs and outputs of all nodes and blocks
MAX_FRUITLESS = 20_000  # steps for left-out items, instances without nodes, rounds …
STEPS_PER_NODE = 8  # steps that a node may need: its block's, its repeat's, its own
MAX_VISITS = 10_000  # items that all estimates of a network may visit


class TooMuch(Exception):
    """The network exceeds a limit; the rest is not expanded."""


def count_step(span: Span, scope: Scope) -> None:
    """Count a step of the expansion; raises TooMuch if too many of them have added no node."""
    work = scope.work
    work.steps += 1
    if work.steps > MAX_FRUITLESS + STEPS_PER_NODE * work.nodes:
        message = f"expanding the network takes more than {MAX_FRUITLESS:,} steps without adding a node"
        _stop(message, span, scope, "repeat less often")


def require_room(more: int, span: Span, scope: Scope) -> None:
    """Raise TooMuch if `more` nodes would exceed the limit."""
    if scope.work.nodes + more > MAX_NODES:
        _stop(f"the network has more than {MAX_NODES:,} nodes", span, scope, "repeat less often")


def count_links(count: int, span: Span, scope: Scope) -> None:
    """Count the inputs or outputs of an item; raises TooMuch if there are too many in total."""
    scope.work.links += count
    if scope.work.links > MAX_LINKS:
        message = f"the nodes and blocks of the network have more than {MAX_LINKS:,} inputs and outputs"
        _stop(message, span, scope, "give each fewer of them, or repeat them less often")


def _stop(message: str, span: Span, scope: Scope, help: str) -> NoReturn:
    scope.report(Diagnostic(Code.TOO_MANY_NODES, message, span, help=help))
    raise TooMuch


class Estimate:
    """Counts the nodes of items that use the given blocks; its expressions count towards the check's `work`.

    Parts that depend on sizes, or may be left out, count as little as possible. The work of counting is limited.
    """

    def __init__(self, blocks: Mapping[str, Block], work: Work) -> None:
        self._blocks, self._work = blocks, work
        self._known: dict[str, int] = {}
        self._visits = 0

    def least(self, item: Item, variables: Mapping[str, object]) -> int:
        """The minimum number of nodes of one item."""
        self._visits += 1
        self._work.spend(len(variables))
        if item.when is not None or item.broken or self._visits > MAX_VISITS:
            return 0
        times = 1
        if item.repeat is not None:
            count = self._value(item.repeat, variables)
            times = (
                count if isinstance(count, int) and 0 < count <= MAX_NODES else 1
            )  # other counts are errors, reported elsewhere
            variables = {name: value for name, value in variables.items() if name not in COUNTERS}
        return min(times * self._single(item, variables), MAX_NODES + 1)

    def _single(self, item: Item, variables: Mapping[str, object]) -> int:
        if item.op == "each" and item.body is not None:
            return self._rounds(item, item.body, variables)
        if item.body is not None:
            declared = item.body.params
            return self._sum(item.body.items, {**variables, **self._parameters(declared, {}, variables)})
        block = self._blocks.get(item.op)
        return 1 if block is None else self._instance(block, item, variables)

    def _rounds(self, item: Item, body: Block, variables: Mapping[str, object]) -> int:
        over = item.attributes.at("over").data
        lists = {name: self._value(each, variables) for name, each in over.items()} if isinstance(over, dict) else {}
        count = max((len(each) for each in lists.values() if isinstance(each, list)), default=1)
        inside = {name: value for name, value in variables.items() if name not in (*lists, *COUNTERS)}
        return count * self._sum(body.items, inside)

    def _instance(self, block: Block, item: Item, variables: Mapping[str, object]) -> int:
        written = item.attributes.data
        inside = self._parameters(block.params, written if isinstance(written, dict) else {}, variables)
        key = f"{block.name}: {inside}"
        if key not in self._known:
            self._known[key] = 0  # if a block contains itself, which is reported elsewhere
            self._known[key] = self._sum(block.items, inside)
        return self._known[key]

    def _sum(self, items: Iterable[Item], variables: Mapping[str, object]) -> int:
        total = 0
        for item in items:
            total += self.least(item, variables)
            if total > MAX_NODES:
                break
        return total

    def _parameters(
        self, declared: Mapping[str, Value], given: Mapping[str, Value], around: Mapping[str, object]
    ) -> dict[str, object]:
        """The parameters whose values follow from the given variables."""
        found: dict[str, object] = {}
        self._work.spend(len(declared))
        for name, default in declared.items():
            value = self._value(given[name], around) if name in given else self._value(default, found)
            if value is not None:
                found[name] = value
        return found

    def _value(self, value: Value, variables: Mapping[str, object]) -> object:
        """The value of a part of the spec; None if it cannot be computed from the variables."""
        try:
            return evaluate_value(value, _Variables(variables, self._work)).plain()
        except CnncError:
            return None


class _Variables:
    """The lookup for expressions: only known variables, no nodes."""

    def __init__(self, variables: Mapping[str, object], work: Work) -> None:
        self._variables = variables
        self.spend = work.spend

    def variable(self, name: str) -> object:
        if name not in self._variables:
            raise SILENT
        return self._variables[name]

    def attribute(self, name: str, attribute: str) -> NoReturn:
        raise SILENT

    def names(self) -> Iterable[str]:
        return self._variables
