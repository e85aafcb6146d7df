"""Blocks, groups, repeat, each and use: what is seen from where, and what everything is called."""

import os

import pytest
import yaml

from cnnc.compiler import check, compile, load
from cnnc.ops import registry
from tests.nets import codes, conv, faults, net, paths, shapes, sources

TWICE = {"twice": {"nodes": ["relu", "relu"]}}


# -- a block and what it shows


def test_a_block_takes_one_input_called_input_and_shows_its_last_node():
    blocks = {"res": {"nodes": [conv(name="a"), {"add": {"from": ["a", "input"]}}]}}
    assert sources(net("relu", {"res": {"name": "r"}}, "tanh", blocks=blocks)) == {
        "relu": ["image"],
        "r.a": ["relu"],
        "r.add": ["r.a", "relu"],
        "tanh": ["r.add"],
    }


def test_a_block_may_have_several_inputs():
    blocks = {"sum": {"inputs": ["a", "b"], "nodes": [{"tanh": {"from": "b"}}, {"add": {"from": ["a", "tanh"]}}]}}
    assert sources(net("relu", {"sum": {"from": ["relu", "image"]}}, blocks=blocks)) == {
        "relu": ["image"],
        "sum.tanh": ["image"],
        "sum.add": ["relu", "sum.tanh"],
    }
    assert codes(net("relu", {"sum": {"from": "relu"}}, blocks=blocks)) == ["E305"]


def test_the_first_node_of_several_inputs_says_which_it_takes():
    blocks = {"sum": {"inputs": ["a", "b"], "nodes": ["relu"]}}
    assert codes(net({"sum": {"from": ["image", "image"]}}, blocks=blocks)) == ["E305"]


def test_a_block_may_have_several_outputs():
    blocks = {
        "fork": {
            "outputs": {"left": "relu", "right": "tanh"},
            "nodes": ["relu", {"tanh": {"from": "input"}}],
        }
    }
    spec = net({"fork": {"name": "f"}}, {"add": {"from": ["f.left", "f.right"]}}, blocks=blocks)
    assert sources(spec)["add"] == ["f.relu", "f.tanh"]
    assert codes(net({"fork": {"name": "f"}}, {"relu": {"from": "f"}}, blocks=blocks)) == ["E314"]
    assert codes(net({"fork": {"name": "f"}}, {"relu": {"from": "f.middle"}}, blocks=blocks)) == ["E314"]
    assert codes(net("fork", "relu", blocks=blocks)) == ["E314"]


def test_outputs_may_be_a_list_of_names_or_one_name():
    fork = {"nodes": ["relu", {"tanh": {"from": "input"}}]}
    both = net({"f": {}}, {"add": {"from": ["f.relu", "f.tanh"]}}, blocks={"f": {**fork, "outputs": ["relu", "tanh"]}})
    assert sources(both)["add"] == ["f.relu", "f.tanh"]
    for outputs in ("relu", ["relu"], {"it": "relu"}):
        spec = net({"f": {}}, "elu", blocks={"f": {"outputs": outputs, "nodes": ["relu"]}})
        assert sources(spec)["elu"] == ["f.relu"]


def test_a_block_may_show_what_another_one_shows():
    blocks = {
        "inner": {"outputs": {"a": "relu", "b": "input"}, "nodes": ["relu"]},
        "outer": {"outputs": {"x": "inner.a", "y": "inner.b"}, "nodes": ["inner"]},
    }
    assert sources(net("outer", {"add": {"from": ["outer.x", "outer.y"]}}, blocks=blocks))["add"] == [
        "outer.inner.relu",
        "image",
    ]


def test_blocks_may_use_blocks_and_paths_nest():
    blocks = {**TWICE, "four": {"nodes": ["twice", {"twice": {"name": "again"}}]}}
    assert paths(net({"four": {"name": "f"}}, blocks=blocks)) == [
        "f.twice.relu",
        "f.twice.relu_2",
        "f.again.relu",
        "f.again.relu_2",
    ]


