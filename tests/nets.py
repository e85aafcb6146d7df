"""Small specs as plain data, and what a check finds out about them."""

from cnnc.compiler import Checked, check, load


def net(*nodes, image=(4, 8, 8), **rest):
    """A spec with these nodes; its input is `image`."""
    return {"cnnc": 1, "name": "net", "input": {"image": list(image)}, **rest, "nodes": list(nodes)}


def conv(out=4, kernel=1, **rest):
    return {"conv": {"out": out, "kernel": kernel, **rest}}


def sources(spec, **settings):
    """Each node's inputs, by the node's path: what a spec means, in the order of its nodes."""
    graph = load(spec, **settings)
    return {node.path: [graph.spelling(ref) for ref in node.inputs] for node in graph.nodes}


def paths(spec, **settings):
    return [node.path for node in load(spec, **settings).nodes]


def shapes(spec, **settings):
    return {node.path: node.outputs[0].shape for node in load(spec, **settings).nodes}


def faults(spec, **settings) -> list[str]:
    """The codes and messages of all that is wrong; warnings are not."""
    checked: Checked = check(spec, **settings)
    errors = [each for each in checked.diagnostics if each.severity == "error"]
    assert checked.ok == (not errors)
    return [f"{each.code.value} {each.message}" for each in errors]


def codes(spec, **settings) -> list[str]:
    return [fault.split()[0] for fault in faults(spec, **settings)]
