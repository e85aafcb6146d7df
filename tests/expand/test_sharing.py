"""`share`: whose parameters a node has, and what is said where it cannot have them."""

import pytest

from cnnc.analysis.cost import totals
from cnnc.compiler import compile, load
from tests.nets import codes, conv, faults, net, paths, sources

UNIT = {"unit": {"nodes": [conv(name="c", kernel=3, padding=1), "batch_norm", {"group": {"nodes": ["scale"]}}]}}


def owners(spec):
    """The path of the node whose parameters each node with parameters has."""
    return {node.path: node.keys for node in load(spec).nodes if node.shares or node.cost.params or node.cost.buffers}


def keys(spec):
    return [key for key in compile(spec).state_dict() if not key.endswith("num_batches_tracked")]


def test_a_node_has_the_parameters_of_another():
    spec = net(conv(name="a"), conv(name="b", share="a"))
    assert owners(spec) == {"a": "a", "b": "a"}
    assert keys(spec) == ["a.weight", "a.bias"]


def test_parameters_count_once_and_macs_each_time():
    alone, twice = totals(load(net(conv(name="a")))), totals(load(net(conv(name="a"), conv(name="b", share="a"))))
    assert (twice.params, twice.macs) == (alone.params, 2 * alone.macs)


def test_a_block_shares_node_by_node_also_in_groups():
    spec = net({"unit": {"name": "a"}}, {"unit": {"name": "b", "share": "a"}}, blocks=UNIT)
    assert owners(spec)["b.c"] == "a.c"
    assert owners(spec)["b.batch_norm"] == "a.batch_norm"
    assert owners(spec)["b.group.scale"] == "a.group.scale"


def test_a_node_shares_one_in_an_instance():
    spec = net(
        {"unit": {"name": "a"}},
        conv(name="b", kernel=3, padding=1, share="a.c"),
        {"scale": {"share": "a.group.scale"}},
        blocks=UNIT,
    )
    assert (owners(spec)["b"], owners(spec)["scale"]) == ("a.c", "a.group.scale")


def test_who_shares_with_a_sharer_shares_with_the_first():
    spec = net(
        *({"unit": {"name": name, "share": of}} for name, of in (("a", None), ("b", "a"), ("c", "b"))), blocks=UNIT
    )
    assert owners(spec)["c.c"] == "a.c"


@pytest.mark.parametrize(
    ("first", "of", "expected"),
    [
        ({"repeat": 2}, "a", ["a.0.c", "a.1.c"]),
        ({}, "a", ["a.c", "a.c"]),
        ({"repeat": 2}, "a.1", ["a.1.c", "a.1.c"]),
    ],
)
def test_instances_share_one_by_one_or_all_with_one(first, of, expected):
    spec = net({"unit": {"name": "a", **first}}, {"unit": {"name": "b", "repeat": 2, "share": of}}, blocks=UNIT)
    assert [owners(spec)[f"b.{i}.c"] for i in range(2)] == expected


def test_rounds_share_one_by_one():
    each = {"over": {"k": [1, 3]}, "nodes": [conv(kernel="$k", padding="same")]}
    spec = net({"each": {"name": "a", **each}}, {"each": {"name": "b", "share": "a", **each}})
    assert owners(spec)["b.1.conv"] == "a.1.conv"
    by_name = net({"each": {"name": "a$k", **each}}, {"each": {"name": "b$k", "share": "a$k", **each}})
    assert owners(by_name)["b3.conv"] == "a3.conv"


def test_an_activation_of_an_item_is_shared_with_it():
    first, second = conv(name="a", act="prelu"), conv(name="b", act="prelu", share="a")
    assert owners(net(first, second))["prelu_2"] == "prelu"
    assert keys(net(first, second)) == ["a.weight", "a.bias", "prelu.weight"]


def test_within_a_block_its_own_nodes_share():
    twice = {"twice": {"nodes": [conv(name="a"), conv(name="b", share="a")]}}
    spec = net({"twice": {"name": "x"}}, {"twice": {"name": "y", "share": "x"}}, blocks=twice)
    assert set(owners(spec).values()) == {"x.a"}


def test_the_other_node_may_be_further_down():
    spec = net(conv(name="b", share="a"), conv(name="a", **{"from": "image"}), {"add": {"from": ["a", "b"]}})
    assert paths(spec) == ["a", "b", "add"]
    assert owners(spec)["b"] == "a"


def test_the_height_and_width_may_differ():
    spec = net({"unit": {"name": "a"}}, {"max_pool": {"kernel": 2}}, {"unit": {"name": "b", "share": "a"}}, blocks=UNIT)
    assert owners(spec)["b.c"] == "a.c"


def test_null_shares_nothing_and_a_condition_may_decide():
    spec = net(conv(name="c$i", repeat=2, share="$('c0' if i else null)"))
    assert owners(spec) == {"c0": "c0", "c1": "c0"}


