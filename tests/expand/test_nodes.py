"""Nodes: their words, their names, what they take, and the ones that are not there."""

import pytest

from cnnc.compiler import check, load
from tests.nets import codes, conv, faults, net, paths, shapes, sources


def test_a_node_is_an_op_or_an_op_with_attributes():
    assert sources(net("relu", {"relu": None}, {"relu": {}}, conv())) == {
        "relu": ["image"],
        "relu_2": ["relu"],
        "relu_3": ["relu_2"],
        "conv": ["relu_3"],
    }


def test_the_four_words_stand_on_any_node():
    blocks = {"twice": {"nodes": ["relu", "relu"]}}
    words = {"name": "a", "from": "image", "when": True, "repeat": 2}
    for op in ("relu", "twice", "group", "each"):
        body = {"group": {"nodes": ["relu"]}, "each": {"over": {"k": [1]}, "nodes": ["relu"]}}.get(op, {})
        assert paths(net({op: {**words, **body}}, blocks=blocks))[0].startswith("a.0")


def test_an_op_takes_no_attribute_that_it_does_not_know():
    assert codes(net({"relu": {"slope": 2}})) == ["E206"]
    assert codes(net({"twice": {"times": 2}}, blocks={"twice": {"nodes": ["relu"]}})) == ["E206"]


@pytest.mark.parametrize(
    ("attributes", "column", "code"),
    [("out: 4, kernal: 3, act: relu", 18, "E206"), ("act: relu, out: 4, kernel: 0", 37, "E208")],
)
def test_a_mistake_beside_act_stands_at_its_own_place(tmp_path, attributes, column, code):
    text = f"cnnc: 1\ninput: {{image: [3, 8, 8]}}\nnodes:\n- conv: {{{attributes}}}\n"
    (tmp_path / "net.yaml").write_text(text, encoding="utf-8")
    (fault,) = check(tmp_path / "net.yaml").diagnostics
    assert (fault.code.value, fault.span.line, fault.span.column) == (code, 4, column)


# -- names


def test_a_default_name_is_the_op_and_then_counts():
    assert paths(net("relu", "relu", conv(), "relu")) == ["relu", "relu_2", "conv", "relu_3"]


def test_a_default_name_keeps_clear_of_names_given_further_down():
    spec = net("relu", "relu", {"relu": {"name": "relu"}}, {"relu": {"name": "relu_3"}}, "relu")
    assert paths(spec) == ["relu_2", "relu_4", "relu", "relu_3", "relu_5"]


def test_a_default_name_keeps_clear_of_names_that_expressions_give():
    each = {"each": {"over": {"k": [1, 2]}, "nodes": [{"relu": {"name": "relu_$k"}}]}}
    assert paths(net("relu", "relu", each)) == ["relu", "relu_3", "relu_1", "relu_2"]
    assert paths(net("relu", "relu", {"relu": {"name": "relu_$(i + 1)", "repeat": 2}})) == [
        "relu",
        "relu_3",
        "relu_1",
        "relu_2",
    ]


def test_a_default_name_keeps_clear_of_names_in_an_each_that_names_some_of_its_nodes():
    each = {"each": {"over": {"k": [1]}, "nodes": ["tanh", {"relu": {"name": "relu"}}]}}
    assert paths(net("relu", each)) == ["relu_2", "tanh", "relu"]


def test_a_default_name_keeps_clear_of_the_inputs():
    assert paths({**net("relu"), "input": {"relu": [1, 4, 4]}}) == ["relu_2"]


def test_default_names_do_not_count_nodes_that_are_not_there():
    assert paths(net("relu", {"relu": {"when": False}}, "relu")) == ["relu", "relu_2"]
    assert paths(net("relu", {"conv": {"name": "relu_2", "when": False}}, "relu")) == ["relu", "relu_2"]


def test_blocks_and_groups_have_default_names_too():
    blocks = {"twice": {"nodes": ["relu", "relu"]}}
    assert paths(net("twice", "twice", {"group": {"nodes": ["tanh"]}}, blocks=blocks)) == [
        "twice.relu",
        "twice.relu_2",
        "twice_2.relu",
        "twice_2.relu_2",
        "group.tanh",
    ]