@pytest.mark.parametrize(
    "blocks",
    [
        {"a": {"nodes": ["a"]}},
        {"a": {"nodes": ["b"]}, "b": {"nodes": ["relu", "a"]}},
        {"a": {"nodes": [{"group": {"nodes": [{"each": {"over": {"k": [1]}, "nodes": ["a"]}}]}}]}},
    ],
)
def test_recursion_is_an_error(blocks):
    assert codes(net("a", blocks=blocks)) == ["E213"]


# -- what is visible


def test_from_inside_a_block_only_its_own_nodes_are_visible():
    assert codes(net("relu", "b", blocks={"b": {"nodes": [{"tanh": {"from": "relu"}}]}})) == ["E306"]
    assert codes(net({"relu": {"name": "input"}}, "b", blocks={"b": {"nodes": [{"tanh": {"from": "image"}}]}})) == [
        "E306"
    ]
    assert codes(net("relu", {"group": {"nodes": [{"tanh": {"from": "relu"}}]}})) == ["E306"]


def test_from_inside_a_block_only_its_own_params_are_visible():
    blocks = {"b": {"nodes": [conv("$classes")]}}
    assert codes(net("b", params={"classes": 10}, blocks=blocks)) == ["E212"]
    assert codes(net({"b": {"repeat": 2}}, blocks={"b": {"nodes": [conv("$(i + 1)")]}})) == ["E212"]


def test_from_outside_only_its_outputs_are_visible():
    blocks = {"b": {"nodes": [{"relu": {"name": "first"}}, "tanh"]}}
    assert codes(net("b", {"elu": {"from": "b.first"}}, blocks=blocks)) == ["E314"]
    assert codes(net("b", {"elu": {"from": "first"}}, blocks=blocks)) == ["E306"]


def test_a_group_sees_the_params_around_it():
    assert shapes(net({"group": {"nodes": [conv("$classes")]}}, params={"classes": 7}))["group.conv"] == (7, 8, 8)


# -- params


def test_a_param_without_a_default_must_be_given():
    blocks = {"b": {"params": {"out": None, "kernel": 1}, "nodes": [conv("$out", "$kernel")]}}
    assert shapes(net({"b": {"out": 5}}, blocks=blocks))["b.conv"] == (5, 8, 8)
    assert shapes(net({"b": {"out": 5, "kernel": 3}}, blocks=blocks))["b.conv"] == (5, 6, 6)
    assert codes(net("b", blocks=blocks)) == ["E207"]
    assert codes(net({"b": {"out": 5, "stride": 2}}, blocks=blocks)) == ["E206"]


def test_a_default_may_speak_of_the_params_before_it_and_of_the_inputs():
    blocks = {
        "b": {"params": {"mid": "$(input.channels * 2)", "out": "$(mid + 1)"}, "nodes": [conv("$mid"), conv("$out")]}
    }
    assert shapes(net("b", blocks=blocks)) == {"b.conv": (8, 8, 8), "b.conv_2": (9, 8, 8)}
    assert shapes(net({"b": {"mid": 3}}, blocks=blocks)) == {"b.conv": (3, 8, 8), "b.conv_2": (4, 8, 8)}
    late = {"b": {"params": {"mid": "$(out)", "out": 2}, "nodes": [conv("$mid")]}}
    assert codes(net("b", blocks=late)) == ["E212"]


