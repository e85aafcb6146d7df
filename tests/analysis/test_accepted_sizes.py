"""Which heights and widths fit: the rule against inference at every size, one by one."""

from dataclasses import replace
from itertools import islice, product
from math import inf, prod

import pytest
from hypothesis import given, settings

from cnnc.analysis import size_questions
from cnnc.analysis.accepted_sizes import ANY, Rule, size_rules
from cnnc.compiler import check, load
from cnnc.graph.rebuild import rebuild
from cnnc.ops.base import Refusal
from cnnc.ops.types import TensorType
from tests.strategies import specs
from tests.thorough import examples

ODD = [
    {"conv": {"name": "down", "out": 1, "kernel": 3, "stride": 2}},
    {"conv_transpose": {"name": "up", "out": 1, "kernel": 3, "stride": 2}},
    {"add": {"from": ["up", "image"]}},
]


def conv(kernel, **rest):
    return {"conv": {"out": 1, "kernel": kernel, **rest}}


def net(*nodes, image=(1, None, None)):
    return load({"cnnc": 1, "name": "net", "input": {"image": list(image)}, "nodes": list(nodes)})


def u_net(levels, padding=1):
    """As Ronneberger et al. (2015) draw it, but with padded convs, so that maps meet without a crop."""
    nodes = []
    for level in range(levels):
        nodes += [conv(3, padding=padding, name=f"left{level}"), {"max_pool": {"kernel": 2}}]
    nodes.append(conv(3, padding=padding))
    for level in reversed(range(levels)):
        up = {"conv_transpose": {"name": f"up{level}", "out": 1, "kernel": 2, "stride": 2}}
        nodes += [up, {"concat": {"from": [f"up{level}", f"left{level}"]}}, conv(3, padding=padding)]
    return nodes


def fits(graph, height, width):
    """Whether inference at this size refuses nothing."""
    space = (height, width)
    inputs = tuple(each._replace(type=_filled(each.type, space)) for each in graph.inputs)
    try:
        rebuild(replace(graph, inputs=inputs), graph.nodes)
    except Refusal:
        return False
    return True


def _filled(type, space):
    if not type.is_map:
        return type
    return TensorType((type.channels, *(known or given for known, given in zip(type.space, space, strict=True))))


def agree(graph, most=70):
    rules = size_rules(graph)
    assert rules.independent
    for axis, rule in enumerate((rules.height, rules.width)):
        other = (rules.width, rules.height)[axis]
        if rule is not None:
            beside = next(other.sizes(40)) if other else 0
            taken = [n for n in range(1, most) if fits(graph, *((n, beside) if axis == 0 else (beside, n)))]
            assert taken == [n for n in range(1, most) if rule.takes(n)]
            assert rule.smallest == min(taken, default=rule.smallest)
    return rules


@pytest.mark.parametrize(
    ("nodes", "rule"),
    [
        (u_net(4), Rule(16, 16)),
        (u_net(2), Rule(4, 4)),
        ([conv(3), {"max_pool": {"kernel": 3, "stride": 2}}, conv(5)], Rule(13)),
        (ODD, Rule(3, 2, (1,))),
        ([conv(1, name="a"), conv(3, stride=2, padding=1), *ODD[:2], {"upsample": {"factor": 2}},
          {"add": {"from": ["upsample", "a"]}}], Rule(6, 4, (2,))),
        ([conv(3, stride=3, name="a"), {"upsample": {"factor": 3}}, {"pad": {"padding": [0, 0, 1, 1]}},
          {"concat": {"from": ["pad", "image"]}}], Rule(4, 3, (1,))),
        ([{"pixel_unshuffle": {"factor": 2}}], Rule(2, 2)),
        ([{"pixel_unshuffle": {"factor": 5}}], Rule(5, 5)),
        ([conv(3, stride=2), {"pixel_unshuffle": {"factor": 3}}, conv(2)], Rule(13, 6, (1, 2))),
        ([{"pixel_unshuffle": {"factor": 3, "name": "a"}}, {"upsample": {"factor": 3, "mode": "nearest"}},
          {"concat": {"from": ["upsample", "image"]}}], Rule(3, 3)),
    ],
    ids=["u-net", "small u-net", "valid convs", "odd", "2 of 4", "1 of 3", "twos", "fives", "threes of twos", "back"],
)  # fmt: skip
def test_rules(nodes, rule):
    rules = agree(net(*nodes))
    assert (rules.height, rules.width) == (rule, rule)
    assert rules.smallest == (rule.start, rule.start)


