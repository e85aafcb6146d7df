"""What a picture shows of a network: its nodes with labels, shapes and costs, and the scopes that hold them.

Takes a proved graph; returns a `Sketch`, which knows no ops. A network that is no `Graph`, such as an ONNX file with
ops that cnnc does not have, can be made a `Sketch` too, and the later stages are the same.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cnnc.analysis.cost import alive_bytes, bytes_of, totals
from cnnc.analysis.receptive_field import Field, Side, receptive_fields
from cnnc.diff.changes import spell
from cnnc.drawing.labels import family, label
from cnnc.graph.graph import Graph, Node, Ref


@dataclass(frozen=True, slots=True)
class SketchNode:
    """A node: its label, its colour family, and the facts that a page shows of it.

    Nodes of equal `alike` differ only in the sizes of their inputs. `sizes` holds the positions of inputs of which
    only the size counts. `facts` and `at` (a file and a line of it) are for people.
    """

    path: str
    op: str
    label: str
    family: str
    inputs: tuple[Ref, ...]
    shapes: tuple[str, ...]
    channels: int
    params: int = 0
    macs: int | None = 0
    memory: int | None = None
    alike: int = 0
    sizes: tuple[int, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    at: tuple[str, int] | None = None


@dataclass(frozen=True)
class Sketch:
    """A network. `scopes` maps the paths of scopes to the names of their blocks; nodes of a scope are contiguous.

    `inputs` maps names to shapes, `outputs` names to values, `texts` the names of files to their text. `summary` has
    the totals in words, `reach` the largest receptive field that is less than everything, `alive` the bytes of
    activations that are alive while a node runs. `marks` gives nodes a mark, such as `added`, that colours them.
    """

    name: str
    description: str
    inputs: Mapping[str, str]
    nodes: tuple[SketchNode, ...]
    outputs: Mapping[str, Ref]
    scopes: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    reach: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    alive: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)

    def with_files(self, rename: Callable[[str], str]) -> "Sketch":
        """Return the same sketch with other names of its files."""
        nodes = (replace(node, at=(rename(node.at[0]), node.at[1])) if node.at else node for node in self.nodes)
        return replace(self, nodes=tuple(nodes), texts={rename(name): text for name, text in self.texts.items()})


def sketch(graph: Graph, marks: Mapping[str, str] | None = None) -> Sketch:
    """Return the sketch of a graph, whose sizes may be open."""
    fields = receptive_fields(graph)
    kinds: dict[Hashable, int] = {}
    spans = [each.span for each in graph.inputs] + [each.span for each in graph.nodes]
    return Sketch(
        name=graph.name,
        description=graph.description or "",
        inputs={each.name: str(each.type) for each in graph.inputs},
        nodes=tuple(_node(graph, node, fields.get(node.path), kinds) for node in graph.nodes),
        outputs={each.name: each.ref for each in graph.outputs},
        scopes=graph.scopes,
        summary=_summary(graph),
        reach=_reach(fields.values()),
        texts={span.source.name: span.source.text for span in spans if span and span.source.text},
        alive=alive_bytes(graph) or {},
        marks=marks or {},
    )


def _node(graph: Graph, node: Node, seen: Field | None, kinds: dict[Hashable, int]) -> SketchNode:
    first = node.outputs[0].shape
    at = (node.span.source.name, node.span.line) if node.span and node.span.source.text else None
    return SketchNode(
        path=node.path,
        op=node.op.name,
        label=label(node.op, graph.input_types(node)),
        family=family(node.op.name),
        inputs=node.inputs,
        shapes=tuple(map(str, node.outputs)),
        channels=(first[-1] if len(first) == 2 else first[0]) or 1,
        params=node.cost.params,
        macs=node.cost.macs,
        memory=bytes_of(node.outputs),
        alike=kinds.setdefault((node.op.name if node.op.drops else node.op, bool(node.shares)), len(kinds)),
        sizes=node.op.unread,
        facts=_facts(graph, node, seen),
        at=at,
    )


def _facts(graph: Graph, node: Node, seen: Field | None) -> dict[str, str]:
    """Return attributes that differ from their defaults, and the receptive field, in words."""
    own: dict[str, Any] = node.op.model_dump(exclude_defaults=True)
    facts = {name: spell(value) for name, value in own.items()}
    facts["from"] = ", ".join(map(graph.spelling, node.inputs)) or "nothing"
    if node.shares:
        facts["parameters of"] = node.shares
    if seen is not None:
        facts["receptive field"] = " × ".join(map(_seen, (seen.height, seen.width)))
        strides = [str(side.stride) for side in (seen.height, seen.width) if side.stride is not None]
        facts |= {"stride in the input": " × ".join(dict.fromkeys(strides))} if strides else {}
    return facts


def _reach(fields: Iterable[Field]) -> str:
    """Return the largest receptive field of a node that does not see everything; empty if there is none."""
    sides = [(each.height, each.width) for each in fields]
    sizes = [(a.size or 0, b.size or 0) for a, b in sides if not (a.whole or b.whole)]
    return " × ".join(map(str, max(sizes))) if sizes else ""


def _seen(side: Side) -> str:
    return "everything" if side.whole else "?" if side.size is None else str(side.size)


def _summary(graph: Graph) -> str:
    sums = totals(graph)
    memory = "" if sums.activation_bytes is None else f" · activations {sums.activation_bytes / 1e6:,.2f} MB"
    return f"{short(sums.params)} parameters · {short(sums.macs)} MACs{memory}"


def short(number: int | None) -> str:
    """Return a number with three digits and a unit: `6.07 M`."""
    if number is None:
        return "?"
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= limit * 0.9995:
            return f"{number / limit:.{2 if number < 10 * limit else 1 if number < 100 * limit else 0}f}{unit}"
    return str(number)
