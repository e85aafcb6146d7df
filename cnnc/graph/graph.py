"""The typed graph: an expanded spec whose shapes are proved.

A `Graph` is frozen. Its nodes are in topological order, and every node has its output types. It does not depend on any
backend, and its users need not check it again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from cnnc.diagnostics import Allow, Note, Span
from cnnc.graph.output_kinds import class_count, default_kind
from cnnc.ops.base import Cost, Op
from cnnc.ops.types import TensorType, Types

T = TypeVar("T")


class Ref(NamedTuple):
    """A value: the output `port` (a position) of a node, or a graph input by its name."""

    node: str
    port: int = 0


class Picture(NamedTuple):
    """Preprocessing of a picture: mode, resize (shorter side, or height and width), crop, and normalisation.

    Pixels are scaled to 0..`scale` before the mean is subtracted.
    """

    mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    scale: int = 1


class Input(NamedTuple):
    """A graph input; `picture` is None if its channels are not those of a picture."""

    name: str
    type: TensorType
    picture: Picture | None = None
    span: Span | None = None


class Output(NamedTuple):
    """A graph output. A `train_only` one is an output of the training module only.

    `weight` is then the weight of its loss, if the spec has one. `kind` is the `as` of the spec, one of
    `output_kinds.KINDS`.
    """

    name: str
    ref: Ref
    train_only: bool = False
    span: Span | None = None
    weight: float | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """An op at its path, with its input values and output types.

    `shares` is the path of the node whose parameters it uses; its cost does not count them again.
    """

    path: str
    op: Op
    inputs: tuple[Ref, ...]
    outputs: Types
    cost: Cost
    span: Span | None = None
    shares: str | None = None

    @property
    def keys(self) -> str:
        """The path under which its parameters are in the state_dict."""
        return self.shares or self.path


class Boundary(NamedTuple):
    """What a scope takes, in the order of `from`, and what it gives, with the names of the ports ("" if only one).

    `span` is the op of the instance, `group` or `each` in the spec.
    """

    takes: tuple[Ref, ...]
    gives: Mapping[Ref, str]
    span: Span | None = None


@dataclass(frozen=True)
class Graph:
    """A proved network.

    `scopes` maps the path of every block instance, group and round to the name of its block; the nodes of a scope are
    contiguous in `nodes`. `boundaries` has an entry for each scope, until a pass changes the graph. `spec` is the
    resolved spec as plain data, to be recorded in artifacts. `passed_by` holds the nodes and inputs that an absent node
    would take, with a note on each. `allows` holds, by path, the warnings that the spec allows at a node and around it,
    the innermost `allow` first.
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    scopes: dict[str, str] = field(default_factory=dict)
    boundaries: Mapping[str, Boundary] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    description: str | None = None
    train: Any = None
    spec: dict[str, Any] = field(default_factory=dict)
    passed_by: Mapping[str, Note] = field(default_factory=dict)
    allows: Mapping[str, tuple[Allow, ...]] = field(default_factory=dict)
    partial: bool = False  # nodes that could not be proved are missing: for display only, not for lowering

    @cached_property
    def node(self) -> dict[str, Node]:
        """The nodes by path."""
        return {node.path: node for node in self.nodes}

    def owner(self, key: str) -> str | None:
        """Return the path of a node whose tensor has this key in the state_dict; None if there is no such node."""
        while key and key not in self._users:
            key = key.rpartition(".")[0]
        return self._users.get(key)

    @cached_property
    def _users(self) -> dict[str, str]:
        """The first node that uses the parameters at each path."""
        return {node.keys: node.path for node in reversed(self.nodes)}

    @cached_property
    def _derived(self) -> dict[tuple[object, ...], Any]:
        return {}

    def derived(self, compute: Callable[..., T], *names: str) -> T:
        """Return `compute(self, *names)`, cached."""
        key = compute, *names
        if key not in self._derived:
            self._derived[key] = compute(self, *names)
        found: T = self._derived[key]
        return found

    @cached_property
    def _input_types(self) -> dict[str, TensorType]:
        return {each.name: each.type for each in self.inputs}

    def type_of(self, ref: Ref) -> TensorType:
        """Return the type of a value."""
        node = self.node.get(ref.node)
        return node.outputs[ref.port] if node else self._input_types[ref.node]

    def kind_of(self, output: Output) -> str:
        """Return what an output holds, one of `output_kinds.KINDS`: its `as`, or the default for its shape."""
        return output.kind or default_kind(self.type_of(output.ref).shape, len(self.labels or ()))

    @property
    def labelled(self) -> tuple[Output, int] | None:
        """The output that `labels` name the classes of, the first that has classes, and their number."""
        shown = (each for each in self.outputs if not each.train_only)
        counts = ((each, class_count(self.kind_of(each), self.type_of(each.ref).shape)) for each in shown)
        return next(((each, count) for each, count in counts if count is not None), None)

    def input_types(self, node: Node) -> Types:
        """Return the types of a node's inputs."""
        return tuple(self.type_of(ref) for ref in node.inputs)

    def needed(self, outputs: Iterable[Output]) -> set[str]:
        """Return the nodes and inputs that these outputs depend on."""
        found = {each.ref.node for each in outputs}
        for node in reversed(self.nodes):
            if node.path in found:
                found.update(ref.node for ref in node.inputs)
        return found

    def scopes_of(self, path: str) -> Iterator[str]:
        """Yield the scopes around a path, outermost first."""
        at = path.find(".")
        while at >= 0:
            if path[:at] in self.scopes:
                yield path[:at]
            at = path.find(".", at + 1)

    def spelling(self, ref: Ref) -> str:
        """Return a value's name in specs and reports: `path`, or `path.port` if the node has several outputs."""
        node = self.node.get(ref.node)
        port = node.op.ports[ref.port] if node else ""
        return f"{ref.node}.{port}" if port else ref.node


def text(graph: Graph) -> str:
    """Return lines `path = op(attributes)(inputs) : shape`: first the inputs, then the nodes, then the outputs."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield f"network {graph.name}"
    for each in graph.inputs:
        yield f"input {each.name} : {each.type}"
    for node in graph.nodes:
        yield _line(graph, node)
    for output in graph.outputs:
        marks = [*(["train only"] if output.train_only else []), *([f"as {output.kind}"] if output.kind else [])]
        about = f" ({', '.join(marks)})" if marks else ""
        yield f"output {output.name} = {graph.spelling(output.ref)}{about}"


def _line(graph: Graph, node: Node) -> str:
    attributes = node.op.model_dump(exclude_defaults=True)
    written = ", ".join(f"{name}={value!r}" for name, value in attributes.items())
    takes = ", ".join(graph.spelling(ref) for ref in node.inputs)
    shared = f" sharing {node.shares}" if node.shares else ""
    return f"{node.path} = {node.op.name}({written})({takes}) : {', '.join(map(str, node.outputs))}{shared}"
