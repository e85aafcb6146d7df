"""Lints: what is legal and yet hardly meant. Each is a warning with a place; a spec with warnings is still right.

In: a proved graph. Out: diagnostics with `W` codes, each with the node that it is about. What one op can say of itself
by its input's type it says in `Op.remarks`; here is what only neighbours can tell.
"""

from collections.abc import Iterator

from cnnc.diagnostics import Code, Diagnostic, Note
from cnnc.graph.graph import Graph, Node, Ref


def lint(graph: Graph) -> Iterator[tuple[Node, Diagnostic]]:
    """Every lint of the graph, in the order of its nodes."""
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
            yield from ((node, diagnostic) for diagnostic in _of_pair(node, only[0]))
        if Ref(node.path) in shown and node.op.drops:
            message = f"`{node.path}` drops values of an output: a loss would see zeros where there was an answer"
            yield node, Diagnostic(Code.DROPOUT_AT_OUTPUT, message, node.span, help="put it before the last layer")


def _of_pair(node: Node, user: Node) -> Iterator[Diagnostic]:
    """What a node and the only user of its value say together."""
    if not user.op.normalises_channels:
        return
    notes = (Note(f"`{user.path}` takes it out again", user.span),)
    if node.op.normalises_channels and getattr(node.op, "affine", True):
        message = f"the scale and shift of `{node.path}` change nothing: `{user.path}` normalises them away"
        yield Diagnostic(Code.CANCELLED_SCALE, message, node.span, notes=notes, help="one normalisation is enough")
    if getattr(node.op, "bias", False):
        message = f"the bias of `{node.path}` changes nothing: `{user.path}` subtracts every channel's mean"
        yield Diagnostic(Code.CANCELLED_BIAS, message, node.span, notes=notes, help="write `bias: false`")
