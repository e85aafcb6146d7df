"""Lints: warnings about valid specs that are probably not intended.

Takes a proved graph and yields diagnostics with `W` codes, each with its node. Lints that depend on a single op and its
input types are in `Op.remarks`; those that depend on neighbouring nodes are here.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from cnnc.diagnostics import Code, Diagnostic, Fix, Note, Put, Source, Span
from cnnc.graph.graph import Graph, Node, Ref


def lint(graph: Graph, only_use: Source | None = None) -> Iterator[tuple[Node, Diagnostic]]:
    """Yield every lint of the graph, in the order of its nodes.

    `only_use` is the file whose lines this graph alone uses: other specs, or other values of parameters, have none.
    """
    users: dict[Ref, list[Node]] = {}
    for node in graph.nodes:
        for ref in node.inputs:
            users.setdefault(ref, []).append(node)
    shown = {each.ref for each in graph.outputs}

    @cache  # only a network with such a warning needs it
    def effective() -> set[Span | None]:
        return _effective_biases(graph, users, shown)

    def needless(span: Span) -> bool:
        return span.source is only_use and span not in effective()

    for node in graph.nodes:
        for remark in node.op.remarks(*graph.input_types(node)):
            yield node, Diagnostic(remark.code, remark.message, node.span, help=remark.help)
        if (user := _only_user(node, users, shown)) is not None:
            yield from ((node, each) for each in _cancelled(node, user, needless))
        if Ref(node.path) in shown and node.op.drops:
            message = f"`{node.path}` drops values of an output, so the loss sees zeros in place of predictions"
            yield node, Diagnostic(Code.DROPOUT_AT_OUTPUT, message, node.span, help="put it before the last layer")


def _only_user(node: Node, users: Mapping[Ref, list[Node]], shown: set[Ref]) -> Node | None:
    """Return the only node that uses the output of `node`; None if there are others, or it is an output."""
    found = users.get(Ref(node.path), []) if Ref(node.path) not in shown else []
    return found[0] if len(found) == 1 else None


def _effective_biases(graph: Graph, users: Mapping[Ref, list[Node]], shown: set[Ref]) -> set[Span | None]:
    """Return the lines whose bias has an effect in at least one of their nodes, or is shared with another line."""
    shared = {node.shares for node in graph.nodes}
    return {
        node.span
        for node in graph.nodes
        if node.shares is not None
        or node.path in shared
        or (user := _only_user(node, users, shown)) is None
        or not user.op.normalises_channels
    }


def _cancelled(node: Node, user: Node, needless: Callable[[Span], bool]) -> Iterator[Diagnostic]:
    """Yield a lint for each parameter of `node` that its only user, a norm, cancels."""
    if not user.op.normalises_channels:
        return
    notes = (Note(f"`{user.path}` normalises it here", user.span),)
    if node.op.normalises_channels and getattr(node.op, "affine", True):
        message = f"the scale and shift of `{node.path}` have no effect: `{user.path}` normalises them away"
        yield Diagnostic(Code.CANCELLED_SCALE, message, node.span, notes=notes, help="remove one of the two norms")
    if getattr(node.op, "bias", False):
        message = f"the bias of `{node.path}` has no effect: `{user.path}` subtracts each channel's mean"
        help, fix = "write `bias: false`", None
        if node.span is not None:
            fix = Fix((Put(node.span, "bias", False),), certain=needless(node.span))
        yield Diagnostic(Code.CANCELLED_BIAS, message, node.span, notes=notes, help=help, fix=fix)
