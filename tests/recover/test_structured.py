"""A spec with blocks is the network that it was made from, with the same keys in its state_dict."""

import sys
from itertools import count

import pytest
from hypothesis import given, settings

import cnnc
from cnnc.formatting import write
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.recover.compare import difference
from cnnc.recover.flat import flat_with_paths
from cnnc.recover.structured import recovered, structured
from cnnc.targets.torch_module import shapes
from cnnc.verification.torch_answers import every_value
from tests.recover.test_flat import ROOT, free_graphs
from tests.strategies import specs
from tests.thorough import every_network, examples


def require_by_structure(graph):
    """The spec that structure alone gives is the same network, and every tensor has its place in it."""
    found = recovered(graph)
    assert not found.faults
    before, after = shapes(graph), shapes(found.graph)
    keys = found.keys(graph, before)
    assert {keys[key]: shape for key, shape in before.items()} == after
    return found


def require_same(graph):
    """The spec with the paths of a network is the same network, with the same keys."""
    found = recovered(graph, {node.path: node.path for node in graph.nodes})
    assert not found.faults
    assert shapes(found.graph) == shapes(graph)
    keys = [*shapes(graph)]
    assert found.keys(graph, keys) == {key: key for key in keys}
    return found


@every_network
def test_a_file_comes_back_by_its_paths(path):
    require_same(cnnc.load(path))


@every_network
def test_a_file_comes_back_by_its_structure(path):
    require_by_structure(cnnc.load(path))


def test_a_free_network_comes_back():
    for seed, graph in free_graphs(range(examples(60))):
        try:
            require_same(graph)
            require_same(every_value(graph))  # as verification writes it
            require_by_structure(graph)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


@settings(max_examples=examples(20))
@given(specs())
def test_a_random_network_comes_back(spec):
    graph = cnnc.load(spec)
    require_same(graph)
    require_by_structure(graph)


LINES = {  # with the paths, and by structure alone
    "resnet18": (38, 33),
    "resnet50": (42, 36),
    "googlenet": (52, 49),
    "densenet121": (48, 41),
    "mobilenet_v2": (51, 37),
    "vgg16": (40, 25),
}


def deployed(name):
    """The network of the zoo without its auxiliary heads, as an ONNX file has it."""
    return drop_train_only(Network(cnnc.load(ROOT / f"specs/zoo/{name}.yaml"), {})).graph


@pytest.mark.parametrize("name", LINES)
def test_a_published_network_is_short(name):
    graph = deployed(name)
    listed = flat_with_paths(graph)
    for paths, most in zip((listed.paths, None), LINES[name], strict=True):
        found = structured(listed.spec, paths)
        assert not found.faults
        assert len(write(found.spec).splitlines()) <= most
    assert structured(listed.spec, listed.paths).spec == require_same(graph).spec


def test_auxiliary_heads_are_blocks():
    """They leave the network between two inceptions, and no outputs of deployment need them."""
    listed = flat_with_paths(cnnc.load(ROOT / "specs/zoo/googlenet.yaml"))
    for paths in (listed.paths, None):
        found = structured(listed.spec, paths, classes=True).spec
        plain = {key: value for key, value in found.items() if key != "description"}  # a module has none
        assert len(write(plain).splitlines()) <= 60
        assert [node["aux"]["name"] for node in found["nodes"] if "aux" in node] == ["aux1", "aux2"]
        assert found["blocks"]["aux"]["params"] == {"classes": None}


