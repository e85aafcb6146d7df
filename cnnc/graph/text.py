"""The text form of a graph for `--print-after`: one line per node, with the attributes that are not defaults."""

from collections.abc import Iterator

from cnnc.graph.graph import Graph, Node


def text(graph: Graph) -> str:
    """Return lines `path = op(attributes)(inputs) : shape`: first the inputs, then the nodes, then the outputs."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield f"network {graph.name}"
    for each in graph.inputs:
        yield f"input {each.name} : {each.type}"
    for node in graph.nodes:
        yield _line(graph, node)
    for output in graph.outputs:
        yield f"output {output.name} = {graph.spelling(output.ref)}{' (train only)' if output.train_only else ''}"


def _line(graph: Graph, node: Node) -> str:
    attributes = node.op.model_dump(exclude_defaults=True)
    written = ", ".join(f"{name}={value!r}" for name, value in attributes.items())
    takes = ", ".join(graph.spelling(ref) for ref in node.inputs)
    return f"{node.path} = {node.op.name}({written})({takes}) : {', '.join(map(str, node.outputs))}"
