"""Two networks compared: what was added, removed, renamed and changed, and what merely follows from it."""

import pytest

import cnnc
from cnnc.diff import formats
from cnnc.diff.changes import compare
from cnnc.diff.match import match

BLOCK = {
    "block": {
        "params": {"channels": None},
        "nodes": [
            {"conv": {"name": "conv1", "out": "$channels", "kernel": 3, "padding": 1}},
            {"batch_norm": {"name": "bn1"}},
            "relu",
            {"conv": {"name": "conv2", "out": "$channels", "kernel": 3, "padding": 1}},
        ],
    }
}


def net(*nodes, **more):
    image = {"input": {"image": [3, 16, 16]}}
    return cnnc.load({"cnnc": 1, "name": "net", "blocks": BLOCK, "nodes": list(nodes), **image, **more})


def conv(out=8, kernel=3, **more):
    return {"conv": {"out": out, "kernel": kernel, **more}}


HEAD = ["global_avg_pool", "flatten", {"linear": {"name": "fc", "out": 10}}]
HELP = {"from": "fc", "only": "train"}


def told(old, new):
    """(kind, old path, new path, details) of every change."""
    return [
        (each.kind, each.old and each.old.path, each.new and each.new.path, each.details)
        for each in compare(old, new).changes
    ]


def test_a_network_does_not_differ_from_itself():
    network = net(conv(name="stem"), {"block": {"name": "a", "channels": 8, "repeat": 2}}, *HEAD)
    found = compare(network, network)
    assert found.same
    assert (found.changes, found.ends) == ((), ())
    assert formats.table(found) == "no difference"


def test_what_an_output_holds_is_a_change():
    def network(kind):
        return net(conv(name="a"), outputs={"mask": {"from": "a", **({"as": kind} if kind else {})}})

    (end,) = compare(network(None), network("raw")).ends
    assert (end.what, end.old, end.new) == ("output mask", "8×14×14 from a", "8×14×14 from a, as raw")
    assert compare(network("raw"), network("raw")).same


def test_an_attribute_is_a_change_and_what_follows_is_affected():
    found = compare(net(conv(name="a", kernel=5), "relu", *HEAD), net(conv(name="a", kernel=3), "relu", *HEAD))
    changed, *affected = found.changes
    assert (changed.kind, changed.details) == ("changed", {"kernel": ("5", "3")})
    assert (changed.old.params, changed.new.params) == (608, 224)
    assert (changed.old.macs, changed.new.macs) == (600 * 144, 216 * 196)
    assert (changed.old.memory, changed.new.memory) == (4 * 8 * 144, 4 * 8 * 196)
    assert [(each.kind, each.new.path) for each in affected] == [("affected", "relu")]  # the pool evens the rest out
    assert (found.totals[0].params, found.totals[1].params) == (608 + 90, 224 + 90)


def test_a_node_put_in_is_added_and_its_user_takes_another_input():
    changes = told(net(conv(name="a"), *HEAD), net(conv(name="a"), {"batch_norm": {"name": "bn"}}, *HEAD))
    assert changes == [
        ("added", None, "bn", {}),
        ("changed", "global_avg_pool", "global_avg_pool", {"from": ("a", "bn")}),
    ]


def test_a_node_taken_out_stands_where_it_was():
    changes = told(net(conv(name="a"), "relu", conv(name="b"), *HEAD), net(conv(name="a"), conv(name="b"), *HEAD))
    assert changes == [("removed", "relu", None, {}), ("changed", "b", "b", {"from": ("relu", "a")})]


def test_a_renamed_block_is_renamed_and_nothing_else():
    old = net(conv(name="stem"), {"block": {"name": "layer1", "channels": 8, "repeat": 2}}, *HEAD)
    new = net(conv(name="stem"), {"block": {"name": "stage1", "channels": 8, "repeat": 2}}, *HEAD)
    changes = told(old, new)
    assert {kind for kind, *_ in changes} == {"renamed"}
    assert changes[0] == ("renamed", "layer1.0.conv1", "stage1.0.conv1", {})
    assert len(changes) == 8
    (row,) = [line for line in formats.table(compare(old, new)).splitlines() if line.startswith("renamed")]
    assert row.split() == ["renamed", "stage1", "was", "layer1,", "8", "nodes"]


def test_a_node_renamed_in_a_scope_is_named_with_it():
    old, new = (net({"group": {"name": "stem", "nodes": [conv(name=name)]}}, *HEAD) for name in ("first", "conv1"))
    (row,) = [line for line in formats.table(compare(old, new)).splitlines() if line.startswith("renamed")]
    assert row.split() == ["renamed", "stem.conv1", "was", "stem.first"]