def test_joins_without_names_are_in_the_scopes_that_they_close():
    nodes, paths = [{"conv": {"name": "stem", "out": 4, "kernel": 1}}], {"stem": "stem"}
    before = "stem"
    for at in range(3):
        nodes.append({"batch_norm": {"name": f"bn{at}", "from": before}})
        nodes.append("relu")
        nodes.append({"conv": {"name": f"conv{at}", "out": 4, "kernel": 1}})
        before = f"join{at}"
        nodes.append({"concat": {"name": before, "from": [nodes[-3]["batch_norm"]["from"], f"conv{at}"]}})
        paths |= {f"bn{at}": f"layer_{at}.bn", f"conv{at}": f"layer_{at}.conv"}
    found = structured({"cnnc": 1, "name": "net", "input": {"x": [4, 8, 8]}, "nodes": nodes}, paths)
    assert not found.faults
    assert found.spec["nodes"][1:] == [{"dense_layer": {"name": "layer_$(i)", "repeat": 3}}]


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


def test_blocks_by_structure_read_as_a_person_would_write_them():
    found = structured(flat_with_paths(deployed("resnet50")).spec).spec
    assert [*found["blocks"]] == ["conv_bn", "bottleneck"]
    assert found["blocks"]["bottleneck"]["nodes"] == [
        {"conv_bn": {"out": "$width"}},
        {"conv_bn": {"out": "$width", "kernel": 3, "stride": "$stride"}},
        {"conv_bn": {"name": "main", "out": "$(4 * width)", "relu": False}},
        {
            "conv_bn": {
                "name": "shortcut",
                "from": "input",
                "out": "$(4 * width)",
                "stride": "$stride",
                "relu": False,
                "when": "$(stride != 1 or input.channels != 4 * width)",
            }
        },
        {"add": {"from": ["main", "shortcut"]}},
        "relu",
    ]
    assert found["nodes"][0] == {"conv_bn": {"name": "stem", "out": 64, "kernel": 7, "stride": 2}}
    assert found["nodes"][3] == {
        "bottleneck": {"name": "stage2", "repeat": 4, "width": 128, "stride": "$(2 if i == 0 else 1)"}
    }


def test_blocks_without_their_sum_are_found():
    found = structured(flat_with_paths(deployed("mobilenet_v2")).spec).spec
    ops = [next(iter(node)) if isinstance(node, dict) else node for node in found["nodes"]]
    assert ops.count("inverted_residual") == 6


def test_groups_that_cannot_be_are_dissolved():
    """Its names put a node that needs the group's first node, and that its second needs, outside of the group."""
    spec = {
        "cnnc": 1,
        "input": {"x": [2, 4, 4]},
        "nodes": [
            {"conv": {"name": "a_1", "out": 2, "kernel": 1}},
            {"conv": {"name": "b", "out": 2, "kernel": 1}},
            {"conv": {"name": "a_2", "out": 2, "kernel": 1}},
        ],
    }
    found = structured(spec, {"a_1": "a.1", "b": "b", "a_2": "a.2"})
    assert found.paths == {"a_1": "a_1", "b": "b", "a_2": "a_2"}
    found = structured({**spec, "nodes": [spec["nodes"][0], "relu", spec["nodes"][2]]}, {"a_1": "a.1", "a_2": "a.2"})
    assert found.paths == {"a_1": "a.1", "relu": "a.relu", "a_2": "a.2"}


def test_a_large_network_takes_work_in_proportion_to_its_size():
    def calls(rounds):
        nodes = [{"conv": {"name": "s0", "out": 8, "kernel": 1}}]
        for at in range(rounds):
            nodes += ["relu", {"conv": {"name": f"c{at}", "out": 8, "kernel": 1}}]
            nodes.append({"add": {"name": f"s{at + 1}", "from": [f"c{at}", f"s{at}"]}})
        graph = cnnc.load({"cnnc": 1, "input": {"x": [8, 4, 4]}, "nodes": nodes})
        counted = count()
        sys.setprofile(lambda *event: next(counted))
        try:
            found = recovered(graph)
        finally:
            sys.setprofile(None)
        assert not found.faults
        return next(counted)

    assert calls(160) < 5 * calls(40)  # in proportion to the square, it would be 16 times as many