def test_from_may_use_a_default_name():
    assert sources(net("relu", "tanh", {"relu": {"from": "relu"}}, {"add": {"from": ["relu_2", "tanh"]}}))["add"] == [
        "relu_2",
        "tanh",
    ]


def test_a_name_given_twice_in_a_scope_is_an_error():
    assert faults(net({"relu": {"name": "a"}}, {"relu": {"name": "a"}})) == [
        "E210 the name `a` is given twice in this scope"
    ]
    assert codes(net({"relu": {"name": "image"}})) == ["E210"]


def test_one_name_may_stand_in_two_scopes():
    group = {"group": {"name": "b", "nodes": [{"relu": {"name": "a"}}]}}
    assert paths(net({"relu": {"name": "a"}}, group)) == ["a", "b.a"]


@pytest.mark.parametrize("name", ["a", "A", "0", "12_3", "_", "a" * 64])
def test_a_name_is_made_of_letters_digits_and_underscores(name):
    assert paths(net({"relu": {"name": name}})) == [name]


@pytest.mark.parametrize(
    "name", ["", "a.b", "a/b", "../x", "a b", "é", "a-", "a\n", "a" * 65, "for", "None", "forward", "training", "type"]
)
def test_a_name_that_a_target_cannot_hold_is_refused(name):
    assert codes(net({"relu": {"name": name}})) == ["E209"]


@pytest.mark.parametrize("name", [1, True, 1.5, ["a"], {"a": 1}])
def test_a_name_is_text(name):
    assert codes(net({"relu": {"name": name}})) == ["E209"]


# -- from


def test_from_names_one_input_or_a_list():
    spec = net(conv(name="a"), conv(name="b", **{"from": "image"}), {"add": {"from": ["a", "b"]}})
    assert sources(spec) == {"a": ["image"], "b": ["image"], "add": ["a", "b"]}


def test_without_from_a_node_takes_the_one_before_it_in_the_same_list():
    group = {"group": {"name": "g", "nodes": ["tanh", "sigmoid"]}}
    assert sources(net("relu", group, "elu")) == {
        "relu": ["image"],
        "g.tanh": ["relu"],
        "g.sigmoid": ["g.tanh"],
        "elu": ["g.sigmoid"],
    }


def test_one_value_may_be_taken_twice():
    assert sources(net("relu", {"add": {"from": ["relu", "relu"]}}))["add"] == ["relu", "relu"]


@pytest.mark.parametrize("source", ["nosuch", ["relu", "nosuch"], "nosuch.port"])
def test_from_names_what_there_is(source):
    op = "add" if isinstance(source, list) else "relu"
    assert codes(net("relu", {op: {"from": source}})) == ["E306"]


def test_a_misspelt_name_is_proposed():
    [found] = check(net({"relu": {"name": "trunk"}}, {"relu": {"from": "trnk"}})).diagnostics
    assert found.help == "did you mean `trunk`?"


@pytest.mark.parametrize(("source", "code"), [([], "E305"), (None, "E306"), (True, "E306"), ({"a": 1}, "E306")])
def test_from_is_a_name_or_a_list_of_names(source, code):
    assert codes(net({"relu": {"from": source}})) == [code]


# -- forward


def test_from_may_point_forward():
    spec = net({"relu": {"name": "a", "from": "b"}}, {"tanh": {"name": "b", "from": "image"}}, {"elu": {"from": "a"}})
    assert sources(spec) == {"b": ["image"], "a": ["b"], "elu": ["a"]}


def test_from_may_point_forward_to_a_default_name():
    assert sources(net({"relu": {"from": "tanh"}}, {"tanh": {"from": "image"}}, {"elu": {"from": "relu"}})) == {
        "tanh": ["image"],
        "relu": ["tanh"],
        "elu": ["relu"],
    }


