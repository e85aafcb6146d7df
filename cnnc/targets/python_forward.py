"""The forward method of one scope as Python source, and the submodules that it calls.

Ops lower themselves through a `SourceBuilder`, as they do for fx graphs; each call becomes a statement. Names follow
hand-written code: a block's input is `x`, and so is a value that only the next statement uses (`y` while `x` is still
needed). All other values have the names of their nodes.
"""

import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.targets.module_scopes import ModuleScope, called, scopes
from cnnc.targets.python_text import identifier, source

INFIX = {
    "operator.add": "+",
    "operator.mul": "*",
    "operator.sub": "-",
    "operator.truediv": "/",
    "operator.floordiv": "//",
}
METHOD = "Tensor."  # before the name of a method of a tensor
TENSOR = "tensor"  # the kind of a submodule that is a parameter at its own path
RESERVED = {"self", "torch", "nn", "F", "x", "y", *dir(builtins)}


@dataclass(eq=False)
class Term:
    """A value of the forward method. Its repr is its name, so the repr of any arguments is their source."""

    name: str
    used: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Submodule:
    """`self.<target> = <kind>(<arguments>)`; `kind` is like `nn.Conv2d`, a generated class, `parameter` or `tensor`.

    For a parameter `weight` the arguments are called `weight.shape` and `weight.fill`; a tensor is itself a parameter.
    `within` is the inner scope whose module it is added to, if a node of that scope, now gone, had these parameters.
    """

    target: str
    kind: str
    arguments: dict[str, Any]
    within: str = ""


@dataclass
class Statement:
    """`<results> = <function>(<arguments>, <keywords>)`, or an infix expression."""

    results: tuple[Term, ...]
    function: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def __str__(self) -> str:
        first, *rest = map(source, self.arguments)
        results = ", ".join(map(repr, self.results))
        if self.function == "operator.getitem":
            return f"{results} = {first}[{rest[0]}]"
        if self.function in INFIX:
            return f"{results} = {first} {INFIX[self.function]} {rest[0]}"
        if self.function.startswith(METHOD):
            return f"{results} = {first}.{self.function.removeprefix(METHOD)}({', '.join(rest)})"
        function = self.function.replace("torch.nn.functional.", "F.")
        named = [f"{key}={source(value)}" for key, value in self.keywords.items()]
        return f"{results} = {function}({', '.join([first, *rest, *named])})"


class ForwardSource:
    """The statements and submodules of one scope, without those of inner scopes; `lists` are its lists of modules."""

    def __init__(self, graph: Graph, scope: ModuleScope, lists: frozenset[str]) -> None:
        self.graph, self.scope, self.lists = graph, scope, lists
        self.submodules: list[Submodule] = []
        self.statements: list[Statement] = []
        self._taken: set[str] = set(RESERVED)
        self._modules = sorted(scope.local(each.path) for each in scopes(scope) if each.runs is None)
        self._targets: set[str] = set()
        self.takes = [self._value(called(graph, ref)) for ref in scope.takes]
        self.values = dict(zip(scope.takes, self.takes, strict=True))

    def add_node(self, node: Node) -> None:
        """Add the statements of the node's op."""
        builder = SourceBuilder(self, node, self.scope.local(node.path), self.scope.local(node.keys))
        result = node.op.to_torch(builder, *(self.values[ref] for ref in node.inputs))
        results = result if isinstance(result, tuple) else (result,)
        self.values.update((Ref(node.path, port), value) for port, value in enumerate(results))

    def add_scope(self, scope: ModuleScope, kind: str, arguments: dict[str, Any]) -> None:
        """Add a call of an inner scope's module, an instance of the class `kind`."""
        target, module = self.scope.local(scope.path), self.scope.local(scope.runs or scope.path)
        if scope.runs is None:
            self.submodules.append(Submodule(target, kind, arguments))
        names = (
            [target] if len(scope.gives) == 1 else [self.scope.local(self.graph.spelling(ref)) for ref in scope.gives]
        )
        results = self.call(self.access(module), [self.values[ref] for ref in scope.takes], {}, names)
        self.values.update(zip(scope.gives, results, strict=True))

    def call(
        self, function: str, arguments: Sequence[Any], keywords: dict[str, Any], names: Sequence[str]
    ) -> tuple[Term, ...]:
        """Add a statement and return its result values."""
        for value in _values([arguments, list(keywords.values())]):
            value.used.append(len(self.statements))
        results = tuple(map(self._value, names))
        self.statements.append(Statement(results, function, tuple(arguments), keywords))
        return results

    def register(self, target: str, kind: str, arguments: dict[str, Any], *, owned: bool) -> str:
        """Add a submodule, unless there is one already, and return the expression by which it is accessed.

        A target in an inner scope exists unless the node that registers it has `owned` parameters.
        """
        within = self._around(target)
        if target not in self._targets and (owned or not within):
            for holder in self._missing(within, target) if within else ():
                self._targets.add(holder)
                self.submodules.append(Submodule(holder, "nn.ModuleDict", {}, within))
            self._targets.add(target)
            self.submodules.append(Submodule(target, kind, arguments, within))
        return self.access(target)

    def _missing(self, within: str, target: str) -> Iterator[str]:
        """Yield the containers between a scope's module and a target in it that no other node has made."""
        parts = target.removeprefix(f"{within}.").split(".")[:-1]
        for holder in accumulate(parts, "{}.{}".format, initial=within):
            others = (self.scope.local(node.path) for node in self.graph.nodes if not node.shares)
            made = any(each.startswith(f"{holder}.") for each in others)
            if holder not in (within, *self._targets) and not made:
                yield holder

    def access(self, target: str) -> str:
        """Return the expression by which the module accesses a submodule, which may be that of an inner scope."""
        return f'self.get_submodule("{target}")' if self._around(target) else access(target, self.lists)

    def _around(self, target: str) -> str:
        """Return the innermost scope in this one whose module contains a target; empty if there is none."""
        return next((path for path in reversed(self._modules) if target.startswith(f"{path}.")), "")

    def lines(self) -> list[str]:
        """Return the body of the forward method, after choosing final names."""
        gives = [self.values[ref] for ref in self.scope.gives]
        for value in gives:
            value.used.append(len(self.statements))
        passing = "x"
        if self.scope.path and len(self.takes) == 1:
            self.takes[0].name = "x"
            passing = "x" if set(self.takes[0].used) == {0} else "y"
        for next_one, statement in enumerate(self.statements, 1):
            if len(statement.results) == 1 and set(statement.results[0].used) == {next_one}:
                statement.results[0].name = passing
        return [*map(str, self.statements), f"return {', '.join(map(repr, gives))}"]

    def _value(self, name: str) -> Term:
        name = wanted = identifier(name)
        count = 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return Term(name)