def test_a_node_in_a_shared_block_may_keep_its_own_parameters():
    unit = {"nodes": [conv(name="c", act="prelu"), {"batch_norm": {"share": "$(false if own else null)"}}, "scale"]}
    blocks = {"unit": {"params": {"own": True}, **unit}}
    first, *others = {"name": "a"}, {"name": "b", "share": "a"}, {"name": "d", "share": "b"}
    spec = net(*({"unit": each} for each in (first, *others)), blocks=blocks)
    assert [owners(spec)[f"{name}.c"] for name in "abd"] == ["a.c"] * 3
    assert [owners(spec)[f"{name}.batch_norm"] for name in "abd"] == [f"{name}.batch_norm" for name in "abd"]
    assert [owners(spec)[f"{name}.scale"] for name in "abd"] == ["a.scale"] * 3
    assert [key for key in keys(spec) if key.startswith("b.")] == [
        f"b.batch_norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    ]
    together = net(*({"unit": {**each, "own": False}} for each in (first, *others)), blocks=blocks)
    assert owners(together)["d.batch_norm"] == "a.batch_norm"


@pytest.mark.parametrize(
    "item",
    [
        {"group": {"name": "x", "share": False, "nodes": [conv()]}},
        {"each": {"name": "x", "over": {"k": [1]}, "share": False, "nodes": [conv()]}},
        {"inner": {"name": "x", "share": False}},
        conv(name="x", share=False, act="prelu"),
        conv(name="x", repeat=2, share=False),
    ],
)
def test_whatever_may_share_may_keep_its_own_parameters(item):
    blocks = {"inner": {"nodes": [conv()]}, "unit": {"nodes": [item, conv(name="c")]}}
    found = owners(net({"unit": {"name": "a"}}, {"unit": {"name": "b", "share": "a"}}, blocks=blocks))
    assert found.pop("b.c") == "a.c"
    assert all(path == keys for path, keys in found.items())


def test_nodes_of_a_shared_block_share_a_node_that_keeps_its_own_parameters():
    twice = {"nodes": [conv(name="x", share=False), conv(name="y", share="x"), conv(name="z")]}
    spec = net({"twice": {"name": "a"}}, {"twice": {"name": "b", "share": "a"}}, blocks={"twice": twice})
    assert {path: of for path, of in owners(spec).items() if path.startswith("b")} == {
        **{"b.x": "b.x", "b.y": "b.x"},
        "b.z": "a.z",
    }


def test_a_block_may_have_a_parameter_called_share():
    blocks = {"b": {"params": {"share": 1}, "nodes": [conv(out="$share")]}}
    assert paths(net({"b": {"share": 3}}, blocks=blocks)) == ["b.conv"]


def test_a_left_out_item_shares_nothing():
    assert sources(net(conv(name="a"), conv(name="b", share="nosuch", when=False), "relu")) == {
        "a": ["image"],
        "relu": ["a"],
    }


A = conv(name="a")
WRONG = {
    "other channels": ([A, conv(name="b", out=8), conv(name="c", share="a")], "its `in_channels` is 8, not 4"),
    "another attribute": ([A, conv(name="c", share="a", bias=False)], "its `bias` is False, not True"),
    "another op": ([A, {"batch_norm": {"share": "a"}}], "it is a BatchNorm2d, not a Conv2d"),
    "no parameters": ([A, {"relu": {"share": "a"}}], "`relu` has no parameters"),
    "an input": ([A, conv(share="image")], "`image` is an input"),
    "left out": ([A, conv(name="x", when=False), conv(share="x")], "`x` is left out"),
    "itself": ([conv(name="a", share="a")], "`a` cannot share its own parameters"),
    "no such instance": ([A, conv(share="a.0")], "`a` has no instance `0`"),
    "fewer instances": ([conv(name="a", repeat=2), conv(repeat=3, share="a")], "there is no node `a.2`"),
    "a node for a block": ([A, {"unit": {"share": "a"}}], "`a` is a `conv`, so `unit` cannot share"),
    "a block for a node": ([{"unit": {"name": "u"}}, conv(share="u")], "there is no node `u`"),
    "another block": ([{"unit": {"name": "u"}}, {"other": {"share": "u"}}], "`u` is a `unit`, so `other` cannot share"),
    "an each without a name": (
        [A, {"each": {"over": {"k": [1]}, "share": "a", "nodes": [conv()]}}],
        "an `each` without a name cannot have `share`",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_shared(case):
    nodes, message = WRONG[case]
    blocks = {**UNIT, "other": {"nodes": [conv()]}}
    [fault] = faults(net(*nodes, blocks=blocks))
    assert fault.startswith("E315")
    assert message in fault


def test_names_are_checked():
    assert codes(net(A, conv(share="aa"))) == ["E306"]
    assert codes(net(A, conv(share=["a"]))) == ["E306"]
    outside = {"b": {"nodes": [conv(share="a")]}}
    assert codes(net(A, "b", blocks=outside)) == ["E306"]


def test_a_fault_elsewhere_is_not_followed_by_others():
    assert codes(
        net(conv(name="a", kernel=9), conv(name="b", share="a", **{"from": "image"}), {"add": {"from": ["a", "b"]}})
    ) == ["E303"]