def test_forward_references_may_chain():
    nodes = [{"relu": {"name": f"n{k}", "from": f"n{k + 1}"}} for k in range(5)]
    spec = net(*nodes, {"relu": {"name": "n5", "from": "image"}}, outputs="n0")
    assert paths(spec) == ["n5", "n4", "n3", "n2", "n1", "n0"]


def test_what_stands_behind_a_waiting_node_waits_with_it():
    spec = net(
        {"relu": {"from": "late"}}, "tanh", "sigmoid", {"elu": {"name": "late", "from": "image"}}, outputs="sigmoid"
    )
    assert sources(spec) == {"late": ["image"], "relu": ["late"], "tanh": ["relu"], "sigmoid": ["tanh"]}


def test_a_block_may_take_what_stands_further_down():
    blocks = {"sum": {"inputs": ["a", "b"], "nodes": [{"add": {"from": ["a", "b"]}}, "relu"]}}
    spec = net(
        {"sum": {"from": ["late", "image"]}}, {"tanh": {"name": "late", "from": "image"}}, blocks=blocks, outputs="sum"
    )
    assert sources(spec) == {"late": ["image"], "sum.add": ["late", "image"], "sum.relu": ["sum.add"]}


def test_references_point_forward_inside_a_block():
    block = {
        "nodes": [{"relu": {"from": "late"}}, {"tanh": {"name": "late", "from": "input"}}, {"elu": {"from": "relu"}}]
    }
    assert paths(net({"b": {"repeat": 2}}, blocks={"b": block})) == [
        "b.0.late",
        "b.0.relu",
        "b.0.elu",
        "b.1.late",
        "b.1.relu",
        "b.1.elu",
    ]


def test_an_expression_may_look_forward():
    spec = net(
        conv(name="first", out="$(late.channels * 2)"),
        conv(name="late", out=5, **{"from": "image"}),
        {"concat": {"from": ["first", "late"]}},
    )
    assert shapes(spec) == {"late": (5, 8, 8), "first": (10, 8, 8), "concat": (15, 8, 8)}


def test_an_expression_may_look_forward_to_a_default_name():
    spec = net(
        conv(name="first", out="$(conv.channels)"), conv(7, **{"from": "image"}), {"add": {"from": ["conv", "first"]}}
    )
    assert shapes(spec)["first"] == (7, 8, 8)


def test_a_block_instance_may_be_given_a_size_from_further_down():
    blocks = {"b": {"params": {"out": None}, "nodes": [conv("$out")]}}
    spec = net(
        {"b": {"out": "$(late.channels)"}},
        conv(name="late", out=9, **{"from": "image"}),
        {"add": {"from": ["b", "late"]}},
        blocks=blocks,
    )
    assert shapes(spec)["b.conv"] == (9, 8, 8)


def test_repeat_may_count_what_stands_further_down():
    spec = net(
        {"relu": {"repeat": "$(late.channels)"}}, conv(3, name="late", **{"from": "image"}), outputs=["relu", "late"]
    )
    assert paths(spec) == ["late", "relu.0", "relu.1", "relu.2"]


def test_whether_a_named_node_is_there_may_depend_on_what_stands_further_down():
    late = conv(3, name="late", **{"from": "image"})
    maybe = {"relu": {"name": "maybe", "when": "$(late.channels > 3)"}}
    ends = {"tanh": {"from": "maybe"}}
    assert sources(net("elu", maybe, late, ends, outputs=["tanh", "late"]))["tanh"] == ["elu"]
    more = conv(4, name="late", **{"from": "image"})
    assert sources(net("elu", maybe, more, ends, outputs=["tanh", "late"]))["tanh"] == ["maybe"]


def test_whether_a_node_without_a_name_is_there_looks_at_what_is_known():
    spec = net(
        {"relu": {"when": "$(late.channels > 3)"}}, {"tanh": {"name": "late", "from": "image"}}, {"relu": {"name": "x"}}
    )
    assert codes(spec) == ["E212"]


