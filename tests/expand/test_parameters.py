"""Values: parameters, expressions, and the types of what is visible."""

import pytest

from cnnc.compiler import load
from tests.nets import codes, conv, faults, net, shapes


def only(spec, **settings):
    [shape] = shapes(spec, **settings).values()
    return shape


def test_a_dollar_name_is_a_parameter():
    assert only(net(conv("$out"), params={"out": 7})) == (7, 8, 8)


def test_parameters_may_be_set():
    spec = net(conv("$out"), params={"out": 7})
    assert only(spec, set={"out": 3}) == (3, 8, 8)
    assert codes(spec, set={"in": 3}) == ["E216"]
    assert codes(spec, set={"out": "three"}) == ["E208"]


def test_a_default_may_speak_of_the_parameters_before_it_as_they_are_set():
    spec = net(conv("$wide"), params={"width": 2, "wide": "$(width * 4)"})
    assert only(spec) == (8, 8, 8)
    assert only(spec, set={"width": 3}) == (12, 8, 8)
    assert only(spec, set={"wide": "$(width + 1)"}) == (3, 8, 8)
    assert codes(net(conv("$wide"), params={"wide": "$(width * 4)", "width": 2})) == ["E212"]


def test_a_parameter_without_a_value_must_be_set():
    spec = net(conv("$out"), params={"out": None})
    assert codes(spec) == ["E202"]
    assert only(spec, set={"out": 3}) == (3, 8, 8)


def test_parameters_are_numbers_strings_lists_and_booleans():
    spec = net(conv("$(widths[1])", act="$act", bias="$bias"), params={"widths": [1, 5], "act": "relu", "bias": False})
    assert [node.cost.params for node in load(spec).nodes] == [20, 0]


def test_sizes_of_inputs_and_nodes_can_be_asked_for():
    spec = net(conv(6, 3), {"group": {"name": "g", "nodes": [conv("$(input.channels * 2)")]}}, image=(4, 9, 10))
    assert shapes(spec)["g.conv"] == (12, 7, 8)
    assert only(net(conv("$(image.channels + image.height + image.width)"), image=(4, 9, 10))) == (23, 9, 10)
    features = net("flatten", {"linear": {"out": "$(flatten.features // 2)"}})
    assert shapes(features)["linear"] == (128,)
    tokens = net("tokens", {"linear": {"out": "$(100 * tokens.tokens + tokens.features)"}}, image=(4, 9, 10))
    assert shapes(tokens)["linear"] == (90, 9004)


def test_a_block_instance_is_asked_as_its_last_node():
    blocks = {"b": {"nodes": [conv(6), "relu"]}}
    assert shapes(net({"b": {"name": "x"}}, conv("$(x.channels + 1)"), blocks=blocks))["conv"] == (7, 8, 8)


def test_the_name_of_an_absent_node_has_its_inputs_sizes():
    assert shapes(net(conv(5, name="x", when=False), conv("$(x.channels * 3)")))["conv"] == (12, 8, 8)


@pytest.mark.parametrize(
    "text",
    [
        "$(flatten.height)",
        "$(image.features)",
        "$(image.tokens)",
        "$(flatten.tokens)",
        "$(s.channels)",
        "$(nosuch.channels)",
        "$(image)",
        "$nosuch",
        "$(1 // 0)",
    ],
)
def test_what_has_no_value_is_an_error(text):
    nodes = (
        {"split": {"name": "s", "parts": 2}},
        {"concat": {"from": ["s.0", "s.1"]}},
        "flatten",
        {"linear": {"out": text}},
    )
    assert codes(net(*nodes)) == ["E212"]


@pytest.mark.parametrize("size", ["channels", "height", "width"])
def test_tokens_have_no_sizes_of_a_map(size):
    assert codes(net("tokens", {"linear": {"out": f"$(tokens.{size})"}})) == ["E212"]


@pytest.mark.parametrize("text", ["$(", "$(image.shape)", "$(__import__('os'))", "$(x := 3)", "$", "$(lambda: 1)"])
def test_what_is_no_expression_is_an_error(text):
    assert codes(net(conv(text))) == ["E211"]


def test_integers_are_integers():
    for wrong in (True, "3", 3.0, 1e3, "$(6 / 2)", "$('3')"):
        assert codes(net(conv(wrong))) == ["E208"]


def test_a_parameter_may_hold_a_dollar_sign_and_the_resolved_spec_keeps_it():
    spec = net("relu", params={"text": "$$5"})
    resolved = load(spec).spec
    assert resolved["params"] == {"text": "$$5"}
    assert load(resolved).spec == resolved


def test_the_resolved_spec_has_what_was_set():
    spec = net(conv("$wide"), params={"width": 2, "wide": "$(width * 4)"})
    assert load(spec, set={"width": 3}).spec["params"] == {"width": 3, "wide": 12}
    assert only(load(spec, set={"width": 3}).spec) == (12, 8, 8)


def test_lists_that_hold_mappings_are_handed_on_whole():
    assert faults(net(conv("$a"), params={"a": [{"x": 1}]})) == [
        "E208 `out` of `conv` must be an integer, got [{x: 1}]"
    ]
    blocks = {"b": {"params": {"k": None}, "nodes": [conv()]}}
    assert codes(net({"b": {"k": "$a"}}, params={"a": [{"x": 1}]}, blocks=blocks)) == []


@pytest.mark.parametrize("text", ["$(a[0])", "$a$(a[0])", "$(a[0] == 1)", "$([a[0]])"])
def test_a_mapping_is_not_the_value_of_an_expression(text):
    assert codes(net(conv(text), params={"a": [{"x": 1}]})) == ["E212"]
    assert codes(net({"each": {"over": {"a": [[{"x": 1}]]}, "nodes": [conv(text)]}})) == ["E212"]


@pytest.mark.parametrize("deeper", ["$([p{}])", ["$p{}"]])
def test_lists_cannot_be_nested_without_end_by_one_parameter_after_another(deeper):
    texts = [[deeper[0].format(i)] if isinstance(deeper, list) else deeper.format(i) for i in range(1500)]
    params = {"p0": [1]} | {f"p{i + 1}": text for i, text in enumerate(texts)}
    assert faults(net(conv(), params=params)) == ["E212 lists nest deeper than 32"]


def test_parameters_cannot_double_each_other_without_end():
    params = {"p0": [1]} | {f"p{i + 1}": [f"$p{i}", f"$p{i}"] for i in range(40)}
    assert set(codes(net(conv(), params=params))) == {"E212"}
    assert codes(net(conv(), params={"a": "$([0] * 9999)", "b": ["$a"] * 100})) == ["E212"]


def test_numbers_hold_no_underscores_as_everywhere_in_a_spec():
    assert faults(net(conv("$(1_0)"))) == ["E211 a number cannot contain `_`"]
    assert only(net(conv("$(len('1_0'))"))) == (3, 8, 8)


@pytest.mark.parametrize(("key", "amount"), [("params", "12B"), ("macs", "12MB"), ("activations", "9e3")])
def test_only_memory_is_counted_in_bytes(key, amount):
    [fault] = faults(net(conv(), budget={key: amount}))
    assert fault.startswith(f"E203 `{key}` of `budget` must be an integer, or a number with a unit: ")
    assert codes(net(conv(), budget={"params": "1.5K", "macs": "0.001G", "activations": "1MB"})) == []
