"""The proof: turns a spec into a typed graph, or reports all errors.

Takes a `Spec` and the caller's values for its parameters; returns a `Graph` that later stages need not check again.
Errors that only follow from a failed node are not reported.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnnc.analysis.cost import FLOAT, totals
from cnnc.diagnostics import Code, Diagnostic, Note, Report, Span, counted
from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.expand.blocks import Blocks, Instance
from cnnc.expand.expander import Expander
from cnnc.expand.hints import Hints
from cnnc.expand.infer_node import Inference
from cnnc.expand.limits import TooMuch
from cnnc.expand.network_inputs import read_inputs
from cnnc.expand.network_outputs import find_outputs
from cnnc.expand.parameters import Variables, parameters
from cnnc.expand.scope import FAILED, UNKNOWN, UNKNOWN_WIRE, Binding, Bound, Names, Scope, Wire
from cnnc.expressions.budget import OutOfWork, Work
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.language.model import Item, Spec
from cnnc.text.value import Value

if TYPE_CHECKING:
    from cnnc.expand.edits import Edits

_OF_CLASSES = "only classes, probabilities and segmentations have labels; one channel is a segmentation of two classes"


def prove(
    spec: Spec,
    overrides: Mapping[str, Value],
    report: Report,
    *,
    edits: "Edits | None" = None,
    work: Work | None = None,
) -> Graph | None:
    """Expand the whole network and infer its shapes; None if its outputs cannot be known.

    `edits` replace lines of the spec for a trial; `work` counts the operations.
    """
    hints = Hints(report, spec.params, overrides)
    work = work or Work()
    try:
        variables = _parameters(spec, overrides, hints, work)
        if spec.inputs is None:
            _rehearse_items(spec, variables, hints, work)
            return None
        return _prove(spec, spec.inputs, variables, hints, Inference(work, edits))
    except OutOfWork as error:
        hints(error.diagnostic())
        return None
    except TooMuch:
        return None


def _prove(spec: Spec, given: Value, variables: Variables, hints: Hints, inference: Inference) -> Graph:
    work = inference.work
    inputs = read_inputs(given, Scope("", Names(), hints, variables, work), hints)
    report = hints.with_inputs(inputs.values())
    bindings: dict[str, Binding] = {
        name: Bound({"": Wire(Ref(name), each.type, each.span)}) if each else FAILED for name, each in inputs.items()
    }
    only = next(iter(bindings.values())) if len(bindings) == 1 else None
    names = Names(bindings, {name: given.keys[name] for name in inputs}, last=only)
    top = Scope("", names, report, variables, work)
    blocks = Blocks(spec.blocks)
    expander = Expander(blocks, inference)
    last = expander.expand_items(spec.items, top)
    _rehearse_blocks(blocks, inference, report)
    outputs = find_outputs(spec, last, top)
    return Graph(
        name=spec.name,
        inputs=tuple(each for each in inputs.values() if each),
        nodes=tuple(inference.nodes),
        outputs=outputs,
        scopes=_filled(inference),
        boundaries=inference.boundaries,
        labels=spec.labels,
        description=spec.description,
        train=spec.train,
        spec=resolved(spec, variables),
        passed_by=expander.passed_by(),
        allows=inference.allows,
        partial=inference.failures > 0 or not outputs,
    )


# -- nodes whose inputs are unknown: mostly their values and names are checked, because all shapes are unknown


def _rehearse_items(spec: Spec, variables: Variables, report: Report, work: Work) -> None:
    """Check the nodes of a spec without inputs, and its blocks."""

    def report_sure(diagnostic: Diagnostic) -> None:
        if diagnostic.code not in (Code.UNKNOWN_NODE, Code.FAILED_EXPRESSION):  # it may refer to an input
            report(diagnostic)

    blocks, inference = Blocks(spec.blocks), Inference(work)
    Expander(blocks, inference).expand_items(spec.items, Scope("", Names(last=FAILED), report_sure, variables, work))
    _rehearse_blocks(blocks, inference, report)


def _rehearse_blocks(blocks: Blocks, used: Inference, report: Report) -> None:
    """Check the blocks that are not `used`, as instances with unknown inputs and parameters."""

    def report_plainly(diagnostic: Diagnostic) -> None:
        report(replace(diagnostic, notes=diagnostic.notes[:-1]))  # the instance is artificial, without a place

    for name, block in blocks.by_name.items():
        if name not in used.scopes.values():
            item = Item(name, block.span, Value({}, block.span))
            wires = tuple(UNKNOWN_WIRE for _ in block.inputs)
            instance = Instance(item, name, wires, Scope("", Names(), report_plainly, {}, used.work))
            expander = Expander(blocks, Inference(used.work), rehearsed=True)
            expander.expand_block(block, instance, {}, {}, block.params.keys())


def _filled(inference: Inference) -> dict[str, str]:
    """The scopes that hold nodes, in the order of the file."""
    filled = set()
    for node in inference.nodes:
        path = node.path
        while (end := path.rfind(".")) >= 0 and (path := path[:end]) not in filled:
            filled.add(path)
    return {path: kind for path, kind in inference.scopes.items() if path in filled}


def check_whole(graph: Graph, spec: Spec, report: Report) -> None:
    """Check what needs a network without other errors: unused nodes, labels, and the budget."""
    _check_used(graph, report)
    _check_labels(graph, spec, report)
    _check_budget(graph, spec, report)


def resolved(spec: Spec, variables: Mapping[str, object]) -> dict[str, Any]:
    """The spec as self-contained plain data, with parameters set and the blocks of other files included.

    `allow` is removed, because it does not change the network.
    """
    plain: dict[str, Any] = spec.root.plain()
    plain["name"] = spec.name
    if variables:
        plain["params"] = {name: _literal(value) for name, value in variables.items() if value is not UNKNOWN}
    if plain.pop("use", None):
        plain["blocks"] = {name: block.text.plain() for name, block in spec.blocks.items() if block.text}
    blocks = plain.get("blocks")
    for part in (plain, *(blocks.values() if isinstance(blocks, dict) else ())):
        _leave_out_allow(part)
    return plain


def _leave_out_allow(part: Any) -> None:
    """Remove every `allow` from a spec, a block or a node, and from the nodes in it."""
    if isinstance(part, dict):
        part.pop("allow", None)
        nodes = part.get("nodes")
        for item in nodes if isinstance(nodes, list) else ():
            for attributes in item.values() if isinstance(item, dict) else ():
                _leave_out_allow(attributes)


def _literal(value: object) -> object:
    """A value as written in a spec: dollar signs are doubled."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [_literal(each) for each in value]
    return {key: _literal(each) for key, each in value.items()} if isinstance(value, dict) else value


