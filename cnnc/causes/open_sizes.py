"""Checks a network with an open height or width: whether any sizes fit, and whether rules can describe them.

Takes a proved graph; reports at most one diagnostic. A network without one can be built: there are sizes to verify it
with, and its contract can describe the sizes that it takes.
"""

import re
from dataclasses import replace

from cnnc.analysis import size_questions as trials
from cnnc.analysis.accepted_sizes import SCANNED, Rules, size_rules
from cnnc.analysis.size_questions import Trial
from cnnc.diagnostics import Code, Diagnostic, Report
from cnnc.expand.infer_node import MAX_ELEMENTS, SMALLER, Refused, known_elements
from cnnc.expand.scope import Wire
from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops.base import Refusal
from cnnc.ops.types import Types
from cnnc.ops.window import SIDES

FIXED = "give the input a fixed height and width"


def check_sizes(graph: Graph, report: Report) -> None:
    """Report a network that no size fits, or whose fitting sizes no rules can describe."""
    rules = size_rules(graph)
    if not rules.told:
        span = next(each.span for each in graph.inputs if not each.type.known)
        message = f"finding the heights and widths that fit takes more than {trials.MAX_STEPS:,} steps"
        report(Diagnostic(Code.UNKNOWN_SIZE, message, span, help=FIXED))
        return
    trial = Trial(graph)
    if not rules.examples and None in [rule.smallest for rule in rules.by_side]:
        report(_none_fits(trial, rules))
    elif not rules.examples and rules.clash:
        report(_clash(trial, *rules.clash))
    else:
        smallest = rules.examples[0] if rules.examples else _smallest(trial, rules)
        if fault := _too_big(trial, smallest):
            report(fault)


def _none_fits(trial: Trial, rules: Rules) -> Diagnostic:
    axis = 0 if rules.height and rules.height.smallest is None else 1
    space = (SCANNED, None) if axis == 0 else (None, SCANNED)
    node, refusal = trial.refusal(trial.alike(*space))
    message = f"no {SIDES[axis]} up to {SCANNED:,} works: at {SCANNED:,}, {_message(trial, refusal, node.path)}"
    origin = _origin(trial, node, refusal, trial.alike(*space))
    return Diagnostic(refusal.code, message, node.span, help=refusal.help, origin=origin)


def _origin(trial: Trial, node: Node, refusal: Refusal, inputs: Types) -> Refused | None:
    """The input for the search for the cause: the node and all nodes before it, with the types for these inputs."""
    if node.span is None:
        return None
    given = dict(zip((Ref(each.name) for each in trial.graph.inputs), inputs, strict=True))
    nodes = []
    for each, types in trial.types(inputs):
        if each is node:
            break
        nodes.append(replace(each, outputs=types))
        given.update((Ref(each.path, port), type) for port, type in enumerate(types))
    wires = tuple(Wire(ref, given[ref]) for ref in node.inputs)
    return Refused(node.path, node.op, wires, refusal, node.span, nodes=tuple(nodes))


def _clash(trial: Trial, height: int, width: int) -> Diagnostic:
    node, refusal = trial.refusal(trial.alike(height, width))
    at = f"at {height}×{width}, {_message(trial, refusal, node.path)}"
    return Diagnostic(Code.UNKNOWN_SIZE, f"the heights that fit depend on the width: {at}", node.span, help=FIXED)


def _smallest(trial: Trial, rules: Rules) -> Types:
    """The types of the inputs at the smallest sizes that fit; fixed sizes stay."""
    height, width = rules.smallest
    return trial.alike(height if rules.height else None, width if rules.width else None)


def _too_big(trial: Trial, inputs: Types) -> Diagnostic | None:
    """E311 for an activation that is too large even at the smallest input sizes."""
    for node, types in trial.types(inputs):
        most = max(map(known_elements, types))
        if most > MAX_ELEMENTS:
            given = " and ".join(map(str, inputs))
            message = f"with an input of {given}, the smallest, the output of `{node.path}` has {most:,} elements"
            return Diagnostic(Code.TOO_BIG, f"{message}; at most {MAX_ELEMENTS:,} are allowed", node.span, help=SMALLER)
    return None


def _message(trial: Trial, refusal: Refusal, path: str) -> str:
    """The message of a refusal, with its inputs by name."""
    names = [each.node for each in trial.graph.node[path].inputs]
    return re.sub(r"\binput (\d+)\b", lambda found: f"`{names[int(found[1])]}`", refusal.message)
