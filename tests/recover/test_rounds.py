"""Lists of modules whose members take turns become one scope for each turn."""

import pytest

from cnnc.recover.structured import structured

CONV = {"conv": {"out": 4, "kernel": 1}}
NORM: dict[str, dict[str, int]] = {"batch_norm": {}}


def recovered(*nodes):
    """A chain of nodes: an op with the path of its module, or an op without parameters; `skip` adds the last sum."""
    spec, paths, last, skip = [], {}, "x", "x"
    for at, given in enumerate(nodes):
        path, op = given if isinstance(given, tuple) else ("", given)
        (name, attributes), *_ = op.items() if isinstance(op, dict) else {op: {}}.items()
        source = last
        if name == "skip":
            name, source = "add", [skip, last]
        last = f"n{at}"
        skip = last if name in ("add", "conv_transpose") else skip
        spec.append({name: {"name": last, "from": source, **attributes}})
        if path:
            paths[last] = path
    found = structured({"cnnc": 1, "name": "net", "input": {"x": [4, 8, 8]}, "nodes": spec}, paths)
    assert not found.faults
    return found


def layers(*nodes, rounds=3):
    """The nodes of `rounds` rounds, in which `{}` is the index."""
    return [
        (each[0].format(at), each[1]) if isinstance(each, tuple) else each for at in range(rounds) for each in nodes
    ]


def test_members_that_take_turns_are_one_block():
    found = recovered(*layers(("convs.{}", CONV), ("norms.{}", NORM), "relu"), "global_avg_pool")
    assert found.spec["nodes"] == [{"conv_bn": {"name": "layer$(i)", "repeat": 3}}, "global_avg_pool"]
    nodes = [{"conv": {"out": 4, "kernel": 1}}, {"batch_norm": {"name": "norm"}}, "relu"]
    assert found.spec["blocks"] == {"conv_bn": {"nodes": nodes}}
    assert (found.paths["n0"], found.paths["n4"]) == ("layer0.conv", "layer1.norm")


@pytest.mark.parametrize(
    ("nodes", "block", "names"),
    [
        ([("norms.{}", NORM), "relu", ("convs.{}", CONV), "skip"], "basic_block", ["norm", "conv"]),
        (["relu", ("convs.{}", CONV), ("bns.{}", NORM)], "unit", ["conv", "bn"]),
        ([("convs1.{}", CONV), ("types.{}", NORM), ("convs2.{}", CONV)], "conv_bn", ["conv1", "types", "conv2"]),
        ([("conv.{}", CONV), ("convs.{}", CONV)], "convs", ["conv", "convs"]),
        ([("a.b.convs.{}.0", CONV), ("a.b.convs.{}.1", NORM), ("a.b.pools.{}", "tanh")], "", ["conv.0", "conv.1"]),
    ],
)
def test_rounds_have_names_and_all_of_their_nodes(nodes, block, names):
    first = [("stem", CONV), {"conv_transpose": {"out": 4, "kernel": 1}}] if "skip" in nodes else []
    found = recovered(*first, *layers(*nodes), "global_avg_pool")
    scope = "a.b.layer2." if not block else "layer2."
    exact = [path for path in found.paths.values() if path.startswith(scope) and found.graph.node[path].cost.params]
    assert exact == [f"{scope}{name}" for name in names]
    if block:
        assert found.spec["nodes"][-2:] == [{block: {"name": "layer$(i)", "repeat": 3}}, "global_avg_pool"]


def test_a_list_may_have_several_members_for_each_turn():
    norms = [(f"norms.{at}", NORM) for at in range(6)]
    found = recovered(*(each for at in range(3) for each in (norms[2 * at], (f"convs.{at}", CONV), norms[2 * at + 1])))
    assert [found.paths[f"n{at}"] for at in range(3, 6)] == ["layer1.norm1", "layer1.conv", "layer1.norm2"]


def test_the_last_turn_may_lack_members():
    found = recovered(*layers(("convs.{}", CONV), ("norms.{}", NORM), "relu"), ("convs.3", CONV), "tanh")
    assert found.spec["nodes"] == [
        {"conv_bn": {"name": "layer$(i)", "repeat": 3}},
        {"conv": {"name": "layer3", "out": 4, "kernel": 1, "act": "tanh"}},
    ]


def test_what_only_some_turns_have_stays_between_them():
    pool = {"max_pool": {"kernel": 2}}
    found = recovered(*layers(("convs.{}", CONV), ("norms.{}", NORM), "relu", pool)[:-1], "global_avg_pool")
    ops = [next(iter(node)) if isinstance(node, dict) else node for node in found.spec["nodes"]]
    assert ops == ["conv_bn", "max_pool", "conv_bn", "max_pool", "conv_bn", "global_avg_pool"]


def test_names_that_are_taken_are_not_used():
    found = recovered(("layer1", CONV), *layers(("convs.{}", CONV), ("norms.{}", NORM)))
    assert found.paths["n3"] == "stage1.conv"


def test_lists_in_another_order_stay():
    convs, norms = layers(("convs.{}", CONV)), layers(("norms.{}", NORM))
    assert recovered(*convs, *norms).paths["n4"] == "norms.1"
    mixed = recovered(convs[1], norms[0], convs[0], norms[1])
    assert {*mixed.paths.values()} == {"convs_1", "norms_0", "convs_0", "norms_1"}


def test_two_groups_of_lists_have_names_of_their_own():
    encoder = layers(("convs.{}", CONV), ("norms.{}", NORM))
    decoder = layers(("linears.{}", CONV), ("scales.{}", NORM), "relu", rounds=2)
    found = recovered(*encoder, "tanh", *decoder)
    scopes = [path.partition(".")[0] for path in found.paths.values() if "." in path]
    assert [*dict.fromkeys(scopes)] == ["layer0", "layer1", "layer2", "stage0", "stage1"]