def test_an_error_in_a_block_shows_the_line_in_the_block_and_that_of_the_instance(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(
        "cnnc: 1\n"
        "input: {image: [4, 8, 8]}\n"
        "blocks:\n"
        "  inner: {nodes: [{conv: {out: 4, kernel: 99}}]}\n"
        "  outer: {nodes: [{inner: {name: deep}}]}\n"
        "nodes:\n"
        "  - outer\n"
    )
    [found] = check(path).diagnostics
    assert found.span.line == 4
    assert [(note.message, note.span.line) for note in found.notes if note.span and "in `" in note.message] == [
        ("in `outer.deep`, an instance of `inner`", 5),
        ("in `outer`, an instance of `outer`", 7),
    ]


def test_a_wrong_line_of_a_block_is_said_once_for_all_instances():
    assert codes(net({"b": {"repeat": 5}}, "b", "b", blocks={"b": {"nodes": [conv("$nosuch")]}})) == ["E212"]


# -- repeat


def test_repeat_chains_instances():
    assert sources(net({"twice": {"name": "t", "repeat": 2}}, "tanh", blocks=TWICE)) == {
        "t.0.relu": ["image"],
        "t.0.relu_2": ["t.0.relu"],
        "t.1.relu": ["t.0.relu_2"],
        "t.1.relu_2": ["t.1.relu"],
        "tanh": ["t.1.relu_2"],
    }


def test_repeat_works_on_plain_ops_groups_and_eaches():
    assert paths(net({"relu": {"repeat": 3}})) == ["relu.0", "relu.1", "relu.2"]
    assert paths(net({"group": {"name": "g", "repeat": 2, "nodes": ["relu"]}})) == ["g.0.relu", "g.1.relu"]
    each = {"each": {"name": "e", "repeat": 2, "over": {"k": [1, 2]}, "nodes": ["relu"]}}
    assert paths(net(each)) == ["e.0.0.relu", "e.0.1.relu", "e.1.0.relu", "e.1.1.relu"]
    assert paths(net({"each": {"repeat": 2, "over": {"k": [1]}, "nodes": ["relu"]}})) == ["relu", "relu_2"]


def test_inside_a_repeat_i_is_the_index_and_n_the_count():
    assert shapes(net(conv("$(10 * i + n)", name="c", repeat=3))) == {
        "c.0": (3, 8, 8),
        "c.1": (13, 8, 8),
        "c.2": (23, 8, 8),
    }
    assert list(shapes(net({"group": {"repeat": 2, "nodes": [conv("$(i + 1)")]}})).values()) == [(1, 8, 8), (2, 8, 8)]


def test_a_name_may_hold_an_expression_instead():
    spec = net({"twice": {"name": "layer$(i + 1)", "repeat": 2}}, {"add": {"from": ["layer1", "layer2"]}}, blocks=TWICE)
    assert sources(spec)["layer2.relu"] == ["layer1.relu_2"]
    assert sources(spec)["add"] == ["layer1.relu_2", "layer2.relu_2"]


def test_a_name_that_is_an_index_counts_as_one():
    """As in `nn.Sequential(*[Block() for _ in range(3)], conv)`."""
    nodes = [{"relu": {"name": "$i", "repeat": 3}}, conv(5), {"add": {"from": ["$(1 + 1)", "3"]}}]
    spec = net(conv(5), {"group": {"name": "body", "names": "index", "nodes": nodes}})
    assert sources(spec)["body.4"] == ["body.2", "body.3"]
    twice = [
        {"relu": {"name": "$i", "repeat": 2}},
        {"tanh": {"name": "$i", "repeat": 2}},
        {"add": {"from": ["1", "3"]}},
    ]
    assert sources(net({"group": {"name": "g", "names": "index", "nodes": twice}}))["g.4"] == ["g.1", "g.3"]
    left_out = net({"relu": {"name": "$i", "repeat": 2, "when": "$(i > 0)"}}, {"add": {"from": ["image", "0", "1"]}})
    assert sources(left_out)["add"] == ["image", "image", "1"]
    by_round = net({"each": {"name": "$out", "over": {"out": [8, 16]}, "nodes": [conv("$out")]}})
    assert [*shapes(by_round)] == ["8.conv", "16.conv"]
    assert codes(net({"relu": {"name": "$(0.5 + 1)"}})) == codes(net({"relu": {"name": "$(1 == 1)"}})) == ["E209"]


def test_a_named_instance_may_be_tapped():
    spec = net(conv("$(i + 1)", name="c", repeat=3), {"concat": {"from": ["c.0", "c.1", "c"]}})
    assert sources(spec)["concat"] == ["c.0", "c.1", "c.2"]
    assert codes(net({"relu": {"repeat": 2}}, {"tanh": {"from": "relu.2"}})) == ["E314"]


def test_a_repeated_node_may_be_absent_in_some_instances():
    assert sources(net({"relu": {"name": "r", "repeat": 4, "when": "$(i % 2 == 1)"}}, "tanh")) == {
        "r.1": ["image"],
        "r.3": ["r.1"],
        "tanh": ["r.3"],
    }
    none = net("elu", {"relu": {"name": "r", "repeat": 4, "when": "$(i > 9)"}}, {"tanh": {"from": "r"}})
    assert sources(none)["tanh"] == ["elu"]


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "3", None, "$(7 // 8)"])
def test_repeat_is_an_integer_of_at_least_one(count):
    assert codes(net({"relu": {"repeat": count}})) == ["E215"]