class SourceBuilder:
    """Writes the source of one node; see ops.base.TorchBuilder."""

    def __init__(self, forward: ForwardSource, node: Node, target: str, keys: str) -> None:
        self.inputs, self.outputs = forward.graph.input_types(node), node.outputs
        self._forward, self._target, self._keys = forward, target, keys
        self._owned = bool(node.cost.params or node.cost.buffers)

    def module(self, kind: str, x: Any, /, **arguments: Any) -> Term:
        """Apply a module of torch.nn, at the node's path, to `x`."""
        module = self._register(f"nn.{kind}", arguments)
        return self._forward.call(module, [x], {}, [self._target])[0]

    def call(self, function: str, *args: Any, **kwargs: Any) -> Term:
        """Apply a function; a call of a builtin, such as `float("-inf")`, is written inline where it is used."""
        if function.startswith("builtins."):
            return Term(f"{function.removeprefix('builtins.')}({', '.join(map(source, args))})")
        return self._forward.call(function, args, kwargs, [self._target])[0]

    def method(self, name: str, x: Any, *args: Any) -> Term:
        """Call a method of a tensor."""
        return self._forward.call(f"{METHOD}{name}", [x, *args], {}, [f"{self._target}_{name}"])[0]

    def parameter(self, name: str, shape: tuple[int, ...], fill: float, deviation: float = 0.0) -> Term:
        """Add a learned tensor."""
        if not name:
            arguments = {"shape": shape, "fill": fill, "deviation": deviation}
            self._register(TENSOR, arguments)
            return Term(f"self.{self._keys}" if self._keys.isidentifier() else f'self.get_parameter("{self._keys}")')
        parameters = self._register("parameter", {f"{name}.shape": shape, f"{name}.fill": fill})
        return Term(f'{parameters}["{name}"]')

    def tensors(self, kind: str, names: Sequence[str], /, **arguments: Any) -> list[Term]:
        """Add a module of torch.nn that is not called, and return its tensors."""
        module = self._register(f"nn.{kind}", arguments)
        return [Term(f"{module}.{name}") for name in names]

    def training(self) -> Term:
        """Return whether the module is in training mode."""
        return Term("self.training")

    def _register(self, kind: str, arguments: dict[str, Any]) -> str:
        return self._forward.register(self._keys, kind, arguments, owned=self._owned)


def lists(paths: Iterable[str]) -> frozenset[str]:
    """Return the containers whose children are 0, 1, 2 … in order, so that they can be a ModuleList."""
    children: dict[str, dict[str, None]] = {}
    for path in paths:
        parts = path.split(".")
        for depth in range(1, len(parts)):
            children.setdefault(".".join(parts[:depth]), {})[parts[depth]] = None
    return frozenset(path for path, names in children.items() if list(names) == [str(i) for i in range(len(names))])


def access(target: str, lists: frozenset[str]) -> str:
    """Return the expression by which a module accesses its submodule `target`."""
    first, *rest = target.split(".")
    place, path = f"self.{first}" if first.isidentifier() else f'getattr(self, "{first}")', first
    for part in rest:
        place += f"[{part}]" if path in lists else f'["{part}"]'
        path = f"{path}.{part}"
    return place


def _values(data: Any) -> list[Term]:
    """Return the values in nested arguments."""
    if isinstance(data, list | tuple):
        return [value for each in data for value in _values(each)]
    return [data] if isinstance(data, Term) else []