def test_the_error_shows_the_whole_cycle():
    spec = net(
        {"relu": {"name": "a", "from": "c"}},
        {"relu": {"name": "b", "from": "a"}},
        {"relu": {"name": "c", "from": "b"}},
        {"relu": {"name": "d", "from": "image"}},
    )
    assert faults(spec) == ["E307 these nodes form a cycle: `a` → `b` → `c` → `a`"]


def test_a_cycle_through_a_default_input_is_one():
    spec = net({"relu": {"from": "elu"}}, "tanh", "elu")
    assert faults(spec) == ["E307 these nodes form a cycle: `relu` → `tanh` → `elu` → `relu`"]


def test_a_cycle_through_an_expression_is_one():
    assert codes(net(conv(name="a", out="$(b.channels)"), conv(name="b", out=4))) == ["E307"]
    assert codes(net(conv(name="a", out="$(a.channels)"))) == ["E307"]


def test_a_cycle_through_a_node_that_is_not_there_names_those_that_are():
    spec = net(
        {"relu": {"name": "a", "from": "gone"}},
        {"tanh": {"name": "gone", "from": "b", "when": False}},
        {"elu": {"name": "b", "from": "a"}},
    )
    assert faults(spec) == ["E307 these nodes form a cycle: `a` → `b` → `a`"]


@pytest.mark.parametrize("sources", ["a", "ba", "bca"])
def test_a_cycle_of_nodes_none_of_which_is_there_is_one(sources):
    absent = [{"relu": {"name": k, "from": f, "when": False}} for k, f in zip("abc", sources, strict=False)]
    [fault] = faults(net(*absent, {"relu": {"from": "image"}}))
    assert fault.startswith("E307 this node is left out")
    [fault] = faults(net(*absent, {"relu": {"from": "a"}}))  # whoever takes one of them is not blamed
    assert "depends on it" in fault


def test_what_takes_its_input_from_a_cycle_is_checked_all_the_same():
    loop = [{"relu": {"name": "a", "from": "b"}}, {"relu": {"name": "b", "from": "a"}}]
    assert codes(net(*loop, conv(padding="full"))) == ["E307", "E208"]


def test_two_cycles_are_two_errors():
    loops = [{"relu": {"name": f"{k}_{at}", "from": f"{k}_{1 - at}"}} for k in "xy" for at in (0, 1)]
    assert codes(net(*loops, {"relu": {"from": "image"}})) == ["E307", "E307"]


def test_a_cycle_inside_a_block_shows_the_instance():
    block = {"nodes": [{"relu": {"name": "a", "from": "b"}}, {"relu": {"name": "b"}}]}
    [found] = check(net({"blk": {"name": "x"}}, blocks={"blk": block})).diagnostics
    assert "`x.a` → `x.b` → `x.a`" in found.message
    assert any("instance of `blk`" in note.message for note in found.notes)


# -- when


def test_a_node_that_is_not_there_lets_its_input_through():
    assert sources(net("relu", {"tanh": {"when": False}}, "elu")) == {"relu": ["image"], "elu": ["relu"]}
    assert sources(net("relu", {"tanh": {"from": "image", "when": False}}, {"add": {"from": ["relu", "image"]}})) == {
        "relu": ["image"],
        "add": ["relu", "image"],
    }


def test_of_several_inputs_the_last_passes():
    spec = net(
        "relu",
        {"tanh": {"from": "image"}},
        {"add": {"from": ["relu", "tanh"], "when": False}},
        {"elu": {}},
        outputs=["elu", "relu"],
    )
    assert sources(spec)["elu"] == ["tanh"]


def test_what_is_not_there_is_not_evaluated():
    gone = {
        "conv": {
            "when": False,
            "out": "$(1 // 0)",
            "kernel": "$nosuch",
            "name": "$(1 // 0)",
            "repeat": "$(0)",
            "act": "$x",
        }
    }
    assert sources(net(gone, "relu")) == {"relu": ["image"]}
    block = {"b": {"when": False, "out": "$(1 // 0)"}}
    assert sources(net(block, "relu", blocks={"b": {"params": {"out": None}, "nodes": [conv("$out")]}})) == {
        "relu": ["image"]
    }
    each = {"each": {"when": False, "over": "$nosuch", "nodes": [conv("$(1 // 0)")]}}
    group = {"group": {"when": False, "nodes": [conv("$(1 // 0)")]}}
    assert sources(net(each, group, "relu")) == {"relu": ["image"]}


