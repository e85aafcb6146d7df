"""Specs that are large, deep or endless: proved, or refused with a number before anything of that size is built."""

import pytest

from cnnc.compiler import check, load
from cnnc.expand import limits
from cnnc.expressions.budget import Work
from cnnc.language.parse import parse
from cnnc.text.python_data import from_data
from cnnc.text.reader import parse_text
from tests.nets import codes, conv, faults, net, paths
from tests.thorough import thorough

MANY = "the network has more than 100,000 nodes"


def powers(levels, count, innermost="relu", **words):
    """Blocks of blocks, each `count` times the one before."""
    blocks = {"b0": {"nodes": [{innermost: {"repeat": count, **words}}]}}
    blocks |= {f"b{at}": {"nodes": [{f"b{at - 1}": {"repeat": count}}]} for at in range(1, levels)}
    return blocks, f"b{levels - 1}"


@thorough
def test_there_may_be_100_000_nodes():
    assert len(load(net({"relu": {"repeat": 100_000}})).nodes) == limits.MAX_NODES


def test_one_more_node_than_there_may_be_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_NODES", 1_000)  # of which there may be 100 times as many, but not as quickly
    assert len(load(net({"relu": {"repeat": 999}}, "relu")).nodes) == 1_000
    assert faults(net({"relu": {"repeat": 999}}, "relu", "relu")) == ["E217 the network has more than 1,000 nodes"]


def test_nested_repeats_are_counted_before_they_are_built():
    blocks, last = powers(3, 1_000)
    assert faults(net({last: {"repeat": 1_000}}, blocks=blocks)) == [f"E217 {MANY}"]


def test_so_they_are_where_parameters_count():
    blocks = {
        "a": {"params": {"k": None}, "nodes": [{"relu": {"repeat": "$k"}}]},
        "b": {"params": {"k": None, "twice": "$(k * 2)"}, "nodes": [{"a": {"k": "$twice", "repeat": "$k"}}]},
    }
    spec = net({"b": {"k": "$count", "repeat": "$count"}}, params={"count": 1000}, blocks=blocks)
    assert faults(spec) == [f"E217 {MANY}"]
    assert len(paths(spec, set={"count": 3})) == 3 * 3 * 6


def test_an_estimate_counts_only_what_is_there_for_sure(monkeypatch):
    monkeypatch.setattr(limits, "MAX_NODES", 1_000)
    blocks = {"b": {"params": {"k": None}, "nodes": [{"relu": {"repeat": 500, "when": "$(k == 0)"}}, "tanh"]}}
    spec = net({"each": {"name": "e", "over": {"k": [0, 1, 2, 3]}, "nodes": [{"b": {"k": "$k"}}]}}, blocks=blocks)
    assert len(load(spec).nodes) == 504


@pytest.mark.parametrize("count", [100_001, 10**9, 2**62])
def test_a_repeat_alone_may_be_too_much(count):
    assert faults(net({"relu": {"repeat": count}})) == [f"E217 `repeat: {count:,}` makes more than 100,000 nodes"]


def test_expanding_to_nothing_forever_is_refused():
    blocks, last = powers(3, 1_000, when=False)
    assert codes(net("relu", {last: {"repeat": 1_000}}, blocks=blocks)) == ["E217"]
    over = {"k": list(range(5_000))}
    empty = {"each": {"over": over, "nodes": [{"each": {"over": over, "nodes": [{"relu": {"when": False}}]}}]}}
    assert codes(net("relu", empty)) == ["E217"]
    named = {
        "each": {"over": over, "nodes": [{"each": {"over": over, "nodes": [{"relu": {"name": "x$k", "when": False}}]}}]}
    }
    assert codes(net("relu", named)) == ["E217"]


def test_blocks_that_nothing_uses_are_each_looked_at_once():
    blocks = {"b0": {"nodes": [conv("$nosuch")]}}
    blocks |= {f"b{at}": {"nodes": [f"b{at - 1}", f"b{at - 1}"]} for at in range(1, 60)}
    assert codes(net("relu", blocks=blocks)) == ["E212"]


def test_blocks_nest_32_deep():
    blocks, last = powers(32, 1)
    assert len(paths(net(last, blocks=blocks))) == 1
    blocks, last = powers(33, 1)
    assert faults(net(last, blocks=blocks)) == ["E217 blocks are nested more than 32 deep"]


def test_a_long_chain_of_forward_references():
    count = 3_000
    nodes = [{"relu": {"name": f"n{at}", "from": f"n{at + 1}"}} for at in range(count)]
    found = paths(net(*nodes, {"relu": {"name": f"n{count}", "from": "image"}}, outputs="n0"))
    assert found == [f"n{at}" for at in range(count, -1, -1)]


def test_a_long_cycle_is_told_by_its_ends():
    count = 1_000
    nodes = [{"relu": {"name": f"n{at}", "from": f"n{(at + 1) % count}"}} for at in range(count)]
    [fault] = faults(net(*nodes, outputs="n0"))
    assert "`n0` → `n999` → " in fault
    assert fault.endswith("→ `n1` → `n0`")
    assert " → (901 more) → " in fault


def test_of_a_dense_graph_a_shortest_cycle_is_told():
    names = [f"n{at}" for at in range(60)]
    nodes = [{"add": {"name": name, "from": [each for each in names if each != name]}} for name in names]
    assert faults(net(*nodes)) == ["E307 these nodes form a cycle: `n0` → `n1` → `n0`"]


def test_a_wide_concat():
    count = 1_000
    nodes = [{"relu": {"name": f"n{at}", "from": "image"}} for at in range(count)]
    spec = net(*nodes, {"concat": {"from": [f"n{at}" for at in range(count)]}})
    assert check(spec).as_json()["outputs"] == {"concat": {"shape": [4 * count, 8, 8], "as": "raw"}}


def test_parameters_and_elements_are_limited():
    wide = {"linear": {"out": 2**31 - 1}}
    assert codes({**net(wide), "input": {"x": [2**31 - 1]}}) == ["E311"]
    assert codes(net(conv(2**31 - 1))) == ["E311"]
    many = [{"linear": {"out": 50_000}}] * 6
    assert codes({**net(*many), "input": {"x": [50_000]}}) == ["E311"]


def test_the_parameters_that_an_estimate_computes_are_work():
    data = net({"b": {}}, blocks={"b": {"params": {f"p{at}": at for at in range(20)}, "nodes": ["relu"]}})
    source = from_data(data)
    spec = parse(source, parse_text(source), pytest.fail)
    work = Work(left=1_000)
    assert limits.Estimate(spec.blocks, work).least(spec.items[0], {}) == 1
    assert work.left <= 1_000 - 2 * 20  # as many again are in scope at the node


def test_a_name_that_is_too_long_is_told_once_and_not_again_as_a_path():
    nodes = [{"group": {"name": "g" * 300, "nodes": [{"relu": {"name": "a"}}]}}]
    [fault] = faults(net(*nodes))
    assert fault.startswith("E209")
    assert "300 characters" in fault