def test_an_output_may_have_the_name_of_its_scope(tmp_path):
    group = {"group": {"name": "stage", "nodes": [{"batch_norm": {"name": "bn"}}]}}
    spec = {"cnnc": 1, "name": "net", "input": {"x": [1]}, "outputs": "stage", "nodes": [group]}
    cnnc.build(spec, out=tmp_path, targets=["spec"])
    graph = cnnc.load(next(tmp_path.rglob("*.yaml")))
    assert [each.name for each in graph.outputs] == ["stage"]
    assert [each.path for each in graph.nodes] == ["stage.bn"]


def test_names_that_are_derived_are_no_longer_than_allowed():
    long = "a" * 64
    for inner in ({"scale": {"name": long, "repeat": 2}}, {"group": {"name": long, "nodes": ["relu", "tanh"]}}):
        group = {"group": {"name": "stage", "nodes": [{"relu": {"name": long[1:]}}, inner]}}
        graph = every_value(cnnc.load({"cnnc": 1, "name": "net", "input": {"x": [4]}, "nodes": [group]}))
        require_same(graph)
        require_by_structure(graph)


def test_minus_zero_is_not_zero():
    groups = [
        {"group": {"name": f"g{at}", "nodes": [{"pad": {"padding": 1, "value": each}}, {"affine": {"shift": each}}]}}
        for at, each in enumerate([0.0, -0.0, -0.0, 0.0])
    ]
    graph = cnnc.load({"cnnc": 1, "name": "net", "input": {"x": [1, 4, 4]}, "nodes": groups})
    for found in (recovered(graph), recovered(graph, {node.path: node.path for node in graph.nodes})):
        assert difference(graph, found.graph, graph.nodes) is None


def test_the_inputs_of_a_scope_leave_its_nodes_their_names():
    scopes = (
        {"inputs": ["z"], "nodes": [{"scale": {"name": "input"}}, {"add": {"from": ["z", "input"]}}]},
        {"inputs": ["z"], "nodes": [{"group": {"name": "input", "nodes": ["scale", "relu"]}}]},
        {"inputs": ["z"], "nodes": [{"parameter": {"name": "input", "shape": [4]}}]},
        {"from": ["x", "x"], "inputs": ["p", "q"], "nodes": [{"add": {"from": ["p", "q"]}}, {"scale": {"name": "x2"}}]},
    )
    for scope in scopes:
        graph = cnnc.load({"cnnc": 1, "name": "net", "input": {"x": [4]}, "nodes": [{"group": scope}, "relu"]})
        require_same(graph)
        require_same(every_value(graph))
        require_by_structure(graph)


def test_without_any_path_the_structure_decides():
    spec = {"cnnc": 1, "name": "net", "input": {"x": [3, 8, 8]}, "nodes": [{"relu": {"name": "relu"}}]}
    assert structured(spec, {}).spec == structured(spec).spec


def test_a_sum_that_some_instances_lack_leaves_the_names_of_later_sums():
    """Default names count only the nodes that an instance has."""
    nodes, paths, last = [], {}, "x"
    for at in range(4):
        branches = [*(["zero"] if at % 2 else []), "one", "two", "three"]
        for branch in branches:
            paths[f"{branch}{at}"] = f"unit_{at}.{branch}"
            nodes.append({"conv": {"name": f"{branch}{at}", "from": last, "out": 4, "kernel": 1}})
        last = f"{branches[0]}{at}"
        for branch in branches[1:]:
            nodes.append({"add": {"name": f"{branch}_sum{at}", "from": [last, f"{branch}{at}"]}})
            last = f"{branch}_sum{at}"
            paths[last] = f"unit_{at}.add"
    found = structured({"cnnc": 1, "name": "net", "input": {"x": [4, 8, 8]}, "nodes": nodes}, paths)
    assert not found.faults
    sums = [each["add"] for each in found.spec["blocks"]["unit"]["nodes"] if "add" in each]
    assert [(each.get("name"), each.get("when")) for each in sums] == [("add", "$zero"), ("add_2", None), (None, None)]