def test_the_name_of_a_node_that_is_not_there_reaches_its_input():
    spec = net("relu", {"tanh": {"name": "maybe", "when": False}}, "elu", {"add": {"from": ["maybe", "elu"]}})
    assert sources(spec)["add"] == ["relu", "elu"]


def test_so_it_does_for_those_above_it():
    spec = net(
        {"elu": {"from": "maybe"}},
        {"relu": {"name": "a", "from": "image"}},
        {"tanh": {"name": "maybe", "when": False}},
        outputs="elu",
    )
    assert sources(spec) == {"a": ["image"], "elu": ["a"]}


def test_of_two_nodes_of_one_name_the_one_that_is_there_has_it():
    for stays in (True, False):
        spec = net(
            {"relu": {"name": "early", "from": "proj"}},
            conv(8, name="proj", when=stays, **{"from": "image"}),
            {"tanh": {"name": "between", "from": "proj"}},
            conv(16, name="proj", when=not stays, **{"from": "image"}),
            outputs=["early", "between"],
        )
        assert shapes(spec) == dict.fromkeys(shapes(spec), (8 if stays else 16, 8, 8))
        assert sorted(paths(spec)) == ["between", "early", "proj"]


def test_several_absent_nodes_pass_on_the_same_value():
    spec = net(
        "relu", {"tanh": {"name": "a", "when": False}}, {"tanh": {"name": "b", "when": False}}, {"elu": {"from": "b"}}
    )
    assert sources(spec)["elu"] == ["relu"]


def test_an_absent_node_passes_one_port_through():
    spec = net({"split": {"name": "s", "parts": 2}}, {"relu": {"from": "s.1", "when": False}}, "tanh", outputs="tanh")
    assert sources(spec)["tanh"] == ["s.1"]


def test_an_absent_node_at_the_end_leaves_the_one_before_as_the_output():
    assert [each.name for each in load(net("relu", {"tanh": {"when": False}})).outputs] == ["relu"]


def test_an_absent_nodes_own_input_must_be_there():
    assert codes(net({"relu": {"from": "nosuch", "when": False}}, "tanh")) == ["E306"]


def test_costs_and_names_do_not_have_an_absent_node():
    spec = net(conv(), conv(100, name="big", when="$wide"), params={"wide": False})
    assert check(spec).as_json()["totals"]["params"] == 4 * 4 + 4
    assert paths(spec) == ["conv"]
    assert paths(spec, set={"wide": True}) == ["conv", "big"]


@pytest.mark.parametrize("value", [0, 1, "yes", "$(1)", None, []])
def test_when_is_true_or_false(value):
    assert codes(net({"relu": {"when": value}}, "tanh")) == ["E208"]


def test_when_looks_at_inputs_and_nodes_above():
    spec = net(conv(6), {"relu": {"when": "$(conv.channels == 6 and image.height == 8)"}})
    assert paths(spec) == ["conv", "relu"]


# -- act


def test_act_is_a_node_of_its_own_behind():
    written = net(conv(act="relu"), conv(act="tanh"), "flatten", {"linear": {"out": 3, "act": "relu"}})
    spelt = net(conv(), "relu", conv(), "tanh", "flatten", {"linear": {"out": 3}}, "relu")
    assert sources(written) == sources(spelt)
    assert shapes(written) == shapes(spelt)


def test_the_name_of_the_item_reaches_the_activation():
    assert sources(net(conv(name="a", act="relu"), "tanh", {"add": {"from": ["a", "tanh"]}}))["add"] == ["relu", "tanh"]