def test_repeat_chains_one_input_and_one_output():
    assert codes(net({"split": {"parts": 2, "repeat": 2}}, outputs="split.0")) == ["E215"]
    assert codes(net("relu", {"add": {"from": ["relu", "image"], "repeat": 2}})) == ["E215"]
    assert paths(net("relu", {"add": {"name": "a", "from": ["relu", "image"], "repeat": 1}})) == ["relu", "a.0"]


# -- each


def test_each_with_a_name_has_a_scope_a_round():
    each = {"each": {"name": "stage", "over": {"out": [2, 3]}, "nodes": [conv("$out"), "relu"]}}
    assert sources(net("tanh", each, "elu")) == {
        "tanh": ["image"],
        "stage.0.conv": ["tanh"],
        "stage.0.relu": ["stage.0.conv"],
        "stage.1.conv": ["stage.0.relu"],
        "stage.1.relu": ["stage.1.conv"],
        "elu": ["stage.1.relu"],
    }


def test_each_without_a_name_leaves_its_nodes_in_the_scope_around_it():
    each = {"each": {"over": {"out": [2, 3]}, "nodes": [conv("$out"), {"relu": {"from": "conv"}}]}}
    assert sources(net("tanh", each, {"elu": {"from": "conv_2"}}, outputs=["elu", "relu", "relu_2"])) == {
        "tanh": ["image"],
        "conv": ["tanh"],
        "relu": ["conv"],
        "conv_2": ["relu"],
        "relu_2": ["conv"],
        "elu": ["conv_2"],
    }


def test_the_name_of_an_each_may_tell_its_rounds_apart():
    each = {"each": {"name": "conv$(i + 2)_x", "over": {"out": [2, 3]}, "nodes": [conv("$out", name="a")]}}
    assert paths(net(each)) == ["conv2_x.a", "conv3_x.a"]
    by_value = {"each": {"name": "b_$tag", "over": {"tag": ["x", "y"]}, "nodes": ["relu"]}}
    assert paths(net(by_value, {"add": {"from": ["b_x", "b_y"]}})) == ["b_x.relu", "b_y.relu", "add"]


def test_each_zips_its_lists_and_counts():
    each = {"each": {"over": {"a": [1, 2], "b": [10, 20]}, "nodes": [conv("$(a + b + 100 * i + 1000 * n)")]}}
    assert list(shapes(net(each)).values()) == [(2011, 8, 8), (2122, 8, 8)]


def test_each_may_run_over_a_param():
    each = {"each": {"over": {"out": "$widths"}, "nodes": [conv("$out")]}}
    assert len(paths(net(each, params={"widths": [1, 2, 3]}))) == 3
    assert len(paths(net(each, params={"widths": [1, 2, 3]}), set={"widths": [1]})) == 1


