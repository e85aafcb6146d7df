"""Small specs that would be a lot of work: refused by a count, or done without that work.

The limits are lowered here so that the tests are quick; `make bench ARGS=worst` measures whole specs at the real ones.
"""

import random
from itertools import product

import pytest

from cnnc.compiler import check
from cnnc.diagnostics import Source, suggestions
from cnnc.expand import limits
from cnnc.expand.parameters import parameters
from cnnc.expand.scope import Names, Scope
from cnnc.expressions import budget, parse_cache
from cnnc.expressions.grammar import parse
from cnnc.language.allow import read_allow
from cnnc.ops.split import Split
from cnnc.ops.window import Window
from cnnc.text.reader import parse_text
from tests.nets import conv, faults, net

FEW = 20_000
TOO_MUCH = f"E212 evaluating the values of this spec takes more than {FEW:,} element operations"
ZEROS = "$([0] * 200)"


def rounds(*nodes, over=ZEROS):
    return {"each": {"over": {"k": over}, "nodes": list(nodes)}}


def block(*nodes, **rest):
    return {"blocks": {"b": {**rest, "nodes": list(nodes)}}}


SMALL = net(conv("$(4 * 1)", repeat=50), {"b": {"p": ZEROS, "repeat": 3}}, **block("relu", params={"p": None}))
ABSENT = {"when": False}


@pytest.mark.parametrize(
    "spec",
    [
        net(conv(f"$(min(1, {', '.join(['len([0]*10000)'] * 100)}))", repeat=100)),
        net({"b": {"repeat": 600}}, **block({"relu": {"name": "r$(len([0]*10000) + len([0]*10000))"}})),
    ],
    ids=["expression", "name"],
)
def test_bombs_are_refused_at_the_real_limit(spec):
    assert faults(spec) == ["E212 evaluating the values of this spec takes more than 3,000,000 element operations"]


@pytest.mark.parametrize(
    "spec",
    [
        net(conv("$(min(1, len([0] * 900)))", repeat=100)),
        net(conv(f"$({' + '.join(['1'] * 50)})", repeat=300)),
        net({"relu": {"name": "r$(len([0] * 900))$i", "repeat": 30}}),
        net("relu", rounds({"relu": {"when": "$(a == b)"}}), params={"a": [0] * 300, "b": [0] * 300}),
        net("relu", rounds({"relu": {"when": "$(1 in a)"}}), params={"a": [0] * 300}),
        net("relu", rounds({"relu": {"when": "$(max(a) > 1)"}}), params={"a": [0] * 300}),
        net("relu", rounds({"relu": {"when": "$(a + a == a)"}}), params={"a": [[0] * 10] * 20}),
        net("relu", rounds({"b": {"p": "$a"}}), params={"a": [0] * 200}, **block("relu", params={"p": None})),
        net("relu", rounds({"b": {"p": [0] * 200}}), **block("relu", params={"p": None})),
        net({"b": {"repeat": 200}}, **block("relu", params={"p": [0] * 200})),
        net({"b": {"repeat": 200}}, **block("relu", params={f"p{at}": 1 for at in range(200)})),
        net("relu", rounds({"permute": {"axes": [0] * 200}})),
        net("relu", rounds({"b": {"k": "$i"}}), **block("relu", params={"k": None, "t": "$('a' * 9000)"})),
        net("relu", {"relu": {"repeat": 20_000}}),
        net("relu", blocks={f"b{at}": {"nodes": [rounds("relu")]} for at in range(60)}),
        net("relu", rounds({"relu": {"name": "n$nosuch", **ABSENT}}), params={f"p{at}" * 9: 1 for at in range(300)}),
        net(*[{"relu": {"name": f"name_{at}" * 5}} for at in range(60)], rounds({"relu": {"from": "b" * 30 + "$i"}})),
    ],
)
def test_what_all_values_take_together_is_bounded(spec, monkeypatch):
    assert TOO_MUCH not in faults(spec)
    monkeypatch.setattr(budget, "MAX_OPERATIONS", FEW)
    assert not faults(SMALL)
    assert TOO_MUCH in faults(spec)


def test_the_count_is_the_same_whatever_was_checked_before():
    def left():
        work = budget.Work()
        scope = Scope("", Names(), print, {"a": 3}, work)
        parameters(parse_text(Source("<dict>", '{"x": "$(a * 2)", "y": "t$(a)", "z": 1}')).data, {}, scope)
        return work.left

    assert left() == left() == budget.MAX_OPERATIONS - 3 - 3 - 1


