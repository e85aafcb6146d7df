"""A lower bound for the number of nodes of an item, computed before any of them is built.

Takes an item and the variables around it; returns a number that the expansion will reach. Parts that depend on sizes,
or may be left out, count as little as possible. The work of counting is limited.
"""

from collections.abc import Iterable, Mapping
from typing import NoReturn

from cnnc.diagnostics import CnncError
from cnnc.expand.infer_node import MAX_NODES
from cnnc.expand.scope import SILENT
from cnnc.expressions.budget import Work
from cnnc.expressions.strings import evaluate_value
from cnnc.language.model import Block, Item
from cnnc.language.names import COUNTERS
from cnnc.text.value import Value

MAX_VISITS = 10_000  # items that all estimates of a network may visit


class Estimate:
    """Counts the nodes of items that use the given blocks; its expressions count towards the check's `work`."""

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