@pytest.mark.parametrize(
    "over", [{}, [], 3, "x", {"a": 3}, {"a": []}, {"a": [1], "b": [1, 2]}, {"i": [1]}, {"n": [1]}, {"a": "$(3)"}]
)
def test_over_is_a_mapping_of_names_to_lists_of_one_length(over):
    assert codes(net({"each": {"over": over, "nodes": ["relu"]}}, "tanh")) == ["E215"]


def test_i_is_that_of_the_innermost():
    inner = {"each": {"over": {"k": [0, 0, 0]}, "nodes": [conv("$(i + 1)")]}}
    assert list(shapes(net({"each": {"over": {"k": [1, 2]}, "nodes": [inner]}})).values()) == [
        (k, 8, 8) for k in (1, 2, 3, 1, 2, 3)
    ]
    repeated = {"each": {"over": {"k": [5]}, "nodes": [conv("$(k + i)", name="c", repeat=2)]}}
    assert list(shapes(net(repeated)).values()) == [(5, 8, 8), (6, 8, 8)]
    named = {"each": {"over": {"k": [5, 6]}, "nodes": [{"relu": {"name": "r$(k)_$(i)", "repeat": 2}}]}}
    assert paths(net(named)) == ["r5_0", "r5_1", "r6_0", "r6_1"]


def test_a_name_that_counts_by_the_inner_repeat_clashes_from_round_to_round():
    clash = {"each": {"over": {"k": [1, 2]}, "nodes": [{"relu": {"name": "r$i", "repeat": 2}}]}}
    assert codes(net(clash)) == ["E210"]


def test_an_each_may_take_what_it_names():
    each = {"each": {"from": "image", "over": {"k": [1, 2]}, "nodes": ["tanh"]}}
    assert sources(net("relu", each, {"add": {"from": ["relu", "tanh_2"]}}))["tanh"] == ["image"]
    late = {"each": {"from": "late", "over": {"k": [1, 2]}, "nodes": ["tanh"]}}
    assert sources(net(late, {"elu": {"name": "late", "from": "image"}}, outputs="tanh_2"))["tanh"] == ["late"]
    assert codes(net("relu", {"each": {"from": ["image", "relu"], "over": {"k": [1]}, "nodes": ["tanh"]}})) == ["E305"]


def test_nodes_inside_an_each_without_a_name_may_look_forward():
    each = {"each": {"over": {"k": [1, 2]}, "nodes": [{"add": {"from": ["late", "image"]}}]}}
    spec = net(each, {"relu": {"name": "late", "from": "image"}}, {"add": {"from": ["add", "add_2"]}})
    assert paths(spec) == ["late", "add", "add_2", "add_3"]


def test_vgg_is_an_each():
    each = {
        "each": {
            "name": "stage",
            "over": {"convs": [1, 2], "out": [8, 16]},
            "nodes": [
                conv("$out", 3, padding=1, repeat="$convs", act="relu"),
                {"max_pool": {"kernel": 2, "stride": 2}},
            ],
        }
    }
    assert shapes(net(each)) == {
        "stage.0.conv.0": (8, 8, 8),
        "stage.0.relu": (8, 8, 8),
        "stage.0.max_pool": (8, 4, 4),
        "stage.1.conv.0": (16, 4, 4),
        "stage.1.relu": (16, 4, 4),
        "stage.1.conv.1": (16, 4, 4),
        "stage.1.relu_2": (16, 4, 4),
        "stage.1.max_pool": (16, 2, 2),
    }


# -- group


def test_a_group_is_a_block_written_where_it_is_used():
    group = {"group": {"name": "g", "params": {"k": 3}, "outputs": {"a": "conv", "b": "input"}, "nodes": [conv("$k")]}}
    assert sources(net(group, {"concat": {"from": ["g.a", "g.b"]}}))["concat"] == ["g.conv", "image"]


