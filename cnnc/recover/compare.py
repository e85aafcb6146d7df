"""Whether two graphs are the same network, node by node, apart from their names.

Takes two proved graphs and the order of the nodes in the second; returns the first difference in words, or None.
"""

from collections.abc import Mapping, Sequence

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.ops import registry


def difference(first: Graph, second: Graph, order: Sequence[Node]) -> str | None:
    """Return how two networks differ, if each node of `order`, from the first, is the second's at its position."""
    if len(order) != len(second.nodes) or len(order) != len(first.nodes):
        return f"{len(first.nodes)} nodes and {len(second.nodes)}"
    refs = {Ref(each.name): Ref(each.name) for each in first.inputs}
    keys: dict[str, str] = {}
    for ours, theirs in zip(order, second.nodes, strict=True):
        refs |= {Ref(ours.path, at): Ref(theirs.path, at) for at in range(len(ours.outputs))}
        keys.setdefault(ours.keys, theirs.keys)
        if _op(ours) != _op(theirs) or ours.outputs != theirs.outputs:
            return f"`{ours.path}` is {_op(ours)}, `{theirs.path}` {_op(theirs)}"
        if not _same_inputs(ours, theirs, refs):
            return f"the inputs of `{ours.path}` and `{theirs.path}`"
        if keys[ours.keys] != theirs.keys or (ours.shares is None) != (theirs.shares is None):
            return f"the parameters of `{ours.path}` and `{theirs.path}`"
    return _of_whole(first, second, refs)


def _of_whole(first: Graph, second: Graph, refs: Mapping[Ref, Ref]) -> str | None:
    if [(each.name, each.type, each.picture) for each in first.inputs] != [
        (each.name, each.type, each.picture) for each in second.inputs
    ]:
        return "the inputs"
    ours = [(refs[each.ref], each.train_only, each.weight, each.kind, _name(each.name)) for each in first.outputs]
    theirs = [(each.ref, each.train_only, each.weight, each.kind, _name(each.name)) for each in second.outputs]
    if [each[:4] for each in ours] != [each[:4] for each in theirs]:
        return "the outputs"
    if any(a[4] not in (b[4], None) for a, b in zip(ours, theirs, strict=True)):
        return "the names of the outputs"
    about = [(each.name, each.labels, each.train, each.description) for each in (first, second)]
    return None if about[0] == about[1] else "the labels, the description or the recipe"


def _name(name: str) -> str | None:
    """The name of an output, unless it is the path of a node in a scope."""
    return None if "." in name else name


def _op(node: Node) -> str:
    """The op and its attributes, without the name in `like`, which is an input."""
    return f"{node.op.name} {node.op.model_dump(exclude={'like'})}"


def _same_inputs(ours: Node, theirs: Node, refs: Mapping[Ref, Ref]) -> bool:
    """Whether two nodes take the same values; a source takes only the batch size."""
    return registry.is_source(ours.op.name) or tuple(refs.get(ref) for ref in ours.inputs) == theirs.inputs
