"""Names in the rounds of an `each` without a name: a default name is that of one round only (W309)."""

import pytest

from cnnc.compiler import check
from tests.nets import conv, net


def each(*nodes, over=(3, 5), **words):
    return {"each": {"over": {"k": list(over)}, "nodes": list(nodes), **words}}


def add(*sources, **words):
    return {"add": {"from": list(sources), **words}}


def warnings(*nodes, **more):
    checked = check(net(*nodes, **more))
    assert checked.ok, checked.diagnostics
    return [diagnostic.message for diagnostic in checked.diagnostics]


WIDE = conv(4, "$k", name="w$k", padding="same")
SUM = add("w$k", "relu")
OTHER = "`relu` is the node of another round; in this round its name is `relu_2`"


@pytest.mark.parametrize(
    "nodes",
    [
        ["relu", WIDE, SUM],
        [conv(4, "$k", padding="same", act="relu"), WIDE, SUM],
        ["relu", WIDE, add("w$k", "$('re' + 'lu')")],
        ["relu", WIDE, {"group": {"name": "g$k", "from": "relu", "nodes": ["tanh"]}}, add("w$k", "g$k")],
        ["relu", WIDE, each("tanh", **{"from": "relu"}), add("w$k", "tanh_$(2 * i + 2)")],
        ["relu", WIDE, {"each": {"over": {"unused": [0]}, "nodes": [SUM]}}],
        ["relu", WIDE, {"upsample": {"from": "w$k", "like": "relu"}}],
    ],
)
def test_a_default_name_of_another_round_gives_a_warning(nodes):
    assert warnings(each(*nodes)) == [OTHER]


@pytest.mark.parametrize(
    "nodes",
    [
        [each("relu", WIDE, add("w$k", "$('relu' if i == 0 else 'relu_2')"))],
        [each({"relu": {"name": "r$k"}}, WIDE, add("w$k", "r$k"))],
        ["relu", each("relu", WIDE, add("w$k", "relu", "relu_$(i + 2)"))],
        [each({"relu": {"when": "$(i == 0)"}}, WIDE, SUM)],
        [each(conv(4, 1, share="$(null if i == 0 else 'conv')"))],
        [each("relu", WIDE, SUM, name="stage")],
        [each("relu", WIDE, SUM, name="stage$k")],
    ],
)
def test_other_names_give_none(nodes):
    assert warnings(*nodes) == []


def test_a_node_of_the_first_round_may_be_used_after_the_each():
    assert warnings(each("relu", WIDE), add("w5", "relu")) == []


@pytest.mark.parametrize("place", ["node", "each", "block", "spec"])
def test_the_warning_can_be_allowed(place):
    allow = {"allow": "W309"}
    rounds = each("relu", WIDE, add("w$k", "relu", **(allow if place == "node" else {})))
    rounds["each"] |= allow if place == "each" else {}
    blocks = {"b": {"nodes": [rounds], **(allow if place == "block" else {})}}
    assert warnings("b", blocks=blocks, **(allow if place == "spec" else {})) == []