def test_an_activation_is_named_in_the_order_of_the_file_even_where_it_waits():
    written = net(
        conv(act="relu", **{"from": "late"}),
        "relu",
        conv(name="late", **{"from": "image"}),
        {"add": {"from": ["relu", "relu_2"]}},
    )
    assert sources(written) == {
        "late": ["image"],
        "conv": ["late"],
        "relu": ["conv"],
        "relu_2": ["relu"],
        "add": ["relu", "relu_2"],
    }


def test_each_instance_has_its_activation():
    assert sources(net(conv(name="c", repeat=2, act="relu"), "relu")) == {
        "c.0": ["image"],
        "relu": ["c.0"],
        "c.1": ["relu"],
        "relu_2": ["c.1"],
        "relu_3": ["relu_2"],
    }


def test_act_may_be_an_expression_or_null():
    assert paths(net(conv(name="c", repeat=2, act="$('relu' if i else null)"))) == ["c.0", "c.1", "relu"]
    assert paths(net(conv(act=None))) == ["conv"]


@pytest.mark.parametrize("act", ["rulu", 1, True, ["relu"], "flatten"])
def test_act_names_an_activation(act):
    assert codes(net(conv(act=act), "tanh")) == ["E208"]


def test_only_conv_and_linear_take_act():
    assert codes(net({"batch_norm": {"act": "relu"}})) == ["E206"]


# -- what a failed node does to others


def test_a_failed_node_silences_its_users_and_nothing_else():
    spec = net(
        conv(kernel=99, name="bad"),
        {"relu": {"name": "user"}},
        {"add": {"name": "sum", "from": ["user", "image"]}},
        {"conv": {"from": "image", "out": 4, "kernel": 77}},
        {"add": {"from": ["sum", "conv"]}},
    )
    assert codes(spec) == ["E303", "E303"]


@pytest.mark.parametrize(
    "bad", [{"conv": 5}, {"cnov": {"out": 4, "kernel": 1}}, {"conv": {"out": 4, "kernel": 1, "when": 3}}]
)
def test_default_names_count_a_node_that_failed(bad):
    assert len(codes(net(bad, conv(), {"relu": {"from": "conv_2"}}))) == 1


def test_a_name_that_cannot_be_evaluated_is_blamed_once():
    assert codes(net({"relu": {"name": "a$(1 // 0)"}}, {"tanh": {"from": "a1"}})) == ["E212"]


def test_a_failed_each_is_blamed_once():
    each = {"each": {"over": {"k": []}, "nodes": [{"relu": {"name": "r$k"}}]}}
    assert codes(net(each, {"tanh": {"from": "r1"}}, {"elu": {}})) == ["E215"]


def test_too_many_inputs_are_told_the_most():
    assert faults(net({"concat": {"from": ["image"] * 4097}})) == ["E305 `concat` takes at most 4,096 inputs, got 4097"]


def test_a_round_that_gives_a_name_again_is_told_what_counts():
    inner = {"relu": {"name": "layer$(i + 1)", "repeat": 2}}
    first, *_ = check(net({"each": {"over": {"k": [1, 2]}, "nodes": [inner]}})).diagnostics
    assert first.code == "E210"
    assert "`i` counts the innermost `repeat` or `each`" in first.help
    assert "`over`" in first.help
    [found] = check(net({"relu": {"name": "a"}}, {"tanh": {"name": "a"}})).diagnostics
    assert found.help == "rename one of them, for example to `a_2`"


@pytest.mark.parametrize("when", [False, "$(late.channels == 5)"])
def test_a_dead_node_is_told_of_the_absent_one_that_would_take_it(when):
    add = {"add": {"name": "sum", "from": ["conv", "image"], "when": when}}
    late = {"relu": {"name": "late", "from": "image"}}
    spec = net(conv(), add, {"tanh": {"name": "last", "from": "sum"}}, late, outputs=["late", "last"])
    [found] = check(spec).diagnostics
    assert (found.code, found.message) == ("E308", "nothing uses `conv`, and it is not an output")
    [note] = found.notes
    assert note.message == "this `add` is left out, and only its last input takes its place"
    assert '"add"' in note.span.source.line(note.span.line)
