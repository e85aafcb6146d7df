"""A spec with blocks is the network that it was made from, with the same keys in its state_dict."""

import pytest
from hypothesis import given, settings

import cnnc
from cnnc.formatting import write
from cnnc.recover.compare import difference
from cnnc.recover.flat import flat_with_paths
from cnnc.recover.structured import recovered, structured
from cnnc.targets.torch_module import shapes
from tests.recover.test_flat import ROOT, SPECS, free_graphs
from tests.strategies import specs


def require_same(graph):
    """The spec with the paths of a network is the same network, with the same keys."""
    found = recovered(graph, {node.path: node.path for node in graph.nodes})
    assert not found.faults
    assert shapes(found.graph) == shapes(graph)
    keys = [*shapes(graph)]
    assert found.keys(graph, keys) == {key: key for key in keys}
    return found


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_file_comes_back_by_its_paths(path):
    require_same(cnnc.load(path))


def test_a_free_network_comes_back_by_its_paths():
    for seed, graph in free_graphs(range(60)):
        try:
            require_same(graph)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


@settings(max_examples=25)
@given(specs())
def test_a_random_network_comes_back_by_its_paths(spec):
    require_same(cnnc.load(spec))


LINES = {"resnet50": 42, "googlenet": 68, "densenet121": 48, "mobilenet_v2": 52, "vgg16": 40}


@pytest.mark.parametrize("name", LINES)
def test_a_published_network_is_short(name):
    graph = cnnc.load(ROOT / f"specs/zoo/{name}.yaml")
    listed = flat_with_paths(graph)
    found = structured(listed.spec, listed.paths)
    assert found.spec == require_same(graph).spec
    assert len(write(found.spec).splitlines()) <= LINES[name]


def test_resnet50_reads_as_a_person_would_write_it():
    found = require_same(cnnc.load(ROOT / "specs/zoo/resnet50.yaml")).spec
    assert found["nodes"][4:8] == [
        {"bottleneck": {"name": "layer1", "repeat": 3, "width": 64}},
        {"bottleneck": {"name": "layer2", "repeat": 4, "width": 128, "stride": "$(2 if i == 0 else 1)"}},
        {"bottleneck": {"name": "layer3", "repeat": 6, "width": 256, "stride": "$(2 if i == 0 else 1)"}},
        {"bottleneck": {"name": "layer4", "repeat": 3, "width": 512, "stride": "$(2 if i == 0 else 1)"}},
    ]


def test_a_difference_is_found():
    graph = cnnc.load(
        {"cnnc": 1, "input": {"x": [4]}, "nodes": [{"linear": {"out": 4}}, "relu", {"linear": {"out": 4}}]}
    )
    other = cnnc.load(
        {"cnnc": 1, "input": {"x": [4]}, "nodes": [{"linear": {"out": 4}}, "tanh", {"linear": {"out": 4}}]}
    )
    assert difference(graph, graph, graph.nodes) is None
    assert difference(graph, other, graph.nodes) == "`relu` is relu {}, `tanh` tanh {}"
    swapped = [graph.nodes[0], graph.nodes[1], graph.nodes[0]]
    assert difference(graph, graph, swapped) is not None