def test_several_residues():
    """Windows of 4 and of 2, a step of 4: behind a multiple of 4 stands room for neither, or from 2 rows on for one."""
    nodes = [
        conv(4, stride=4, name="a"),
        conv(2, stride=4, name="b", **{"from": "image"}),
        {"concat": {"from": ["a", "b"]}},
    ]
    rules = agree(net(*nodes))
    assert rules.height == Rule(4, 4, (0, 1))


def test_single_sizes_that_a_fixed_size_asks_for():
    nodes = [{"upsample": {"size": 28}}, conv(3, stride=4, padding=1, name="b", **{"from": "image"})]
    rules = agree(net(*nodes, {"concat": {"from": ["upsample", "b"]}}), most=150)
    assert rules.height == Rule(1, 1, (), (109, 110, 111, 112))
    assert str(rules.height) == "only 109, 110, 111 or 112"
    assert list(rules.height.sizes(110)) == [110, 111, 112]


def test_a_single_large_size_is_no_rule():
    """Strides of 5 and 6 drift apart: at 4,194,361 rows both give 699,060, and at some near it, but not for good."""
    nodes = [
        {"max_pool": {"kernel": [699_061, 1], "stride": [5, 1], "name": "a"}},
        {"max_pool": {"kernel": 1, "stride": [6, 1], "name": "b", "from": "image"}},
        {"concat": {"from": ["a", "b"]}},
    ]
    found = check({"cnnc": 1, "input": {"image": [1, None, 4]}, "nodes": nodes})
    assert size_rules(found.graph).height == Rule(remainders=())
    assert not found.ok


def test_height_and_width_apart():
    graph = net(conv([3, 5], stride=[2, 3], padding=[1, 0]), {"max_pool": {"kernel": [1, 4]}})
    assert (agree(graph).height, agree(graph).width) == (ANY, Rule(14))
    half = net({"max_pool": {"name": "p", "kernel": 2}}, {"upsample": {"factor": 2}},
               {"add": {"from": ["upsample", "image"]}}, image=(1, None, 20))  # fmt: skip
    rules = agree(half)
    assert (rules.height, rules.width, rules.smallest) == (Rule(2, 2), None, (2, 2))


def test_large_windows_need_large_inputs():
    rules = size_rules(net(conv(3, stride=2), conv(600)))
    assert rules.height == Rule(1201)


@pytest.mark.parametrize(
    ("stride", "either", "told"),
    [
        (2, (3, 3), "height and width: any size from 1 up; at least one of them 3 or more"),
        ([2, 4], (3, 5), "height and width: any size from 1 up; the height 3 or more, or the width 5 or more"),
    ],
)
def test_a_single_position_that_is_refused(stride, either, told):
    """A height of 1 works, and so does a width of 1, but not both."""
    graph = net(conv(3, stride=stride, padding=1), "instance_norm")
    rules = size_rules(graph)
    assert (rules.height, rules.width, rules.either, str(rules)) == (ANY, ANY, either, told)
    assert rules.smallest == min(((1, either[1]), (either[0], 1)), key=prod)
    for space in product(range(1, 8), repeat=2):
        assert fits(graph, *space) == rules.takes(*space)


@pytest.mark.parametrize(
    ("axis", "nodes", "told"),
    [
        (1, ["instance_norm"], "height: any size from 1 up; width: any size from 2 up"),
        (2, ["instance_norm"], "height: any size from 2 up; width: any size from 1 up"),
        (1, [{"group_norm": {"groups": 1}}], "height: any size from 1 up; width: any size from 2 up"),
        (
            2,
            [{"max_pool": {"kernel": [3, 1], "stride": [2, 1]}}, "instance_norm"],
            "height: any size from 5 up; width: any size from 1 up",
        ),
    ],
)
def test_a_single_row_or_column_that_is_refused(axis, nodes, told):
    """The last row, say, is one at any height, so that the width alone decides."""
    graph = net({"slice": {"axis": axis, "start": -1}}, *nodes)
    rules = size_rules(graph)
    assert str(rules) == told
    for space in product(range(1, 8), repeat=2):
        assert fits(graph, *space) == rules.takes(*space)


def test_two_single_positions():
    """The later one asks for more, and so for what the earlier one asks."""
    step = conv(3, stride=2, padding=1)
    rules = size_rules(net(step, "instance_norm", step, "instance_norm"))
    assert (rules.either, rules.smallest) == ((5, 5), (1, 5))


