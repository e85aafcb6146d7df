"""Scopes that are right by construction: items one behind the other or by name, over values whose types are known.

In: the names and types of a scope's inputs. Out: its items, what can be named in it, and what nothing in it uses yet.
An op is asked itself whether it takes what was drawn for it.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from pydantic import ValidationError

from cnnc.ops import registry
from cnnc.ops.base import Op, Refusal
from cnnc.ops.types import TensorType, Types
from tests.free.attributes import attributes
from tests.free.names import BLOCKS, PARAMETERS, fresh

Item = dict[str, dict[str, Any]]
Ports = dict[str, TensorType]  # by the port's name, which is empty for an only one

LARGEST = 4000  # elements of a value
WIDEST = 64  # channels of one whose other sizes are open
MOST_PORTS = 8
DEEPEST = 3  # scopes within scopes
TRIES = 8


@dataclass
class Scope:
    """A scope in the making. `before` is what an item without `from` takes; a `loose` item has no name to be had by."""

    rng: Random
    blocks: dict[str, Any]
    values: dict[str, TensorType]
    depth: int = 0
    chained: bool = False  # nothing in it is taken by name
    items: list[Item] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    inputs: frozenset[str] = frozenset()
    unused: dict[str, TensorType] = field(default_factory=dict)
    before: TensorType | None = None
    before_name: str | None = None
    loose: bool = False

    def __post_init__(self) -> None:
        self.inputs = frozenset(self.values)
        self.names |= self.inputs
        self.unused |= self.values
        if len(self.values) == 1:
            [(self.before_name, self.before)] = self.values.items()

    def fill(self, count: int) -> "Scope":
        """Add so many items, of which the last has a name."""
        for at in range(count):
            self._add(last=at == count - 1)
        return self

    def _add(self, *, last: bool) -> None:
        rng = self.rng
        implicit = self.before is not None and (self.loose or self.chained or rng.random() < 0.4)
        name = fresh(rng, self.names) if last or rng.random() < 0.65 else None
        source = None if implicit else rng.choice([*self.values])
        x = self.before if source is None else self.values[source]
        assert x is not None
        deep = self.depth < DEEPEST and not self.chained and rng.random() < 0.25
        op, words, sources, ports = self._nested(x, source) if deep else self._op(x, source)
        if name is None and (list(ports) != [""] or op == "each"):
            name = fresh(rng, self.names)
        if source is None:
            self._use(self.before_name)
        for each in sources:
            self._use(each)
        takes = {"from": sources if len(sources) > 1 or rng.random() < 0.2 else sources[0]} if sources else {}
        self.items.append({op: {**({} if name is None else {"name": name}), **takes, **words}})
        self._give(name, ports)

    def _use(self, name: str | None) -> None:
        self.unused.pop(name or "", None)

    def _give(self, name: str | None, ports: Ports) -> None:
        found = {} if name is None else {f"{name}.{port}" if port else name: each for port, each in ports.items()}
        if name is not None:
            self.names.add(name)
        self.values |= found
        self.unused |= found
        self.before, self.loose = ports.get(""), name is None
        self.before_name = name if "" in ports else None

    def _op(self, x: TensorType, source: str | None) -> tuple[str, dict[str, Any], list[str], Ports]:
        """An op with attributes that it takes together with `x`, and with other values where it wants several."""
        rng = self.rng
        for _ in range(TRIES):
            kind = registry.get(rng.choice(registry.names()))
            if kind.least_inputs != 1 and source is None:
                continue
            for _ in range(TRIES):
                more = self._others(x, kind) if source else []
                types = [x, *(self.values[each] for each in more)]
                given = attributes(rng, kind, sizes(*types))
                if "like" in kind.model_fields and (like := self._like(given)):
                    types.append(self.values[like])
                ports = outcome(kind, given, types)
                if ports is not None and not (self.chained and "" not in ports):
                    self._use(given.get("like"))
                    return kind.name, given, [source, *more] if source and kind.least_inputs else [], ports
        return "identity", {}, [source] if source else [], {"": x}

    def _like(self, given: dict[str, Any]) -> str | None:
        """Name a value in `like`, in place of the sizes, or do without it."""
        given.pop("like", None)
        if self.rng.random() < 0.5:
            return None
        for size in ("size", "factor", "height", "width"):
            given.pop(size, None)
        given["like"] = self.rng.choice([*self.values])
        return given["like"]

    def _others(self, x: TensorType, kind: type[Op]) -> list[str]:
        """Further inputs, most of them of the same shape."""
        rng = self.rng
        alike = [name for name, each in self.values.items() if each == x]
        if not kind.most_inputs:
            return []
        count = rng.randint(max(0, kind.least_inputs - 1), min(kind.most_inputs, kind.least_inputs + 1) - 1)
        return [rng.choice(alike if rng.random() < 0.7 else [*self.values]) for _ in range(count)]

    def _nested(self, x: TensorType, source: str | None) -> tuple[str, dict[str, Any], list[str], Ports]:
        """A group, an `each`, or an instance of a block of its own."""
        rng = self.rng
        kind = rng.choice(("group", "block", "each"))
        if kind == "each":
            body, ports = self._rounds(x)
            return "each", body, [source] if source else [], ports
        more = [rng.choice([*self.values])] if source and rng.random() < 0.3 else []
        names = ["input"]
        if more or rng.random() < 0.3:
            names = []
            for _ in range(1 + len(more)):
                names.append(fresh(rng, set(names)))
        types = [x, *(self.values[each] for each in more)]
        inner = self._inside(dict(zip(names, types, strict=True))).fill(rng.randint(1, 3))
        shown, ports = shows(inner)
        body = {**({} if names == ["input"] else {"inputs": names}), "nodes": inner.items, **shown}
        sources = [source, *more] if source else []
        if kind == "group":
            return kind, body, sources, ports
        name = fresh(rng, self.blocks, BLOCKS)
        self.blocks[name] = body
        return name, {}, sources, ports

    def _inside(self, values: Ports, *, chained: bool = False) -> "Scope":
        return Scope(self.rng, self.blocks, values, self.depth + 1, chained)

    def _rounds(self, x: TensorType) -> tuple[dict[str, Any], Ports]:
        """The body of an `each`; one that ends with another type than it begins with has one round."""
        rng = self.rng
        inner = self._inside({"input": x}, chained=True).fill(rng.randint(1, 2))
        assert inner.before is not None
        rounds = rng.randint(1, 3) if inner.before == x else 1
        names = rng.sample(PARAMETERS, rng.randint(1, 2))
        over = {name: [rng.choice((1, 2, 3, 0.5, "a", True)) for _ in range(rounds)] for name in names}
        return {"over": over, "nodes": inner.items}, {"": inner.before}


def shows(inner: Scope) -> tuple[dict[str, Any], Ports]:
    """What a group or block says of its outputs, and the types of its ports."""
    rng = inner.rng
    wanted = [name for name in inner.unused if name not in inner.inputs]
    last: str = next(iter(inner.items[-1].values()))["name"]
    if wanted == [last] and rng.random() < 0.5:
        return {}, {"": inner.values[last]}
    more = [name for name in inner.values if name not in wanted and rng.random() < 0.1]
    wanted = [*wanted, *more] or [rng.choice([*inner.values])]
    rng.shuffle(wanted)
    if len(wanted) == 1:
        form = rng.choice((wanted[0], wanted, {fresh(rng, ()): wanted[0]}))
        return {"outputs": form}, {"": inner.values[wanted[0]]}
    if rng.random() < 0.5:
        return {"outputs": wanted}, {name: inner.values[name] for name in wanted}
    ports: dict[str, str] = {}
    for name in wanted:
        ports[fresh(rng, ports)] = name
    return {"outputs": ports}, {port: inner.values[name] for port, name in ports.items()}


def sizes(*types: TensorType) -> tuple[int, ...]:
    """The sizes of some types, and their elements."""
    known = {size for each in types for size in each.shape if size is not None}
    return tuple(sorted(known | {each.elements for each in types if each.elements}))


def outcome(kind: type[Op], given: dict[str, Any], types: list[TensorType]) -> Ports | None:
    """What an op gives by port, or None where it takes no such attributes or inputs, or makes too much of them."""
    try:
        op = kind.model_validate(given)
        found = op.infer(*types)
    except (ValidationError, Refusal):
        return None
    outputs: Types = (found,) if isinstance(found, TensorType) else found
    if len(outputs) > MOST_PORTS or op.cost(*types).params > 10 * LARGEST or not all(map(is_small, outputs)):
        return None
    return dict(zip(op.ports, outputs, strict=True))


def is_small(type: TensorType) -> bool:
    return type.elements <= LARGEST if type.elements is not None else type.channels <= WIDEST