def test_names_index_counts_the_nodes_that_are_there():
    nodes = [conv(), {"batch_norm": {"when": False}}, "relu", {"tanh": {"name": "named"}}, "elu", {"dropout": {}}]
    group = {"group": {"name": "features", "names": "index", "nodes": nodes}}
    assert paths(net(group)) == ["features.0", "features.1", "features.named", "features.3", "features.4"]


def test_names_index_works_in_blocks_and_counts_activations():
    blocks = {"b": {"names": "index", "nodes": [conv(act="relu"), conv(), {"add": {"from": ["0", "2"]}}]}}
    assert sources(net("b", blocks=blocks)) == {
        "b.0": ["image"],
        "b.1": ["b.0"],
        "b.2": ["b.1"],
        "b.3": ["b.1", "b.2"],
    }


def test_names_is_index_or_nothing():
    assert codes(net({"group": {"names": "letters", "nodes": ["relu"]}})) == ["E203"]


def test_an_empty_group_lets_its_input_through():
    assert sources(net("relu", {"group": {"nodes": [{"tanh": {"when": False}}]}}, "elu"))["elu"] == ["relu"]


def test_scopes_are_those_that_hold_nodes():
    spec = net(
        {"twice": {"name": "t", "repeat": 2}},
        {"each": {"name": "e", "over": {"k": [1]}, "nodes": ["relu"]}},
        {"group": {"name": "g", "nodes": [{"tanh": {"when": False}}]}},
        {"relu": {"name": "r", "repeat": 2}},
        blocks=TWICE,
    )
    assert load(spec).scopes == {"t": "twice", "t.0": "twice", "t.1": "twice", "e": "each", "e.0": "each"}


# -- use


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, data in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump({"cnnc": 1, **data}, sort_keys=False))
        return tmp_path / "net.yaml"

    return write


def library(**blocks):
    return {"blocks": {name: {"nodes": nodes} for name, nodes in blocks.items()}}


def using(*paths, nodes):
    return {"use": list(paths), "input": {"image": [4, 8, 8]}, "nodes": nodes}


def test_use_brings_the_blocks_of_other_files(folder):
    path = folder(net=using("blocks/a.yaml", nodes=["a"]), blocks__a=library(a=["relu", "tanh"]))
    assert paths(path) == ["a.relu", "a.tanh"]


def test_used_files_may_use_others_beside_them(folder):
    path = folder(
        net=using("blocks/a.yaml", nodes=["a"]),
        blocks__a={"use": ["b.yaml"], **library(a=["b"])},
        blocks__b=library(b=["relu"]),
    )
    assert paths(path) == ["a.b.relu"]


def test_a_file_that_two_others_use_is_read_once(folder):
    path = folder(
        net=using("a.yaml", "b.yaml", nodes=["a", "b"]),
        a={"use": ["c.yaml"], **library(a=["c"])},
        b={"use": ["c.yaml"], **library(b=["c"])},
        c=library(c=["relu"]),
    )
    assert paths(path) == ["a.c.relu", "b.c.relu"]


def test_a_place_in_a_used_file_names_that_file(folder):
    path = folder(net=using("blocks/a.yaml", nodes=["a"]), blocks__a=library(a=[conv(kernel=99)]))
    [found] = check(path).diagnostics
    assert found.code == "E303"
    assert found.span.source.name.endswith("blocks/a.yaml")
    assert any(note.span and note.span.source.name.endswith("net.yaml") for note in found.notes)


@pytest.mark.parametrize("use", [["../out.yaml"], ["/etc/hosts"], ["a/../../out.yaml"], [3], "a.yaml", [""]])
def test_use_takes_files_below_the_specs_own_folder(folder, use):
    path = folder(net={**using(nodes=["relu"]), "use": use}, a=library(a=["relu"]))
    assert codes(path) == ["E214"]


def test_a_used_file_must_be_there(folder):
    assert codes(folder(net=using("nosuch.yaml", nodes=["relu"]))) == ["E101"]