def test_axes_that_depend_on_each_other_are_wrong():
    spec = {"cnnc": 1, "input": {"image": [1, None, None]}}
    spec["nodes"] = [{"permute": {"axes": [0, 2, 1]}}, {"add": {"from": ["permute", "image"]}}]
    checked = check(spec)
    [fault] = checked.diagnostics
    assert fault.code.value == "E310"
    assert fault.message == (
        "the heights that fit depend on the width: at 2×3, add: `image` is 1×2×3, but `permute` is 1×3×2"
    )
    assert not size_rules(checked.graph).independent
    assert size_rules(check({**spec, "input": {"image": [1, None, 9]}}).graph).height == Rule(1, 1, (), (9,))


def test_a_side_behind_a_permute_is_the_other():
    """Strides of the width step over what was the height."""
    nodes = [
        {"permute": {"axes": [0, 2, 1]}},
        {"max_pool": {"kernel": [1, 3], "name": "p"}},
        {"upsample": {"factor": [1, 3]}},
    ]
    rules = agree(net(*nodes, {"concat": {"from": ["upsample", "permute"]}}))
    assert (rules.height, rules.width) == (Rule(3, 3), ANY)


def test_padding_behind_the_map_alone():
    """Nothing of it is in a field's first rows, and yet heights and widths are not the same."""
    nodes = [conv(2, padding=[0, 0, 1, 0]), {"concat": {"from": ["conv", "image"], "axis": 2}}, conv([1, 4])]
    rules = agree(net(*nodes))
    assert (rules.height, rules.width) == (ANY, Rule(3))


def test_what_is_joined_along_a_side_grows_by_both():
    nodes = [
        {"concat": {"from": ["image", "image"], "axis": 1}},
        {"max_pool": {"kernel": [4, 1]}},
        {"upsample": {"factor": [4, 1]}},
    ]
    rules = agree(net(*nodes, {"add": {"from": ["upsample", "concat"]}}))
    assert (rules.height, rules.width) == (Rule(2, 2), ANY)


def test_strides_that_never_meet_leave_all_sizes():
    """Steps of 7, 11 and 13 repeat after 1,001 rows, which is of no account to what is pooled into one."""
    nodes = [{"max_pool": {"kernel": 1, "stride": stride, "from": "image"}} for stride in (7, 11, 13, 17)]
    nodes = [each for pool in nodes for each in (pool, "global_avg_pool")]
    names = ["global_avg_pool", *(f"global_avg_pool_{at}" for at in (2, 3, 4))]
    assert agree(net(*nodes, {"concat": {"from": names}})).height == ANY


