"""Finds the outputs of a network: those that the spec names, or its last node.

Takes the spec, the binding of its last node, and the top scope after expansion; returns `Output`s, without those of
failed nodes.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Span
from cnnc.expand.references import find_wire, read_reference
from cnnc.expand.scope import Bound, Scope, Wire
from cnnc.expressions.strings import evaluate_value
from cnnc.graph.graph import Output
from cnnc.graph.output_kinds import default_kind, misfit
from cnnc.language.model import OutputPart, Spec
from cnnc.language.names import check_name
from cnnc.language.validate import show, validate
from cnnc.text.value import Value


class _Shown(NamedTuple):
    wire: Wire
    name: str
    span: Span
    train_only: bool = False
    weight: float | None = None
    kind: str | None = None
    kind_span: Span | None = None


def find_outputs(spec: Spec, last: Bound | None, top: Scope) -> tuple[Output, ...]:
    """The outputs whose values are known."""
    if not spec.items:
        nodes = spec.root.at("nodes")
        if nodes is not spec.root:  # a missing key has been reported as another error
            way_out = "add one: `- conv: {out: 6, kernel: 5}`"
            top.report(Diagnostic(Code.NO_INPUT_OR_OUTPUT, "the network has no nodes", nodes.span, help=way_out))
        return ()
    shown = _last(spec, last, top) if spec.outputs is None else list(_named(spec.outputs, top))
    inputs = spec.inputs.plain() if spec.inputs else {}
    shown = [each for each in shown if _fits(each, inputs, top)]
    found = tuple(
        Output(each.name, each.wire.ref, each.train_only, each.span, each.weight, each.kind) for each in shown
    )
    if found and all(each.train_only for each in found):
        message = "every output is `only: train`, so nothing is left to export"
        way_out = "remove `only: train` from the output that predicts"
        top.report(Diagnostic(Code.NO_INPUT_OR_OUTPUT, message, found[0].span, help=way_out))
    return found


def _last(spec: Spec, bound: Bound | None, top: Scope) -> list[_Shown]:
    """The last node, if it has a single output."""
    span = spec.items[-1].span
    if bound is None or bound.failed:
        return []
    if "" not in bound.ports:
        names = ", ".join(f"`{port}`" for port in bound.ports)
        message, way_out = f"the last node has several outputs ({names})", "name the network's outputs in `outputs`"
        top.report(Diagnostic(Code.PORT, message, span, help=way_out))
        return []
    return [_Shown(bound.ports[""], bound.ports[""].ref.node, span)]


def _named(value: Value, top: Scope) -> Iterator[_Shown]:
    if isinstance(value.data, dict) and value.data:
        entries = [(name, item, value.keys[name]) for name, item in value.data.items()]
    else:
        items = value.data if isinstance(value.data, tuple) else (value,)
        if not items or not all(isinstance(item.data, str) for item in items):
            kinds = "a name, a list of names, or a mapping of names to nodes"
            message = f"`outputs` must be {kinds}, got {show(value.plain())}"
            top.report(Diagnostic(Code.BAD_VALUE, message, value.span, help="for example `outputs: {logits: fc}`"))
            return
        entries = [(str(item.data), item, item.span) for item in items]
    seen: dict[str, Span] = {}
    for name, item, span in entries:
        if _name_is_free(name, span, seen, isinstance(value.data, dict), top):
            try:
                yield from _read(name, item, span, top)
            except CnncError as error:
                top.report_all(error)
        seen.setdefault(name, span)


def _name_is_free(name: str, span: Span, seen: dict[str, Span], is_new: bool, top: Scope) -> bool:
    """Whether the name of an output is valid and not taken; reports the error if not."""
    if name in seen:
        notes = (Note("first here", seen[name]),)
        top.report(Diagnostic(Code.DUPLICATE_NAME, f"the output `{name}` is named twice", span, notes=notes))
        return False
    return not is_new or check_name(name, span, top.report, "an output")


def _read(name: str, item: Value, span: Span, top: Scope) -> Iterator[_Shown]:
    part = OutputPart.model_validate({"from": item.data}) if isinstance(item.data, str) else None
    part = part or validate(OutputPart, item, f"output `{name}`", top.report)
    if part is not None:
        source = item.at("from") if isinstance(item.data, dict) else item
        wire = find_wire(read_reference(evaluate_value(source, top)), top)
        yield _Shown(wire, name, span, part.only == "train", part.weight, part.kind, item.at("as").span)


def _fits(shown: _Shown, inputs: Collection[str], top: Scope) -> bool:
    """Whether an output is known, is not an input, does not have the name of one, and can hold what its `as` says."""
    if shown.wire.type is None:
        return False
    if shown.wire.ref.node in inputs:
        message, way_out = (
            f"the output is the input `{shown.wire.ref.node}` itself",
            "name a node instead",
        )
        top.report(Diagnostic(Code.NO_INPUT_OR_OUTPUT, message, shown.span, help=way_out))
    elif shown.name in inputs:
        message, way_out = f"an output and an input are both named `{shown.name}`", "rename the output"
        top.report(Diagnostic(Code.DUPLICATE_NAME, message, shown.span, help=way_out))
    elif shown.kind is not None and (needed := misfit(shown.kind, shown.wire.type.shape)):
        message = f"`as: {shown.kind}` needs {needed}, but the output `{shown.name}` is {shown.wire.type.described}"
        notes = (Note(f"`{shown.wire.ref.node}` is {shown.wire.type}", shown.wire.span),)
        way_out = f"write `as: {default_kind(shown.wire.type.shape)}`, or name another node"
        top.report(Diagnostic(Code.BAD_VALUE, message, shown.kind_span, notes=notes, help=way_out))
    else:
        return True
    return False
