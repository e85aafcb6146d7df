"""The changes that correct an error of shapes, as changes of the text that an editor can make.

Takes `Remedy` objects; returns an `Advice` for each that has a form in the text. The others move a node, or need sizes
that follow from each instance of a block.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain, count

from cnnc.causes.remedy import Remedy, line
from cnnc.diagnostics import Advice, Change, Fix, Insert, Put, Span, Write
from cnnc.expand.edits import Attributes, Edit
from cnnc.expand.infer_node import Refused
from cnnc.language.model import Spec
from cnnc.ops.types import TensorType
from cnnc.text.value import Value


def choices_of(ways: Iterable[Remedy], node: Refused, spec: Spec) -> Iterator[Advice]:
    """Yield the changes of a text, one for each remedy or for each of its choices."""
    for way in ways:
        for each in way.choices or (way,):
            changes = _of_inputs(each.inputs, spec) if each.inputs else _of_edits(each.edits, node)
            if changes and not each.moves:
                yield Advice(each.text, Fix(tuple(changes), certain=False))


def _of_inputs(inputs: Mapping[str, TensorType], spec: Spec) -> list[Change]:
    """The sizes of the inputs that change; none if one is not written as a number."""
    written = spec.inputs.data if spec.inputs else None
    pairs = [pair for name, type in inputs.items() for pair in _sizes(written, name, type)]
    changed = [(value, size) for value, size in pairs if value is None or value.data != size]
    if any(value is None or not isinstance(value.data, int) for value, _ in changed):
        return []
    return [Write(value.span, size) for value, size in changed if value is not None]


def _sizes(written: object, name: str, type: TensorType) -> list[tuple[Value | None, int | None]]:
    """The sizes of an input as written, each with the wanted one."""
    given = written.get(name) if isinstance(written, dict) else None
    if isinstance(given, Value) and isinstance(given.data, dict):
        given = given.data.get("shape")
    if not isinstance(given, Value) or not isinstance(given.data, tuple) or len(given.data) != len(type.shape):
        return [(None, None)]
    return [*zip(given.data, type.shape, strict=True)]


def _of_edits(edits: Mapping[Span, Edit], node: Refused) -> list[Change]:
    """The changes of lines; none if one of them has no form in the text."""
    found: list[Change] = []
    for span, edit in edits.items():
        rewired = edit.sources or edit.before
        inputs = _of_its_inputs(node, edit) if rewired else []
        if edit.projected or (rewired and not inputs):
            return []
        found += [Write(span, edit.op)] if edit.op else []
        found += [*(Put(span, name, value) for name, value in edit.attributes.items()), *inputs]
    return found


def _of_its_inputs(node: Refused, edit: Edit) -> list[Change]:
    """Other names in the `from` of the refused node, and nodes before it; none if it is repeated."""
    taken = node.scope.local.bindings if node.scope else {}
    if line(node) != node.path or (node.names is not None and len(node.names) < len(node.wires)):
        return []
    if node.names is None:
        ops = edit.before.get(0, ())
        counted = any(op in taken for op, _ in ops)  # the numbers in the names of later nodes would change
        return [Insert(node.span, tuple(_written(*each) for each in ops))] if ops and not counted else []
    changes: list[Change] = [Write(node.names[at], name) for at, name in edit.sources.items()]
    put: list[object] = []
    last: dict[str, str] = {}  # a node may take a value twice
    for at, ops in edit.before.items():
        if (source := _text(node.names[at])) not in last:
            nodes, last[source] = _named(ops, source, taken)
            put += nodes
        changes.append(Write(node.names[at], last[source]))
    return [Insert(node.span, tuple(put)), *changes] if put else changes


def _named(ops: Iterable[tuple[str, Attributes]], source: str, taken: Container[str]) -> tuple[list[object], str]:
    """Nodes with names, each of which takes the one before it, the first one `source`; and the last name."""
    nodes: list[object] = []
    for op, attributes in ops:
        stem = f"{source.replace('.', '_')}_{op}"
        name = next(each for each in chain([stem], (f"{stem}_{n}" for n in count(2))) if each not in taken)
        nodes.append({op: {"name": name, "from": source, **attributes}})
        source = name
    return nodes, source


def _text(span: Span) -> str:
    """The name at a place, without quotes."""
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1].strip("\"'")


def _written(op: str, attributes: Attributes) -> object:
    return {op: dict(attributes)} if attributes else op
