"""The proof: a spec becomes a typed graph, or all that is wrong with it is said.

In: a `Spec` and the parameters that the caller sets. Out: a `Graph` that nothing downstream need check again. What a
failed node would have said about its users is left unsaid.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.graph.cost import totals
from cnnc.graph.expand import Expander, TooMuch
from cnnc.graph.graph import Graph, Output, Ref
from cnnc.graph.ports import read_inputs
from cnnc.graph.rehearse import rehearse_blocks, rehearse_items
from cnnc.graph.scope import Binding, Bound, Pending, Scope, Wire, literal_names
from cnnc.graph.values import parameters
from cnnc.spec.model import Block, OutputPart, Spec
from cnnc.spec.suggestions import did_you_mean
from cnnc.spec.validate import show, validate
from cnnc.spec.value import Value

Report = Callable[[Diagnostic], None]


def prove(spec: Spec, overrides: Mapping[str, Value], report: Report) -> Graph | None:
    """Expand and infer the whole network; None where its outputs cannot be known."""
    variables = _parameters(spec, overrides, report)
    try:
        if spec.inputs is None:
            rehearse_items(spec.items, spec.blocks, variables, report)
            return None
        return _prove(spec, spec.inputs, variables, report)
    except TooMuch:
        return None


def _prove(spec: Spec, given: Value, variables: dict[str, object], report: Report) -> Graph:
    expander = Expander(spec.blocks, report)
    top = Scope("", variables, {}, literal_names(spec.items))
    inputs = read_inputs(given, top, report)
    for name, each in inputs.items():
        top.given[name] = given.keys[name]
        top.bindings[name] = Bound({"": Wire(Ref(name), each.type, each.span)}) if each else Bound(failed=True)
    before = next(iter(top.bindings.values())) if len(inputs) == 1 else None
    last = expander.run(spec.items, top, before)
    expander.settle(top)
    rehearse_blocks(spec.blocks, expander.scopes.values(), report)
    outputs = _outputs(spec, last, top, expander, report)
    return Graph(
        name=spec.name,
        inputs=tuple(each for each in inputs.values() if each),
        nodes=tuple(expander.inference.nodes),
        outputs=outputs,
        scopes=expander.scopes,
        labels=spec.labels,
        description=spec.description,
        train=spec.train,
        spec=resolved(spec, variables),
    )


def check_whole(graph: Graph, spec: Spec, report: Report) -> None:
    """What can be said only of a network without other faults: dead nodes, labels, and the budget."""
    _check_used(graph, report)
    _check_labels(graph, spec, report)
    _check_budget(graph, spec, report)


def resolved(spec: Spec, variables: Mapping[str, object]) -> dict[str, Any]:
    """The spec as plain data that stands by itself: parameters set, the blocks of other files in it."""
    plain: dict[str, Any] = spec.root.plain()
    plain["name"] = spec.name
    if variables:
        plain["params"] = dict(variables)
    if plain.pop("use", None):
        plain["blocks"] = {name: block.text.plain() for name, block in spec.blocks.items() if block.text}
    return plain


def _parameters(spec: Spec, overrides: Mapping[str, Value], report: Report) -> dict[str, object]:
    for name, value in overrides.items():
        if name not in spec.params:
            help = did_you_mean(name, spec.params) or "the spec has no `params`"
            report(
                Diagnostic(Code.UNKNOWN_PARAM, f"`{spec.name}` has no parameter `{name}` to set", value.span, help=help)
            )
    missing = {name for name, value in spec.params.items() if value.data is None and name not in overrides}
    for name in missing:
        span = spec.params[name].span
        report(
            Diagnostic(
                Code.MISSING_KEY, f"the parameter `{name}` has no value", span, help=f"give it one: `--set {name}=…`"
            )
        )
    return parameters(spec.params, overrides, {}, report, missing)


def _outputs(spec: Spec, last: Binding | None, top: Scope, expander: Expander, report: Report) -> tuple[Output, ...]:
    """The outputs that the spec names, or its last node."""
    if not spec.items:
        report(
            Diagnostic(
                Code.NO_INPUT_OR_OUTPUT, "the network has no nodes", spec.root.at("nodes").span, help="add a node"
            )
        )
        return ()
    if spec.outputs is None:
        bound = last.bound if isinstance(last, Pending) else last
        wires = {"": bound.ports[""]} if bound and "" in bound.ports else {}
        if bound and not bound.failed and not wires:
            names = ", ".join(f"`{port}`" for port in bound.ports)
            span = spec.items[-1].span
            report(
                Diagnostic(
                    Code.PORT,
                    f"the last node has several outputs ({names})",
                    span,
                    help="name what the network shows in `outputs`",
                )
            )
        named = [(wire, "", False, spec.items[-1].span) for wire in wires.values()]
    else:
        named = _named(spec.outputs, top, expander, report)
    found = []
    for wire, name, train_only, span in named:
        if wire.ref.node in top.bindings and wire.ref.node in {each for each in spec.inputs.data}:  # type: ignore[union-attr]
            report(
                Diagnostic(
                    Code.NO_INPUT_OR_OUTPUT,
                    f"the output is the input `{wire.ref.node}` itself",
                    span,
                    help="name a node",
                )
            )
        elif wire.type is not None:
            found.append(Output(name or wire.ref.node, wire.ref, train_only, span))
    if found and all(each.train_only for each in found):
        report(
            Diagnostic(
                Code.NO_INPUT_OR_OUTPUT, "every output is `only: train`, so nothing is left to export", found[0].span
            )
        )
    return tuple(found)


def _named(value: Value, top: Scope, expander: Expander, report: Report) -> list[tuple[Wire, str, bool, Span]]:
    block = Block("outputs", value.span, ())
    if isinstance(value.data, dict) and value.data:
        entries = [(name, item, value.keys[name]) for name, item in value.data.items()]
    else:
        items = value.data if isinstance(value.data, tuple) else (value,)
        entries = [(str(item.data), item, item.span) for item in items]
        if not items or not all(isinstance(item.data, str) for item in items):
            message = (
                f"`outputs` must be a name, a list of names, or a mapping of names to nodes, got {show(value.plain())}"
            )
            report(Diagnostic(Code.BAD_VALUE, message, value.span))
            return []
    found = []
    for name, item, span in entries:
        part = OutputPart.model_validate({"from": item.data}) if isinstance(item.data, str) else None
        part = part or validate(OutputPart, item, f"output `{name}`", report)
        if part is None:
            continue
        source = item.at("from") if isinstance(item.data, dict) else item
        wire = expander.ports(replace(block, outputs={"": source}), None, top).ports.get("")
        if wire is not None:
            found.append((wire, name, part.only == "train", span))
    return found


def _check_used(graph: Graph, report: Report) -> None:
    """Report what no output needs: of a chain of such nodes, the last."""
    needed = {each.ref.node for each in graph.outputs}
    used = {ref.node for node in graph.nodes for ref in node.inputs}
    for node in reversed(graph.nodes):
        if node.path in needed:
            needed |= {ref.node for ref in node.inputs}
    for each in graph.inputs:
        if each.name not in needed:
            message = f"the input `{each.name}` is not used"
            report(Diagnostic(Code.DEAD_NODE, message, each.span, help="take it out, or name it in a `from`"))
    for node in graph.nodes:
        if node.path not in needed and node.path not in used:
            message = f"nothing uses `{node.path}`, and it is no output"
            report(
                Diagnostic(
                    Code.DEAD_NODE, message, node.span, help="name it in a `from` or in `outputs`, or take it out"
                )
            )


def _check_labels(graph: Graph, spec: Spec, report: Report) -> None:
    shown = [each for each in graph.outputs if not each.train_only]
    if not graph.labels or not shown:
        return
    shape = graph.type_of(shown[0].ref)
    if shape.elements != len(graph.labels):
        message = f"there are {len(graph.labels)} labels, but the output `{shown[0].name}` is {shape}"
        report(
            Diagnostic(
                Code.BAD_VALUE, message, spec.root.at("labels").span, help="give one label for each output feature"
            )
        )


def _check_budget(graph: Graph, spec: Spec, report: Report) -> None:
    if spec.budget is None:
        return
    found = totals(graph)
    for key, amount in (("params", found.params), ("macs", found.macs), ("activations", found.activation_bytes)):
        limit = getattr(spec.budget, key)
        if limit is not None and amount is not None and amount > limit:
            message = f"the network has {amount:,} {key}, {amount - limit:,} over the budget of {limit:,}"
            if key == "activations":
                message = f"activations take {amount:,} bytes, {amount - limit:,} over the budget of {limit:,}"
            report(
                Diagnostic(
                    Code.OVER_BUDGET,
                    message,
                    spec.root.at("budget", key).span,
                    help="make the network smaller, or raise the budget",
                )
            )