def test_a_path_is_kept_while_its_op_is():
    old = net({"block": {"name": "a", "channels": 8}}, {"block": {"name": "b", "channels": 16}}, *HEAD)
    new = net({"block": {"name": "x", "channels": 8}}, {"block": {"name": "a", "channels": 16}}, *HEAD)
    assert match(old, new)["a.conv1"] == "a.conv1"
    assert ("added", None, "x.conv1", {}) in told(old, new)
    assert ("removed", "b.conv1", None, {}) in told(old, new)


def test_a_block_renamed_behind_a_change_is_found_from_the_outputs_up():
    old = net(conv(kernel=3, name="stem"), {"block": {"name": "old", "channels": 8}}, *HEAD)
    new = net(conv(kernel=5, name="first"), {"block": {"name": "new", "channels": 8}}, *HEAD)
    changes = told(old, new)
    assert changes[0] == ("changed", "stem", "first", {"kernel": ("3", "5")})
    assert {(was, now) for _, was, now, _ in changes} >= {("old.conv1", "new.conv1"), ("old.conv2", "new.conv2")}
    assert not {kind for kind, *_ in changes} & {"added", "removed"}


def test_a_block_renamed_and_widened_is_both():
    old = net(conv(name="stem"), {"block": {"name": "old", "channels": 8}}, *HEAD)
    new = net(conv(name="stem"), {"block": {"name": "new", "channels": 12}}, *HEAD)
    assert ("changed", "old.conv1", "new.conv1", {"out": ("8", "12")}) in told(old, new)


def test_counted_names_are_matched_by_their_place():
    """As between VGG and VGG with batch norm: every number behind the first is another one."""

    def network(*features):
        return net({"group": {"name": "features", "names": "index", "nodes": list(features)}}, *HEAD)

    plain = network(*(each for out in (8, 16, 32) for each in (conv(out), "relu")))
    normed = network(*(each for out in (8, 16, 32) for each in (conv(out), "batch_norm", "relu")))
    changes = told(plain, normed)
    assert [now for kind, _, now, _ in changes if kind == "added"] == ["features.1", "features.4", "features.7"]
    assert ("changed", "features.3", "features.5", {"from": ("features.2", "features.4")}) in changes
    assert not [each for each in changes if each[0] == "removed"]


def test_of_counted_names_the_one_with_equal_attributes_is_meant():
    changes = told(net(conv(8), conv(16), *HEAD), net(conv(4), conv(8), conv(16), *HEAD))
    assert ("added", None, "conv", {}) in changes
    assert [each[1:3] for each in changes if each[0] == "changed"] == [("conv", "conv_2")]


def test_very_long_scopes_are_matched_by_their_counts(monkeypatch):
    monkeypatch.setattr("cnnc.diff.align.MOST_STEPS", 0)
    changes = told(net(conv(8), conv(16), *HEAD), net(conv(4), conv(8), conv(12), *HEAD))
    assert ("changed", "conv", "conv", {"out": ("8", "4")}) in changes
    assert ("added", None, "conv_3", {}) in changes


def test_another_op_at_a_path_is_a_change_of_the_op():
    (change,) = told(net(conv(), {"relu": {"name": "act"}}, *HEAD), net(conv(), {"gelu": {"name": "act"}}, *HEAD))
    assert change == ("changed", "act", "act", {"op": ("relu", "gelu")})


def test_inputs_that_trade_places_are_a_change():
    def network(order):
        return net(conv(name="a", out=4), {"conv": {"name": "b", "out": 4, "kernel": 3, "from": "image"}},
                   {"concat": {"name": "both", "from": order}}, *HEAD)  # fmt: skip

    assert told(network(["a", "b"]), network(["b", "a"])) == [
        ("changed", "both", "both", {"from": ("a, b", "b, a")}),
    ]


def test_ends_of_the_network_are_compared():
    old = net(conv(), *HEAD)
    new = net(
        conv(), *HEAD, input={"picture": {"shape": [3, 16, 16], "resize": 20, "crop": 16}}, labels=list("abcdefghij")
    )
    ends = {each.what: (each.old, each.new) for each in compare(old, new).ends}
    was, now = ends["input picture"]
    assert was.startswith("image, 3×16×16")
    assert now.startswith("picture, 3×16×16")
    assert "resize 20" in now
    assert ends["labels"] == (None, "a, b, c, d, e, f, g, h, i, j")
    assert compare(old, new).changes == ()  # the input's other name moves no node


def test_a_renamed_input_is_one_change():
    old, new = net(conv(), *HEAD, input={"image": [3, 16, 16]}), net(conv(), *HEAD, input={"x": [3, 16, 16]})
    assert [(each.what, each.old, each.new) for each in compare(old, new).ends] == [("input x", "image", "x")]


