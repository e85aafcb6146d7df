"""`allow`: what it covers, and that one that silences nothing is told."""

from pathlib import Path

import pytest

import cnnc
from cnnc.compiler import load
from cnnc.text.find_specs import find_specs
from tests.nets import conv, faults, net

ROOT = Path(__file__).parents[2]
BIASED = [conv(4), "batch_norm"]  # W304


def told(*nodes, set=None, **rest):
    """The codes of what is said of a network, which is right."""
    checked = cnnc.check(net(*nodes, **rest), set=set)
    assert checked.ok, checked.diagnostics
    return [each.code.value for each in checked.diagnostics]


def step(**rest):
    return {"step": {"nodes": BIASED, **rest}}


@pytest.mark.parametrize(
    ("nodes", "rest"),
    [
        ([conv(4, 3, allow="W304"), "batch_norm"], {}),
        ([conv(4, 3, stride=2, allow=["W302", "W304"]), "batch_norm"], {}),
        (BIASED, {"allow": ["W304"]}),
        ([{"conv": {"out": 4, "kernel": 3, "act": "relu", "allow": "W302", "stride": 2}}], {}),
        ([{"group": {"allow": "W304", "nodes": BIASED}}], {}),
        ([{"group": {"allow": "W304", "nodes": [{"group": {"nodes": BIASED}}]}}, "relu"], {}),
        ([{"each": {"allow": "W304", "over": {"k": [1, 2]}, "nodes": BIASED}}], {}),
        ([{"each": {"name": "e", "allow": "W304", "over": {"k": [1, 2]}, "nodes": BIASED}}], {}),
        ([{"each": {"name": "e$k", "allow": "W304", "over": {"k": [1, 2]}, "nodes": BIASED}}], {}),
        ([{"step": {"allow": "W304"}}], {"blocks": step()}),
        ([{"step": {"allow": "W304", "repeat": 2}}], {"blocks": step()}),
        (["step"], {"blocks": step(allow="W304")}),
        ([{"step": {"repeat": 3}}, {"step": {"name": "b"}}], {"blocks": step(allow=["W304"])}),
        ([{"outer": None}], {"blocks": {"outer": {"nodes": ["step"], "allow": "W304"}, **step()}}),
        ([{"split": {"parts": 2}}, {"conv": {"from": "split.0", **conv(4, 3, allow="W304")["conv"]}},
          {"batch_norm": {"name": "b"}}, {"flatten": {"from": "split.1", "name": "f"}}], {"outputs": ["b", "f"]}),
        ([{"batch_norm": {"from": "c", "name": "b"}}, conv(4, 3, name="c", **{"from": "image"}, allow="W304")],
         {"outputs": "b"}),
    ],
)  # fmt: skip
def test_what_it_covers(nodes, rest):
    assert told(*nodes, **rest) == []
    assert set(told(*without(nodes), **without(rest))) in ({"W302"}, {"W304"}, {"W302", "W304"})


def without(value):
    """The same data without any `allow`."""
    if isinstance(value, dict):
        return {key: without(each) for key, each in value.items() if key != "allow"}
    return [without(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("nodes", "rest", "found"),
    [
        ([conv(4, 3, allow="W302"), "batch_norm"], {}, ["W304", "W306"]),
        (["relu"], {"allow": ["W304", "W302"]}, ["W306", "W306"]),
        ([conv(4, 3, allow=["W304", "W304"]), "batch_norm"], {}, ["W306"]),
        ([conv(4, 3, allow="W304"), "batch_norm"], {"allow": ["W304"]}, ["W306"]),
        ([{"step": {"allow": "W304"}}], {"blocks": step(allow="W304")}, ["W306"]),
        ([{"step": {"allow": "W304"}}, {"step": {"name": "b"}}], {"blocks": step()}, ["W304"]),
        ([{"relu": {"when": False, "allow": "W302"}}, "tanh"], {}, []),
        (["relu"], {"blocks": step(allow="W304")}, []),
    ],
)
def test_one_that_silences_nothing_is_told(nodes, rest, found):
    assert sorted(told(*nodes, **rest)) == found


def test_one_instance_that_is_warned_of_is_enough():
    pool = {"pool": {"params": {"kernel": 2}, "nodes": [{"max_pool": {"kernel": "$kernel", "allow": "W302"}}]}}
    one_of = [{"pool": {"name": "a"}}, {"pool": {"name": "b", "kernel": 3}}]
    assert told(*one_of, blocks=pool) == []
    assert told(one_of[0], blocks=pool) == ["W306"]


def test_with_other_parameters_nothing_is_said_of_it():
    nodes = [{"max_pool": {"kernel": "$kernel", "allow": "W302"}}]
    assert told(*nodes, params={"kernel": 3}) == []
    assert told(*nodes, params={"kernel": 2}) == ["W306"]
    assert told(*nodes, params={"kernel": 3}, set={"kernel": 2}) == []


def test_what_another_file_allows_is_not_held_against_one_that_uses_it(tmp_path):
    blocks = "blocks: {step: {allow: W304, nodes: [conv: {out: 4, kernel: 3, bias: $bias}, batch_norm]"
    library = f"cnnc: 1\nallow: [W302]\n{blocks}, params: {{bias: true}}}}}}\n"
    (tmp_path / "lib.yaml").write_text(library)
    spec = "cnnc: 1\nuse: [lib.yaml]\ninput: {image: [4, 8, 8]}\nnodes: [step: {bias: %s}]\n"
    for bias in ("true", "false"):
        (tmp_path / "net.yaml").write_text(spec % bias)
        assert cnnc.check(tmp_path / "net.yaml").diagnostics == ()
    (tmp_path / "lib.yaml").write_text(library.replace("W304", "W303").replace("W302", "W304"))
    (tmp_path / "net.yaml").write_text(spec % "true")
    assert cnnc.check(tmp_path / "net.yaml").diagnostics == ()
    (tmp_path / "lib.yaml").write_text(library.replace("W302", "E301"))
    [fault] = cnnc.check(tmp_path / "net.yaml").diagnostics
    assert (fault.code, fault.span.source.name) == ("E203", str(tmp_path / "lib.yaml"))


def test_a_network_is_the_same_without_it():
    nodes = [{"group": {"allow": "W304", "nodes": [conv(4, 3, allow="W302"), "batch_norm"]}}, "step"]
    spec = net(*nodes, allow=["W303"], blocks=step(allow="W304"))
    assert load(spec).spec == load(without(spec)).spec == without(spec)


@pytest.mark.parametrize("given", [5, "E301", ["W302", None], {"W302": 1}, "$code", "W306", "W999", ""])
def test_what_is_no_code_of_a_warning_is_refused(given):
    assert [each.split()[0] for each in faults(net(conv(allow=given)))] == ["E208"]
    assert [each.split()[0] for each in faults(net("relu", allow=given))] == ["E203"]
    assert [each.split()[0] for each in faults(net("step", blocks=step(allow=given)))] == ["E203"]


@pytest.mark.parametrize("path", find_specs([str(ROOT / "specs")]).specs)
def test_no_spec_here_has_a_warning_that_nobody_decided_on(path):
    assert cnnc.check(path).diagnostics == ()
