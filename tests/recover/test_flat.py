"""A flat spec is the network that it was made from, node by node."""

from pathlib import Path

from hypothesis import given, settings

import cnnc
from cnnc.recover.compare import difference
from cnnc.recover.flat import flat, flat_with_paths
from tests.free.specs import drawn
from tests.strategies import specs
from tests.thorough import every_network, examples

ROOT = Path(__file__).parents[2]


def free_graphs(seeds):
    """The networks of the free specs that are right."""
    for seed in seeds:
        of = drawn(seed)
        checked = cnnc.check(of.spec, set=of.settings)
        if checked.ok and checked.graph is not None:
            yield seed, checked.graph


def require_flat(graph):
    found = flat_with_paths(graph)
    again = cnnc.load(found.spec)
    assert difference(graph, again, graph.nodes) is None
    assert found.paths == {ours.path: theirs.path for ours, theirs in zip(again.nodes, graph.nodes, strict=True)}
    assert flat(again) == found.spec


@every_network
def test_the_flat_spec_of_a_file_is_the_same_network(path):
    require_flat(cnnc.load(path))


def test_the_flat_spec_of_a_free_network_is_the_same_network():
    for _, graph in free_graphs(range(examples(60))):
        require_flat(graph)


@settings(max_examples=examples(25))
@given(specs())
def test_the_flat_spec_of_a_random_network_is_the_same_network(spec):
    require_flat(cnnc.load(spec))


def test_defaults_are_left_out_and_values_are_short():
    graph = cnnc.load(
        {
            "cnnc": 1,
            "input": {"image": {"shape": [3, 16, 16], "resize": 16, "crop": 16, "mean": [0, 0, 0]}},
            "labels": ["a", "b"],
            "train": {"epochs": 3},
            "nodes": [
                {"conv": {"out": 4, "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1], "bias": True}},
                {"max_pool": {"kernel": [2, 1], "padding": [0, 0, 0, 0]}},
                {"conv": {"out": 4, "kernel": 3, "padding": [0, 1, 0, 1], "name": "other", "allow": "W302"}},
                {"split": {"sizes": [2, 2]}},
                {"affine": {"from": "split.0", "scale": 1.0}},
                {"mul": {"from": ["affine", "split.1"]}},
                "global_avg_pool",
                "flatten",
                {"linear": {"out": 2}},
            ],
        }
    )
    assert flat(graph) == {
        "cnnc": 1,
        "name": "dict",
        "input": {"image": {"shape": [3, 16, 16], "resize": 16, "crop": 16}},
        "labels": ["a", "b"],
        "train": {"epochs": 3},
        "nodes": [
            {"conv": {"out": 4, "kernel": 3, "padding": 1}},
            {"max_pool": {"kernel": [2, 1]}},
            {"conv": {"name": "other", "out": 4, "kernel": 3, "padding": [0, 1]}},
            {"split": {"sizes": [2, 2]}},
            {"affine": {"from": "split.0", "scale": 1.0}},
            {"mul": {"from": ["affine", "split.1"]}},
            "global_avg_pool",
            "flatten",
            {"linear": {"out": 2}},
        ],
    }


def test_dots_and_names_of_several_inputs_and_outputs():
    graph = cnnc.load(
        {
            "cnnc": 1,
            "inputs": {"left": [4], "right": [4]},
            "blocks": {"unit": {"nodes": [{"linear": {"out": 4}}, "relu"]}},
            "nodes": [{"unit": {"name": "a", "from": "left"}}, {"unit": {"name": "b", "from": "right", "share": "a"}}],
            "outputs": {
                "first": {"from": "a", "as": "vector"},
                "second": {"from": "b", "only": "train", "weight": 0.5},
            },
        }
    )
    found = flat_with_paths(graph)
    assert found.spec["nodes"] == [
        {"linear": {"name": "a_linear", "from": "left", "out": 4}},
        {"relu": {"name": "a_relu"}},
        {"linear": {"name": "b_linear", "from": "right", "out": 4, "share": "a_linear"}},
        "relu",
    ]
    assert found.spec["outputs"] == {
        "first": {"from": "a_relu", "as": "vector"},
        "second": {"from": "relu", "only": "train", "weight": 0.5},
    }
    assert found.paths == {"a_linear": "a.linear", "a_relu": "a.relu", "b_linear": "b.linear", "relu": "b.relu"}
