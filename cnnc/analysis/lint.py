"""Lints: warnings about valid specs that are probably not intended.

Takes a proved graph and yields diagnostics with `W` codes, each with its node. Lints that depend on a single op and its
input types are in `Op.remarks`; those that depend on neighbouring nodes are here.
"""

from collections.abc import Iterator

from cnnc.diagnostics import Code, Diagnostic, Note
from cnnc.graph.graph import Graph, Node, Ref


def lint(graph: Graph) -> Iterator[tuple[Node, Diagnostic]]:
    """Yield every lint of the graph, in the order of its nodes."""
    users: dict[Ref, list[Node]] = {}
    for node in graph.nodes:
        for ref in node.inputs:
            users.setdefault(ref, []).append(node)
    shown = {each.ref for each in graph.outputs}
    for node in graph.nodes:
        for remark in node.op.remarks(*graph.input_types(node)):
            yield node, Diagnostic(remark.code, remark.message, node.span, help=remark.help)
        only = users.get(Ref(node.path), []) if Ref(node.path) not in shown else []
        if len(only) == 1:
            yield from ((node, diagnostic) for diagnostic in _cancelled(node, only[0]))
        if Ref(node.path) in shown and node.op.drops:
            message = f"`{node.path}` drops values of an output, so the loss sees zeros in place of predictions"
            yield node, Diagnostic(Code.DROPOUT_AT_OUTPUT, message, node.span, help="put it before the last layer")


def _cancelled(node: Node, user: Node) -> Iterator[Diagnostic]:
    """Yield a lint for each parameter of `node` that its only user, a norm, cancels."""
    if not user.op.normalises_channels:
        return
    notes = (Note(f"`{user.path}` normalises it here", user.span),)
    if node.op.normalises_channels and getattr(node.op, "affine", True):
        message = f"the scale and shift of `{node.path}` have no effect: `{user.path}` normalises them away"
        yield Diagnostic(Code.CANCELLED_SCALE, message, node.span, notes=notes, help="remove one of the two norms")
    if getattr(node.op, "bias", False):
        message = f"the bias of `{node.path}` has no effect: `{user.path}` subtracts each channel's mean"
        yield Diagnostic(Code.CANCELLED_BIAS, message, node.span, notes=notes, help="write `bias: false`")