def _parameters(spec: Spec, overrides: Mapping[str, Value], report: Report, work: Work) -> Variables:
    for name, value in overrides.items():
        if name not in spec.params:
            help = did_you_mean(name, spec.params) or "the spec has no `params`"
            report(
                Diagnostic(Code.UNKNOWN_PARAM, f"`{spec.name}` has no parameter `{name}` to set", value.span, help=help)
            )
    missing = {name for name, value in spec.params.items() if value.data is None and name not in overrides}
    for name in missing:
        span = spec.params[name].span
        way_out = f"set it: `set={{'{name}': …}}`" if span.path else f"set it: `--set {name}=…`"
        report(Diagnostic(Code.MISSING_KEY, f"the parameter `{name}` has no value", span, help=way_out))
    scope = Scope("", Names(), report, {}, work)
    given = {name: value for name, value in overrides.items() if name in spec.params}
    return parameters({**spec.params, **given}, {}, scope, missing)


def _check_used(graph: Graph, report: Report) -> None:
    """Report nodes and inputs that no output needs; of a chain of such nodes, the last."""
    needed = graph.needed(graph.outputs)
    used = {ref.node for node in graph.nodes for ref in node.inputs}
    elsewhere: dict[Span | None, str] = {node.span: node.path for node in graph.nodes if node.path in needed}
    for each in graph.inputs:
        if each.name not in needed:
            message, way_out = f"the input `{each.name}` is not used", "remove it, or name it in a `from`"
            report(Diagnostic(Code.DEAD_NODE, message, each.span, notes=_passed_by(graph, each.name), help=way_out))
    for node in graph.nodes:
        if node.path not in needed and node.path not in used:
            message = f"nothing uses `{node.path}`, and it is not an output"
            way_out = "name it in a `from` or in `outputs`, or remove it"
            if node.span in elsewhere:
                way_out = _unlike_others(node, elsewhere[node.span])
            report(Diagnostic(Code.DEAD_NODE, message, node.span, notes=_passed_by(graph, node.path), help=way_out))