def test_a_renamed_output_is_told():
    old = net(conv(), *HEAD)
    new = net(conv(), *HEAD[:-1], {"linear": {"name": "head", "out": 10}})
    text = formats.markdown(compare(old, new), "old", "new")
    assert "| output fc | 10 → none |\n| output head | none → 10 |" in text
    assert [(each.what, each.old, each.new) for each in compare(old, new).ends] == [
        ("output fc", "10", None),
        ("output head", None, "10"),
    ]


def test_what_sees_more_of_the_input_is_affected():
    old = net(conv(name="a", padding=1), conv(name="b"), "relu", *HEAD)
    new = net(conv(name="a", padding=2, kernel=5), conv(name="b"), "relu", *HEAD)
    fields = [(each.kind, each.new.path, each.old.field, each.new.field) for each in compare(old, new).changes]
    assert fields == [
        ("changed", "a", (3, 3), (5, 5)),
        ("affected", "b", (5, 5), (7, 7)),
        ("affected", "relu", (5, 5), (7, 7)),  # the pool behind it sees all, as before
    ]


def test_unknown_sizes_have_unknown_costs():
    open_input = {"image": [3, None, None]}
    found = compare(net(conv(name="a", padding=1), *HEAD), net(conv(name="a", padding=1), *HEAD, input=open_input))
    change = found.changes[0]
    assert (change.kind, change.new.macs, change.new.memory) == ("affected", None, None)
    assert "MACs: 55,376 → ? (?)" in formats.table(found)


@pytest.fixture
def found():
    return compare(net(conv(name="a"), "relu", *HEAD), net(conv(name="a", kernel=5), "relu", "dropout", *HEAD))


def test_the_table_has_signed_deltas_and_totals(found):
    lines = formats.table(found).splitlines()
    assert lines[0].split() == ["change", "node", "op", "what", "output", "field", "params", "MACs", "memory"]
    assert lines[2].split() == [
        *("changed", "a", "conv", "kernel", "3", "→", "5", "8×14×14", "→", "8×12×12", "3×3", "→", "5×5"),
        *("+384", "+44,064", "−1,664"),
    ]
    assert "parameters: 314 → 698 (+384, +122.3%)" in lines
    assert "nodes: 5 → 6 (+1, +20.0%)" in lines


def test_markdown_folds_away_what_is_affected(found):
    text = formats.markdown(found, "HEAD~1:net.yaml", "net.yaml")
    head, folded = text.split("<details>")
    assert head.startswith("### `HEAD~1:net.yaml` → `net.yaml`\n")
    assert "| added | dropout |" in head
    assert "| affected | relu |" in folded
    rows = [line for line in head.splitlines() if line.count("|") == 10]
    assert len(rows) == 2 + 3  # the head and its rule; a, dropout, and the pool that now takes dropout
    assert rows[1] == "| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |"  # figures to the right
    assert "\n| --- | --- |\n" in head


def test_json_has_both_sides(found):
    data = formats.as_json(found)
    first = data["changes"][0]
    assert first["kind"] == "changed"
    assert first["old"] == {
        "name": "a",
        "file": None,
        "line": None,
        "op": "conv",
        "from": ["image"],
        "shape": [8, 14, 14],
        "params": 224,
        "macs": 42336,
        "memory": 6272,
        "receptive_field": [3, 3],
    }
    assert first["details"] == {"kernel": ("3", "5")}
    assert data["totals"]["params"] == [314, 698]
    assert data["totals"]["nodes"] == [5, 6]
    assert data["same"] is False


def test_the_weight_of_a_head_for_training_is_told():
    def weighted(**head):
        return net("flatten", {"linear": {"name": "fc", "out": 10}}, outputs={"y": "flatten", "aux": {**HELP, **head}})

    found = compare(weighted(weight=0.3), weighted(weight=0.5))
    assert [(each.old, each.new) for each in found.ends] == [
        ("10 from fc, train only, weight 0.3", "10 from fc, train only, weight 0.5")
    ]


def test_how_a_picture_becomes_an_input_is_compared():
    about = {"shape": [3, 16, 16], "mode": "bgr", "scale": 255, "interpolation": "bicubic"}
    found = compare(net(*HEAD), net(*HEAD, input={"image": about}))
    [(what, was, now)] = [(each.what, each.old, each.new) for each in found.ends]
    assert what == "input image"
    assert was == "3×16×16, mode rgb, mean 0.0, std 1.0"
    assert now == "3×16×16, mode bgr, mean 0.0, std 1.0, interpolation bicubic, scale 255"


def test_a_value_that_is_null_is_spelt_so():
    was, now = ({"batch_norm": {"name": "bn", **given}} for given in ({}, {"momentum": None}))
    [(_, _, _, details)] = told(net(was, *HEAD), net(now, *HEAD))
    assert details == {"momentum": ("0.1", "null")}