def test_a_link_that_leads_out_is_refused(folder, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "out.yaml"
    outside.write_text("cnnc: 1\nblocks: {a: {nodes: [relu]}}\n")
    path = folder(net=using("link.yaml", nodes=["relu"]))
    os.symlink(outside, tmp_path / "link.yaml")
    assert codes(path) == ["E214"]


def test_files_that_use_each_other_are_an_error(folder):
    path = folder(
        net=using("a.yaml", nodes=["a"]),
        a={"use": ["b.yaml"], **library(a=["relu"])},
        b={"use": ["a.yaml"], **library(b=["relu"])},
    )
    assert codes(path) == ["E214"]


def test_two_blocks_of_one_name_are_an_error(folder):
    path = folder(net={**using("a.yaml", nodes=["a"]), **library(a=["tanh"])}, a=library(a=["relu"]))
    assert codes(path) == ["E210"]


def test_a_spec_without_a_folder_uses_no_files():
    assert codes(net("relu", use=["a.yaml"])) == ["E214"]


def test_the_resolved_spec_holds_the_blocks_that_it_uses(folder):
    path = folder(net=using("blocks/a.yaml", nodes=["a"]), blocks__a=library(a=["relu"]))
    assert paths(load(path).spec) == ["a.relu"]


# -- names that clash, blocks that cannot be read


def test_a_block_may_not_be_called_like_an_op():
    for name in ("conv", "group", "each"):
        assert codes(net("tanh", blocks={name: {"nodes": ["relu"]}})) == ["E210"]


def test_a_block_that_cannot_be_read_is_blamed_once():
    blocks = {"b": {"params": {"out": None}, "knots": [], "nodes": 5}}
    found = faults(net({"b": {"out": 3, "name": "x"}}, {"relu": {"from": "x"}}, blocks=blocks))
    assert [fault.split()[0] for fault in found] == ["E201", "E203"]


def test_a_group_does_not_wait_for_what_its_own_params_ask():
    group = {"group": {"name": "g", "params": {"c": "$(input.channels * 2)"}, "nodes": [conv("$c")]}}
    assert paths(net(group, {"relu": {"when": "$(g.channels == 8)"}})) == ["g.conv", "relu"]


def test_a_round_of_a_named_each_has_one_output():
    each = {"each": {"name": "e", "over": {"k": [1, 2]}, "nodes": [{"split": {"parts": 2}}]}}
    assert codes(net(each, outputs="e")) == ["E215"]


def test_only_the_first_of_named_instances_takes_what_from_names():
    assert sources(net({"tanh": {"name": "t"}}, {"relu": {"name": "r$i", "repeat": 2, "from": "t"}})) == {
        "t": ["image"],
        "r0": ["t"],
        "r1": ["r0"],
    }


def test_the_default_names_in_an_each_that_failed_are_not_missed():
    each = {"each": {"over": {"k": "$nosuch"}, "nodes": ["relu"]}}
    assert codes(net(each, {"tanh": {"from": "relu_2"}})) == ["E212"]


def test_a_block_may_be_called_what_no_node_may():
    block = {"nodes": ["relu", "relu"]}
    checked = check({"cnnc": 1, "input": {"x": [3, 8, 8]}, "blocks": {"double": block}, "nodes": ["double"]})
    assert checked.ok
    assert [node.path for node in checked.graph.nodes] == ["double_2.relu", "double_2.relu_2"]
    assert compile({"cnnc": 1, "input": {"x": [3]}, "blocks": {"double": block}, "nodes": ["double"]}).double_2


@pytest.mark.parametrize("name", sorted(registry.LATER))
def test_a_block_may_have_the_name_of_an_op_that_came_later(name):
    """A spec that was right before there was this op means what it meant."""
    blocks = {name: {"params": {"width": 2}, "nodes": [conv(out="$width", name="inner")]}}
    spec = net({name: {"width": 5, "from": "image", "repeat": 2}}, blocks=blocks)
    assert list(load(spec).node) == [f"{name}.0.inner", f"{name}.1.inner"]