def test_several_inputs_may_each_need_a_size_of_their_own():
    nodes = [
        {"max_pool": {"from": "image", "kernel": 2}},
        {"concat": {"from": ["max_pool", "mask"]}},
    ]
    graph = load({"cnnc": 1, "inputs": {"image": [1, None, None], "mask": [1, None, None]}, "nodes": nodes})
    rules = size_rules(graph)
    assert [[each.shape for each in types] for types in rules.examples] == [
        [(1, size, size), (1, size // 2, size // 2)] for size in (32, 33, 34)
    ]
    assert str(rules) == "the inputs' sizes depend on each other: 1×32×32, 1×16×16, for example"


def test_a_height_of_one_input_may_bound_the_width_of_another():
    """A width of up to 4 fits a height of 1, so only larger ones show that the axes depend on each other."""
    nodes = [{"reshape": {"from": "x", "shape": [1, 1, -1]}}, {"crop": {"from": "reshape", "like": "y"}}]
    graph = load({"cnnc": 1, "inputs": {"x": [2, None, 2], "y": [1, None, None]}, "nodes": nodes})
    assert all(x.space[0] * 4 >= y.space[1] for x, y in size_rules(graph).examples)
    assert size_rules(graph).examples


def test_a_rule_for_several_inputs_is_one_for_inputs_of_one_size():
    nodes = [
        {"max_pool": {"name": "p", "from": "x", "kernel": 3}},
        {"conv": {"name": "c", "from": "y", "out": 1, "kernel": 8}},
        {"concat": {"from": ["p", "c"]}},
    ]
    inputs = {"x": [1, None, 3], "y": [1, None, 8]}
    graph = load({"cnnc": 1, "inputs": inputs, "nodes": nodes})
    rules = size_rules(graph)
    assert (rules.height, rules.alike) == (Rule(1, 1, (), (10,)), ("height",))
    assert str(rules) == "height: only 10 (if all inputs have the same height)"
    x, y = graph.inputs
    apart = (x._replace(type=TensorType((1, 12, 3))), y._replace(type=TensorType((1, 11, 8))))
    assert not rules.takes(12, 3)
    rebuild(replace(graph, inputs=apart), graph.nodes)  # which shows that others fit if the heights differ
    single = load({"cnnc": 1, "inputs": {**inputs, "y": [1, 10, 8]}, "nodes": nodes})
    assert size_rules(single).alike == ()


def test_several_inputs_of_which_no_sizes_go_together_are_wrong():
    nodes = [
        {"conv": {"from": "a", "name": "x", "out": 1, "kernel": 2}},
        {"conv": {"from": "a", "name": "y", "out": 1, "kernel": 3}},
        {"add": {"from": ["x", "y", "b"]}},
    ]
    checked = check({"cnnc": 1, "inputs": {"a": [1, None, None], "b": [1, None, None]}, "nodes": nodes})
    assert [each.code.value for each in checked.diagnostics] == ["E301"]
    assert checked.diagnostics[0].message.startswith("no height up to 1,024 works: at 1,024, add: `y` is 1×1022×?")


def test_what_takes_too_long_to_find_out_is_refused(monkeypatch):
    monkeypatch.setattr(size_questions, "MAX_STEPS", 20_000)
    spec = {"cnnc": 1, "input": {"image": [1, None, None]}, "nodes": [*u_net(4), {"relu": {"repeat": 900}}]}
    checked = check(spec)
    [fault] = checked.diagnostics
    assert (fault.code.value, fault.message) == (
        "E310",
        "finding the heights and widths that fit takes more than 20,000 steps",
    )
    assert checked.as_json()["implies"]["height"] is None
    fixed = load({**spec, "input": {"image": [1, 64, 64]}})
    assert size_rules(fixed).smallest == (16, None)


def test_an_activation_that_is_too_large_at_any_size():
    spec = {"cnnc": 1, "input": {"image": [1, None, None]}, "nodes": [{"upsample": {"factor": 1000, "repeat": 2}}]}
    [fault] = check(spec).diagnostics
    assert fault.code.value == "E311"
    assert fault.message.startswith("with an input of 1×1×1, the smallest, the output of `upsample.1` has 1,000,000,")


@pytest.mark.parametrize(("name", "smallest"), [("lenet", 12), ("vgg11", 32), ("nin", 67), ("resnet18", 1)])
def test_the_smallest_input_of_networks_whose_size_is_fixed(name, smallest, request):
    graph = load(request.config.rootpath / "specs" / f"{name}.yaml")
    rules = size_rules(graph)
    assert (rules.height, rules.width, rules.smallest) == (None, None, (smallest, smallest))


def test_a_spec_that_no_size_fits_is_wrong():
    nodes = [conv(2, name="a"), {"conv": {"from": "image", "name": "b", "out": 1, "kernel": 3}}]
    found = check({"cnnc": 1, "input": {"image": [1, None, None]}, "nodes": [*nodes, {"add": {"from": ["a", "b"]}}]})
    [fault] = found.diagnostics
    assert fault.code.value == "E301"
    assert fault.message == "no height up to 1,024 works: at 1,024, add: `b` is 1×1022×?, but `a` is 1×1023×?"
    assert not found.ok


def test_what_a_rule_says():
    assert str(ANY) == "any size from 1 up"
    assert str(Rule(32, 16)) == "multiples of 16 from 32 up"
    assert str(Rule(7, 4, (0, 3), (3,))) == "sizes that leave 0 or 3 when divided by 4, from 7 up, and 3"
    assert str(Rule(remainders=())) == "none"
    assert Rule(remainders=()).smallest is None
    assert list(islice(Rule(7, 4, (0, 3), (3,)).sizes(), 4)) == [3, 7, 8, 11]


@settings(max_examples=examples(40), deadline=None)
@given(specs())
def test_random_networks(spec):
    checked = check(spec)
    opened = [each for each in checked.graph.inputs if not each.type.known]
    if opened and len(checked.graph.inputs) == 1 and size_rules(checked.graph).independent:
        rules = agree(checked.graph, most=24)
        assert max(rules.smallest) < inf


def test_an_axis_has_a_rule_where_one_input_of_several_leaves_it_open():
    nodes = [
        {"max_pool": {"kernel": 2, "from": "image"}},
        "global_avg_pool",
        {"global_avg_pool": {"from": "side", "name": "other"}},
        {"add": {"from": ["global_avg_pool", "other"]}},
    ]
    rules = size_rules(load({"cnnc": 1, "inputs": {"image": [1, None, 9], "side": [1, 8, None]}, "nodes": nodes}))
    assert (rules.height, rules.width) == (Rule(2), ANY)
