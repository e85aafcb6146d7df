"""A recovered spec holds when a user changes one number in it: a stride, a width, a count, or the classes."""

from copy import deepcopy

import pytest

import cnnc
from cnnc.recover.flat import flat_with_paths
from cnnc.recover.structured import structured
from tests.recover.test_structured import deployed

NETWORKS = ("resnet18", "mobilenet_v2", "densenet121")


def instances(nodes):
    """Yield the attributes of all blocks and layers, also of those in groups."""
    for node in nodes:
        for op, given in node.items() if isinstance(node, dict) else ():
            yield from instances(given["nodes"]) if op == "group" else [given]


def edit_stride(given):
    if "kernel" not in given:
        given.pop("stride", None)


def edit_widths(given):
    given |= {key: 2 * given[key] for key in ("out", "width") if isinstance(given.get(key), int)}


def edit_counts(given):
    given |= {key: given[key] + 1 for key in ("repeat", "depth") if key in given}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_recovered_spec_takes_the_edits_of_a_user(name, named):
    listed = flat_with_paths(deployed(name))
    spec = structured(listed.spec, listed.paths if named else None, classes=True).spec
    graph = cnnc.load(spec, set={"classes": 5})
    assert [graph.type_of(each.ref).shape for each in graph.outputs] == [(5,)]
    for edit in (edit_stride, edit_widths, edit_counts):
        changed = deepcopy(spec)
        for given in instances(changed["nodes"]):
            edit(given)
        found = cnnc.check(changed)
        assert found.ok, (edit, found.diagnostics)
        assert found.graph.nodes != graph.nodes