@pytest.mark.parametrize(
    "spec",
    [
        net(rounds({"add": {"from": ["image"] * 100}})),
        net(rounds({"split": {"from": "image", "parts": 100}}), image=(100, 8, 8), outputs=["split.0"]),
        net(rounds({"b": {"from": ["image"] * 100}}), **block("relu", inputs=[f"i{at}" for at in range(100)])),
        net(rounds({"b": {"from": "image"}}), **block("relu", outputs={f"o{at}": "relu" for at in range(100)})),
    ],
    ids=["inputs", "outputs", "inputs of blocks", "outputs of blocks"],
)
def test_the_inputs_and_outputs_of_all_nodes_are_bounded(spec, monkeypatch):
    message = "E217 the nodes and blocks of the network have more than 2,000 inputs and outputs"
    assert message not in faults(spec)
    monkeypatch.setattr(limits, "MAX_LINKS", 2_000)
    assert message in faults(spec)


def test_unused_blocks_count_as_nodes_of_the_network(monkeypatch):
    spec = net({"relu": {"repeat": 600}}, blocks={f"b{at}": {"nodes": [{"relu": {"repeat": 90}}]} for at in range(9)})
    assert faults(spec) == []
    monkeypatch.setattr(limits, "MAX_NODES", 1_000)
    assert faults(spec) == ["E217 the network has more than 1,000 nodes"]


def test_each_text_is_parsed_once(monkeypatch):
    """However many a block has: a cache of so many entries is of no use where they are one more."""
    parsed = []
    monkeypatch.setattr(parse_cache, "parse", lambda text: parsed.append(text) or parse(text))
    lines = [{"relu": {"when": f"$({at} < 0)"}} for at in range(4_200)]
    assert faults(net("relu", {"b": {"repeat": 3}}, **block("relu", *lines))) == []
    assert len(parsed) == len(set(parsed)) == 4_200


def test_a_malformed_text_is_parsed_once(monkeypatch):
    parsed = []
    monkeypatch.setattr(parse_cache, "parse", lambda text: parsed.append(text) or parse(text))
    assert faults(net("relu", rounds({"relu": {"name": "$(1 + + )", **ABSENT}}))) == []
    assert parsed[-1:] == ["$(1 + + )"]
    assert len(parsed) == len(set(parsed))


def test_what_is_kept_of_texts_is_bounded(monkeypatch):
    monkeypatch.setattr(parse_cache, "MAX_KEPT", 30)
    texts = parse_cache.Texts()
    for at in range(10):
        texts.parsed(f"$({at} + 1)")
    assert sum(map(len, texts._known)) <= 30


def test_a_search_for_a_misspelt_word_is_bounded():
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdef", k=64)) for _ in range(500)]
    looked_at = list(suggestions._looked_at(words[0], iter(words)))
    assert len(looked_at) * 64 * 64 <= suggestions.MOST_PAIRS
    assert len(list(suggestions._looked_at("conv_1", words))) > 200
    assert suggestions.effort(words[0], words) > suggestions.effort("conv_1", words[:9]) > 0


def test_variables_are_not_copied_for_each_instance():
    many = {f"p{at}": at for at in range(10)}
    scope = Scope("", Names(), print, many, budget.Work())
    inner = scope.with_variables({"i": 1}).with_variables({"i": 2})
    assert any(each is many for each in inner.variables.maps)
    assert (inner.variables["i"], inner.variables["p3"]) == (2, 3)


def test_a_list_allows_no_code_over_and_over():
    listed = parse_text(Source("<dict>", '{"allow": ["W302", "W301", "W302", "W302", "W302"]}')).data["allow"]
    assert [each.code.value for each in read_allow(listed, print)] == ["W302", "W301", "W302"]


def test_all_instances_share_what_is_allowed_around_them():
    spec = net({"b": {"repeat": 20, "allow": ["W301"]}}, **block({"relu": {"allow": ["W302"]}}, allow=["W303"]))
    allows = check(spec).graph.allows.values()
    assert len(allows) == 20
    assert len({id(each) for each in allows}) == 1


def test_the_ports_of_a_split_are_named_once():
    assert Split(parts=9).ports is Split(parts=9).ports


def test_the_padding_that_loses_nothing_is_computed():
    """The least on both sides, as trying one after the other finds it."""
    for kernel, stride, padding in product(range(1, 8), range(1, 8), (0, 1, 2, "same")):
        window = Window(None, (kernel,) * 2, (stride,) * 2, (1, 1), padding if padding == "same" else (padding,) * 4)
        for size in range(kernel, 30):
            least = max(window._pads(0, size))
            tried = (pad for pad in range(least, kernel // 2 + 1) if not window._after_last(0, size, pad, pad))
            assert window._padding_without_loss(0, size) == next(tried, None)