def _unlike_others(node: Node, used: str) -> str:
    """A help line for an unused node of a line whose node `used` is used."""
    scope, _, name = node.path.rpartition(".")
    if used.rpartition(".")[0] != scope:
        last = "`when: $(not last)`, and `last: $(i == n - 1)` where the block is repeated"
        return f"other instances use theirs; leave this one out with a parameter of the block: {last}"
    if re.fullmatch(rf"{node.op.name}_\d+", name):
        own = f"{node.op.name}_$i"
        return f"in each round it has another name: write `name: {own}`, and `{own}` in the `from` that should take it"
    return "other rounds use theirs; leave it out of this one, for example with `when: $(i < n - 1)`"


def _passed_by(graph: Graph, name: str) -> tuple[Note, ...]:
    return (graph.passed_by[name],) if name in graph.passed_by else ()


def _check_labels(graph: Graph, spec: Spec, report: Report) -> None:
    shown = [each for each in graph.outputs if not each.train_only]
    if not graph.labels or not shown:
        return
    output, count = graph.labelled or (shown[0], None)
    if count != len(graph.labels):
        shape = graph.type_of(output.ref)
        noun = "feature" if shape.is_vector else "channel"
        what = f"is {shape}, not classes" if count is None else f"has {counted(shape.channels, noun)}"
        are = "is" if len(graph.labels) == 1 else "are"
        message = f"there {are} {counted(len(graph.labels), 'label')}, but the output `{output.name}` {what}"
        notes = (Note(f"`{output.ref.node}` is {shape}", graph.node[output.ref.node].span),)
        span = spec.root.at("labels").span
        help = f"give one label for each {noun}, in order" if count == shape.channels else _OF_CLASSES
        report(Diagnostic(Code.BAD_VALUE, message, span, notes=notes, help=help))


def _check_budget(graph: Graph, spec: Spec, report: Report) -> None:
    if spec.budget is None:
        return
    found = totals(graph)
    for key, amount in (("params", found.params), ("macs", found.macs), ("activations", found.activation_bytes)):
        limit = getattr(spec.budget, key)
        if limit is not None and amount is not None and amount > limit:
            noun = {"params": "parameters", "macs": "MACs", "activations": "bytes of activations"}[key]
            message = f"the network has {amount:,} {noun}, {amount - limit:,} over the budget of {limit:,}"
            report(
                Diagnostic(
                    Code.OVER_BUDGET,
                    message,
                    spec.root.at("budget", key).span,
                    notes=(Note(_largest(graph, key)),),
                    help="make the network smaller, or raise the budget",
                )
            )


def _largest(graph: Graph, key: str) -> str:
    """A note on the three largest nodes: by parameters, by MACs, or by the bytes of their outputs."""
    if key == "activations":
        weights = {node.path: sum(each.elements or 0 for each in node.outputs) * FLOAT for node in graph.nodes}
    else:
        weights = {node.path: (node.cost.params if key == "params" else node.cost.macs) or 0 for node in graph.nodes}
    most = sorted(weights, key=lambda path: -weights[path])[:3]
    listed = ", ".join(f"`{path}` ({weights[path]:,})" for path in most if weights[path])
    return f"the largest outputs are those of {listed}" if key == "activations" else f"most are in {listed}"
