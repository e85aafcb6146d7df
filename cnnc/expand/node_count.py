"""How many nodes an item makes at least, told before any of them is built.

In: an item and the variables around it. Out: a number that the expansion cannot stay below. What depends on sizes, or
may be left out, counts as little as it can; the counting itself is bounded.
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

MAX_VISITS = 10_000  # items that one network's estimates look at


class Estimate:
    """Counts the nodes of items that are made of the given blocks; its expressions are part of the check's `work`."""

    def __init__(self, blocks: Mapping[str, Block], work: Work) -> None:
        self._blocks, self._work = blocks, work
        self._known: dict[str, int] = {}
        self._visits = 0

    def least(self, item: Item, variables: Mapping[str, object]) -> int:
        """The nodes of one item."""
        self._visits += 1
        self._work.spend(len(variables))
        if item.when is not None or item.broken or self._visits > MAX_VISITS:
            return 0
        times = 1
        if item.repeat is not None:
            count = self._value(item.repeat, variables)
            times = (
                count if isinstance(count, int) and 0 < count <= MAX_NODES else 1
            )  # others are refused by themselves
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
            self._known[key] = 0  # where a block contains itself, which is an error of its own
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
        """The parameters whose values follow from the variables around."""
        found: dict[str, object] = {}
        self._work.spend(len(declared))
        for name, default in declared.items():
            value = self._value(given[name], around) if name in given else self._value(default, found)
            if value is not None:
                found[name] = value
        return found

    def _value(self, value: Value, variables: Mapping[str, object]) -> object:
        """The value of a piece of the spec; None where the variables do not tell."""
        try:
            return evaluate_value(value, _Variables(variables, self._work)).plain()
        except CnncError:
            return None


class _Variables:
    """What an expression may look at: no node, and only the variables that are known."""

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
