"""The graph as Python source: a standalone `nn.Module` that needs torch alone.

In goes a Graph; out comes the text of a module with one class for the network and one for each kind of scope. Scopes
whose bodies differ in numbers alone share a class, whose constructor takes those numbers. The state_dict has the same
keys as that of `cnnc.targets.torch_module`, in the same order.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from inspect import signature
from itertools import accumulate, chain, count
from textwrap import wrap
from typing import Any

from cnnc.graph.graph import Graph
from cnnc.targets.module_scopes import Scope, divide
from cnnc.targets.python_forward import ForwardSource, Submodule, access, identifier, source

WIDTH = 110
PAIRS = ("kernel_size", "stride", "padding", "dilation")  # torch takes one number for two that are equal


@dataclass(frozen=True)
class Body:
    """A scope as text: what it is made of, and its forward."""

    block: str
    submodules: tuple[Submodule, ...]
    lists: frozenset[str]
    takes: tuple[str, ...]
    gives: int
    lines: tuple[str, ...]

    @property
    def shape(self) -> tuple[Any, ...]:
        """What scopes of one class have in common: all but the numbers in their submodules."""
        kinds = tuple((each.target, each.kind, tuple(each.arguments)) for each in self.submodules)
        return (self.block, kinds, self.takes, self.gives, self.lines)

    @property
    def is_chain(self) -> bool:
        """Whether all that it does is to call the submodules 0, 1, 2 … in their order, as `nn.Sequential` does."""
        names = [str(index) for index in range(len(self.submodules))]
        steps = tuple(f'x = getattr(self, "{name}")(x)' for name in names)
        return bool(names) and [each.target for each in self.submodules] == names and self.lines == (*steps, "return x")


def write(graph: Graph) -> str:
    """The source text."""
    root = divide(graph)
    writer = _Writer(graph, root)
    for level in _by_height(root):
        writer.add_level(level)
    about = _docstring(graph.description or graph.name)
    text = "\n\n\n".join(writer.classes)
    functional = "import torch.nn.functional as F\n" if re.search(r"\bF\.", text) else ""
    plain = "import torch\n" if re.search(r"\btorch\.", text) else ""
    return f"{about}\n\n{plain}{functional}from torch import Tensor, nn\n\n\n{text}\n"


class _Writer:
    """Writes classes, the innermost first, and knows how each scope is made."""

    def __init__(self, graph: Graph, root: Scope) -> None:
        self.graph = graph
        self.classes: list[str] = []
        self.made: dict[str, tuple[str, dict[str, Any]]] = {}
        self.names = {"F", "Tensor", "None", "True", "False"}
        self.root = self._class_name(root.block)  # before any block takes that name

    def add_level(self, scopes: list[Scope]) -> None:
        """Write the classes of scopes whose inner scopes have theirs."""
        alike: dict[tuple[Any, ...], list[tuple[Scope, Body]]] = {}
        for scope in scopes:
            body = self._body(scope)
            alike.setdefault(body.shape, []).append((scope, body))
        for members in alike.values():
            scope, body = members[0]
            name = self._class_name(_kind(scope)) if scope.path else self.root
            parameters = _parameters([body for _, body in members])
            self.classes.append("\n".join(_class(name, body, parameters, self._about(scope))))
            for index, (each_scope, _) in enumerate(members):
                self.made[each_scope.path] = (
                    name,
                    {each: column[index] for each, column in parameters.columns.items()},
                )

    def _body(self, scope: Scope) -> Body:
        forward = ForwardSource(self.graph, scope)
        for item in scope.items:
            forward.add_scope(item, *self.made[item.path]) if isinstance(item, Scope) else forward.add_node(item)
        lines = tuple(forward.lines())
        takes = tuple(map(repr, forward.takes))
        return Body(scope.block, tuple(forward.submodules), forward.lists, takes, len(scope.gives), lines)

    def _about(self, scope: Scope) -> str | None:
        """What the forward's several results are, where they have names."""
        names = [each.name for each in self.graph.outputs]
        return f"Gives {', '.join(names)}." if not scope.path and len(names) > 1 else None

    def _class_name(self, block: str) -> str:
        name = identifier("".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", block)) or "Block")
        unique = next(each for each in chain([name], (f"{name}{i}" for i in count(2))) if each not in self.names)
        self.names.add(unique)
        return unique


def _kind(scope: Scope) -> str:
    """What a scope's class is called after: its block, the group's own name, or what it repeats."""
    local = scope.path.rpartition(".")[2]
    if any(isinstance(item, Scope) and item.block == scope.block != "group" for item in scope.items):
        return f"{scope.block}_chain"
    return local if scope.block == "group" and not local.isdecimal() else scope.block


def _by_height(root: Scope) -> list[list[Scope]]:
    """The scopes, those that hold no other first, then those that hold only these, and so on."""
    levels: list[list[Scope]] = []

    def visit(scope: Scope) -> int:
        height = max((visit(item) for item in scope.items if isinstance(item, Scope)), default=-1) + 1
        levels.extend([] for _ in range(height + 1 - len(levels)))
        levels[height].append(scope)
        return height

    visit(root)
    return levels


@dataclass(frozen=True)
class Parameters:
    """What a class's constructor takes: a name for each distinct column of numbers, and where each is used."""

    columns: dict[str, list[Any]]
    uses: dict[tuple[int, str], str]


def _parameters(bodies: list[Body]) -> Parameters:
    """Numbers that are always the same among the scopes stay in the class; those always equal are one parameter."""
    columns: dict[str, list[tuple[int, str]]] = {}
    values: dict[str, list[Any]] = {}
    for index, submodule in enumerate(bodies[0].submodules):
        for argument in submodule.arguments:
            column = [_short(argument, body.submodules[index].arguments[argument]) for body in bodies]
            if any(value != column[0] for value in column):
                columns.setdefault(repr(column), []).append((index, argument))
                values[repr(column)] = column
    often = Counter(places[0][1] for places in columns.values())
    names: dict[str, str] = {}
    for key, places in columns.items():
        index, argument = places[0]
        target = bodies[0].submodules[index].target.replace(".", "_")
        name = identifier(argument if often[argument] == 1 else f"{target}_{argument}")
        names[key] = name if name not in names.values() else f"{name}_{index}"
    return Parameters(
        {names[key]: column for key, column in values.items()},
        {place: names[key] for key, places in columns.items() for place in places},
    )


def _class(name: str, body: Body, parameters: Parameters, about: str | None) -> Iterator[str]:
    yield f"class {name}({'nn.Sequential' if body.is_chain else 'nn.Module'}):"
    takes = ["self", *(f"{each}: {_annotation(column)}" for each, column in parameters.columns.items())]
    yield from _wrapped("    def __init__(", takes, ") -> None:")
    if body.is_chain:
        yield "        super().__init__("
        for index, submodule in enumerate(body.submodules):
            yield from _made(" " * 12, index, submodule, parameters, ",")
        yield "        )"
        return
    yield "        super().__init__()"
    yield from _submodules(body, parameters)
    yield ""
    result = "Tensor" if body.gives == 1 else f"tuple[{', '.join(['Tensor'] * body.gives)}]"
    yield from _wrapped("    def forward(", ["self", *(f"{each}: Tensor" for each in body.takes)], f") -> {result}:")
    if about:
        yield f'        """{about}"""'
    yield from (f"        {line}" for line in body.lines)


def _submodules(body: Body, parameters: Parameters) -> Iterator[str]:
    """The assignments of the constructor; before a first child comes the container that holds it."""
    started: set[str] = set()
    for index, submodule in enumerate(body.submodules):
        holders = list(accumulate(submodule.target.split(".")[:-1], "{}.{}".format))
        for holder in holders:
            if holder not in started:
                started.add(holder)
                start, end = _place(holder, body.lists)
                yield f"{start}{'nn.ModuleList()' if holder in body.lists else 'nn.ModuleDict()'}{end}"
        start, end = _place(submodule.target, body.lists)
        yield from _made(start, index, submodule, parameters, end)


def _place(target: str, lists: frozenset[str]) -> tuple[str, str]:
    """What stands before and behind a new submodule to put it at its target."""
    holder, _, part = target.rpartition(".")
    inside = f"        {access(holder, lists) if holder else 'self'}"
    if holder in lists:
        return f"{inside}.append(", ")"
    if holder:
        return f'{inside}["{part}"] = ', ""
    return (f"{inside}.{part} = ", "") if part.isidentifier() else (f'{inside}.add_module("{part}", ', ")")


def _made(start: str, index: int, submodule: Submodule, parameters: Parameters, end: str) -> Iterator[str]:
    """The lines that make a submodule, between what stands before and behind it."""
    if submodule.kind == "parameter":
        shown = {name: parameters.uses.get((index, name), value) for name, value in submodule.arguments.items()}
        names = [name.removesuffix(".shape") for name in shown if name.endswith(".shape")]
        items = [f'"{name}": torch.full({shown[f"{name}.shape"]}, {shown[f"{name}.fill"]})' for name in names]
        return _wrapped(f"{start}nn.ParameterDict({{", items, f"}}){end}")
    default = _defaults(submodule.kind)
    items = []
    for name, value in submodule.arguments.items():
        short = _short(name, value)
        if (index, name) in parameters.uses:
            items.append(f"{name}={parameters.uses[index, name]}")
        elif name not in default or default[name] != short:
            items.append(f"{name}={source(short)}")
    return _wrapped(f"{start}{submodule.kind}(", items, f"){end}")


def _defaults(kind: str) -> dict[str, Any]:
    """The arguments that a module of torch.nn has where they are left out."""
    from torch import nn

    if not kind.startswith("nn."):
        return {}
    parameters = signature(getattr(nn, kind.removeprefix("nn."))).parameters
    return {name: each.default for name, each in parameters.items()}


def _wrapped(start: str, items: list[str], end: str) -> Iterator[str]:
    """A call or a head: on one line where it fits, else one item a line."""
    line = f"{start}{', '.join(items)}{end}"
    if len(line) <= WIDTH or not items:
        yield line
        return
    indent = " " * (len(start) - len(start.lstrip()))
    holder, inside, call = start.rpartition("(")[0].rpartition("(")
    if inside and end.endswith("))"):  # the call is the last argument of another
        *before, kind = call.split(", ")
        yield f"{holder}("
        yield from (f"{indent}    {each}," for each in before)
        yield f"{indent}    {kind}("
        yield from (f"{indent}        {each}," for each in items)
        yield f"{indent}    ){',' if before else ''}"
        yield f"{indent})"
        return
    yield start
    yield from (f"{indent}    {each}," for each in items)
    yield f"{indent}{end}"


def _short(name: str, value: Any) -> Any:
    """One number for two that are equal, where torch takes it so."""
    return value[0] if name.endswith(PAIRS) and isinstance(value, tuple) and value == (value[0],) * 2 else value


def _annotation(values: Iterable[Any]) -> str:
    """The types of a parameter's values."""
    return " | ".join(dict.fromkeys(map(_type, values)))


def _type(value: Any) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(map(_type, value))}]"
    return type(value).__name__


def _docstring(text: str) -> str:
    """The text between quotes that nothing in it can end, in lines where it is long."""
    first, *rest = wrap(text.replace("\\", "/").replace('"', "'"), WIDTH, break_on_hyphens=False) or [""]
    return "\n".join([f'"""{first}', *rest, '"""']) if rest else f'"""{first}"""'
