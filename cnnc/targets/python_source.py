"""The Python target: the graph as source of a standalone `nn.Module` that depends only on torch.

Takes a Graph; returns the source of a Python module with a class for the network and one for each kind of scope. Scopes
whose bodies differ only in numbers share a class, whose constructor takes those numbers. The state_dict has the same
keys, in the same order, as that of `cnnc.targets.torch_module`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from itertools import accumulate, chain, count
from typing import Any

from cnnc.graph.graph import Graph
from cnnc.targets.module_scopes import ModuleScope, divide
from cnnc.targets.python_forward import TENSOR, ForwardSource, Submodule, access, lists
from cnnc.targets.python_text import annotation, docstring, identifier, source, wrapped

PAIRS = ("kernel_size", "stride", "padding", "dilation")  # torch takes a single number for an equal pair


@dataclass(frozen=True)
class Body:
    """A scope as source: its submodules and its forward method."""

    block: str
    submodules: tuple[Submodule, ...]
    lists: frozenset[str]
    takes: tuple[str, ...]
    gives: int
    lines: tuple[str, ...]
    grows: bool  # other scopes add submodules to its module

    @property
    def shape(self) -> tuple[Any, ...]:
        """Everything but the numbers in the submodules; scopes of equal shape share a class."""
        kinds = tuple((each.target, each.kind, tuple(each.arguments)) for each in self.submodules)
        return (self.block, kinds, self.takes, self.gives, self.lines, self.grows)

    @property
    def is_chain(self) -> bool:
        """Whether it only calls the submodules 0, 1, 2 … in order, like `nn.Sequential`."""
        if self.grows:  # an `nn.Sequential` would call what is added
            return False
        names = [str(index) for index in range(len(self.submodules))]
        steps = tuple(f'x = getattr(self, "{name}")(x)' for name in names)
        return bool(names) and [each.target for each in self.submodules] == names and self.lines == (*steps, "return x")


def write(graph: Graph) -> str:
    """Return the source of the graph."""
    root = divide(graph)
    writer = _Writer(graph, root)
    for level in _by_height(root):
        writer.add_level(level)
    about = docstring(graph.description or graph.name)
    text = "\n\n\n".join(writer.classes)
    functional = "import torch.nn.functional as F\n" if re.search(r"\bF\.", text) else ""
    plain = "import torch\n" if re.search(r"\btorch\.", text) else ""
    return f"{about}\n\n{plain}{functional}from torch import Tensor, nn\n\n\n{text}\n"


class _Writer:
    """Writes classes, innermost first, and records the class and arguments of each scope."""

    def __init__(self, graph: Graph, root: ModuleScope) -> None:
        self.graph = graph
        self.classes: list[str] = []
        self.made: dict[str, tuple[str, dict[str, Any]]] = {}
        # owned by nodes outside the scope of the node with these keys, which is gone
        self.adopted = [node.keys for node in graph.nodes if node.shares and (node.cost.params or node.cost.buffers)]
        self.names = {"F", "Tensor", "None", "True", "False"}
        self.root = self._class_name(root.block)  # before a block can take the name

    def add_level(self, scopes: list[ModuleScope]) -> None:
        """Write the classes of scopes whose inner scopes have been written."""
        alike: dict[tuple[Any, ...], list[tuple[ModuleScope, Body]]] = {}
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

    def _body(self, scope: ModuleScope) -> Body:
        made = self._forward(scope, frozenset()).submodules  # not every node has one, so a list may have gaps
        modules = (each.target for each in made if not each.within and each.kind != TENSOR)
        forward = self._forward(scope, lists(modules))
        lines = tuple(forward.lines())
        takes = tuple(map(repr, forward.takes))
        grows = bool(scope.path) and any(keys.startswith(f"{scope.path}.") for keys in self.adopted)
        return Body(scope.block, tuple(forward.submodules), forward.lists, takes, len(scope.gives), lines, grows)

    def _forward(self, scope: ModuleScope, lists: frozenset[str]) -> ForwardSource:
        forward = ForwardSource(self.graph, scope, lists)
        for item in scope.items:
            if isinstance(item, ModuleScope):
                forward.add_scope(item, *self.made[item.runs or item.path])
            else:
                forward.add_node(item)
        return forward

    def _about(self, scope: ModuleScope) -> str | None:
        """Return a docstring that names the results of the network's forward, if there are several."""
        names = [each.name for each in self.graph.outputs]
        return f"Returns {', '.join(names)}." if not scope.path and len(names) > 1 else None

    def _class_name(self, block: str) -> str:
        name = identifier("".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", block)) or "Block")
        unique = next(each for each in chain([name], (f"{name}{i}" for i in count(2))) if each not in self.names)
        self.names.add(unique)
        return unique


def _kind(scope: ModuleScope) -> str:
    """Return the base of a scope's class name: its block, the group's own name, or what it repeats."""
    local = scope.path.rpartition(".")[2]
    if any(isinstance(item, ModuleScope) and item.block == scope.block != "group" for item in scope.items):
        return f"{scope.block}_chain"
    return local if scope.block == "group" and not local.isdecimal() else scope.block


def _by_height(root: ModuleScope) -> list[list[ModuleScope]]:
    """Return the scopes by height: first those without inner scopes, then those that contain only these, and so on."""
    levels: list[list[ModuleScope]] = []

    def visit(scope: ModuleScope) -> int:
        inner = (item for item in scope.items if isinstance(item, ModuleScope) and item.runs is None)
        height = max(map(visit, inner), default=-1) + 1
        levels.extend([] for _ in range(height + 1 - len(levels)))
        levels[height].append(scope)
        return height

    visit(root)
    return levels


@dataclass(frozen=True)
class Parameters:
    """The parameters of a class's constructor: the values of each, one per scope, and where each is used."""

    columns: dict[str, list[Any]]
    uses: dict[tuple[int, str], str]


def _parameters(bodies: list[Body]) -> Parameters:
    """Return the parameters for the numbers that differ among the scopes; numbers that are always equal share one."""
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
    takes = ["self", *(f"{each}: {annotation(column)}" for each, column in parameters.columns.items())]
    yield from wrapped("    def __init__(", takes, ") -> None:")
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
    yield from wrapped("    def forward(", ["self", *(f"{each}: Tensor" for each in body.takes)], f") -> {result}:")
    if about:
        yield f'        """{about}"""'
    yield from (f"        {line}" for line in body.lines)


def _submodules(body: Body, parameters: Parameters) -> Iterator[str]:
    """Yield the assignments of the constructor; a container is created before its first child."""
    started: set[str] = set()
    for index, submodule in enumerate(body.submodules):
        if submodule.within:
            place, _, name = submodule.target.rpartition(".")
            start = f'        self.get_submodule("{place}").{_adds(submodule.kind)}("{name}", '
            yield from _made(start, index, submodule, parameters, ")")
            continue
        holders = list(accumulate(submodule.target.split(".")[:-1], "{}.{}".format))
        for holder in holders:
            if holder not in started:
                started.add(holder)
                start, end = _place(holder, body.lists)
                yield f"{start}{'nn.ModuleList()' if holder in body.lists else 'nn.ModuleDict()'}{end}"
        start, end = _place(submodule.target, body.lists, submodule.kind)
        yield from _made(start, index, submodule, parameters, end)


def _adds(kind: str) -> str:
    """Return the name of the method that adds something of this kind to a module."""
    return "register_parameter" if kind == TENSOR else "add_module"


def _place(target: str, lists: frozenset[str], kind: str = "nn.Module") -> tuple[str, str]:
    """Return the source before and after a submodule's constructor call that stores it at `target`."""
    holder, _, part = target.rpartition(".")
    inside = f"        {access(holder, lists) if holder else 'self'}"
    if kind != TENSOR and holder in lists:
        return f"{inside}.append(", ")"
    if kind != TENSOR and holder:
        return f'{inside}["{part}"] = ', ""
    plain = part.isidentifier() and not holder
    return (f"{inside}.{part} = ", "") if plain else (f'{inside}.{_adds(kind)}("{part}", ', ")")


def _made(start: str, index: int, submodule: Submodule, parameters: Parameters, end: str) -> Iterator[str]:
    """Return the lines that construct a submodule, between `start` and `end`."""
    if submodule.kind == "parameter":
        shown = {name: parameters.uses.get((index, name), value) for name, value in submodule.arguments.items()}
        names = [name.removesuffix(".shape") for name in shown if name.endswith(".shape")]
        items = [f'"{name}": torch.full({shown[f"{name}.shape"]}, {shown[f"{name}.fill"]})' for name in names]
        return wrapped(f"{start}nn.ParameterDict({{", items, f"}}){end}")
    if submodule.kind == TENSOR:
        shape, fill, deviation = (
            parameters.uses.get((index, name), value) for name, value in submodule.arguments.items()
        )
        drawn = f" + {deviation} * torch.randn({shape})" if deviation else ""
        return wrapped(f"{start}nn.Parameter(", [f"torch.full({shape}, {fill}){drawn}"], f"){end}")
    default = _defaults(submodule.kind)
    items = []
    for name, value in submodule.arguments.items():
        short = _short(name, value)
        if (index, name) in parameters.uses:
            items.append(f"{name}={parameters.uses[index, name]}")
        elif name not in default or default[name] != short:
            items.append(f"{name}={source(short)}")
    return wrapped(f"{start}{submodule.kind}(", items, f"){end}")


def _defaults(kind: str) -> dict[str, Any]:
    """Return the default arguments of a torch.nn module."""
    from torch import nn

    if not kind.startswith("nn."):
        return {}
    parameters = signature(getattr(nn, kind.removeprefix("nn."))).parameters
    return {name: each.default for name, each in parameters.items()}


def _short(name: str, value: Any) -> Any:
    """Return a single number for an equal pair, if torch accepts it for this argument."""
    return value[0] if name.endswith(PAIRS) and isinstance(value, tuple) and value == (value[0],) * 2 else value
