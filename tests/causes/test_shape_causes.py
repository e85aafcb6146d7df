"""Why shapes do not fit: what is told of a fault names the cause, and the help that is given takes the fault away."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.causes import attempts, shape_causes
from cnnc.causes.size_history import Histories
from cnnc.compiler import check
from cnnc.expand.prove import prove
from cnnc.formatting.edits import apply
from cnnc.graph.graph import Ref

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "diagnostics" / "golden"
SPECS = ROOT / "specs"

MENDED = {  # what the help says, and the spec with that done
    "E301-add": ("set `padding: same` in `a` and `b`", r"(kernel: \d)", r"\1, padding: same"),
    "E301-concat": ("put `max_pool: {kernel: 2}` between `image` and", r"\[image, max_pool\]", "[max_pool, max_pool]"),
    "E301-before": ("set `padding: same` in `d`", "kernel: 3", "kernel: 3, padding: same"),
    "E301-excite": ("put `conv: {out: 16, kernel: 1}` between `h` and `mul`", "out: 8", "out: 16"),
    "E301-flatten": (
        "put `flatten` between `image` and `concat`",
        r"- concat.*",
        "- flatten: {from: image}\n  - concat: {from: [flatten, embed]}",
    ),
    "E301-gate-vector": (
        "write `mul` and put `reshape: {shape: [16, 1, 1]}` between `gate` and it",
        r"- add.*",
        "- reshape: {shape: [16, 1, 1]}\n  - mul: {from: [stem, reshape]}",
    ),
    "E301-group": ("make `image` 64×64 or 66×64 (multiples of 2)", "65, 64", "66, 64"),
    "E301-inputs": ("set `stride: 2` in `b`", "right,", "right, stride: 2,"),
    "E301-instances": ("set `padding: same` in `body.0.left.b`", r"(width, kernel: 3)}", r"\1, padding: same}"),
    "E301-mixed": (
        "set `padding: same` in `a` and put `upsample: {factor: 2}` between `c`",
        r"(?s)kernel: 5}(.*)- concat.*",
        r"kernel: 5, padding: same}\1- upsample: {factor: 2}\n  - concat: {from: [a, b, upsample]}",
    ),
    "E301-open": ("set `padding: same` in `p2`", "stride: 1", "stride: 1, padding: same"),
    "E301-pool": ("set `padding: same` in `p6`", "stride: 1", "stride: 1, padding: same"),
    "E301-repeat": ("set `padding: same` in `deep`", "repeat: 3", "repeat: 3, padding: same"),
    "E301-reshape": (
        "put `conv: {out: 32, kernel: 1, stride: 2}` between `a` and `add`",
        r"- add.*",
        "- conv: {from: a, out: 32, kernel: 1, stride: 2}\n  - add: {from: [conv, c]}",
    ),
    "E301-sides": (
        "set `padding: same` in `c` and put `max_pool: {kernel: [2, 1]}` between `a` and `add`",
        r"(?s)padding: \[0, 33\]}.*",
        "padding: same}\n  - max_pool: {from: a, kernel: [2, 1]}\n  - add: {from: [max_pool, c]}",
    ),
    "E301-skip": ("use `e2`, which is 16×32×32, instead of `e1`", r"\[u2, e1\]", "[u2, e2]"),
    "E301-three": ("set `padding: same` in `b` and `c`", r"(from: a.*kernel: \d)", r"\1, padding: same"),
    "E301-three-inputs": (
        "`a` and `concat` and `upsample: {factor: 2}` between `c` and `concat`",
        r"- concat.*",
        "- upsample: {from: a, size: 32}\n  - upsample: {from: c, factor: 2}\n"
        "  - concat: {from: [upsample, b, upsample_2]}",
    ),
    "E301-unet": ("make `image` 348×524 or 352×528 (multiples of 4)", "350, 525", "352, 528"),
    "E301-width": ("set `padding: 1` in `q`", "stride: 2", "stride: 2, padding: 1"),
    "E303-kernel": ("make `image` 37×37 or larger", "32, 32", "37, 37"),
    "E303-repeat": ("set `padding: 1` in `max_pool`", "kernel: 2", "kernel: 2, padding: 1"),
    "E303-stages": ("set `padding: 2` in `head`", "kernel: 7", "kernel: 7, padding: 2"),
}


@pytest.mark.parametrize("name", MENDED)
def test_the_help_takes_the_fault_away(name, tmp_path):
    help, old, new = MENDED[name]
    written = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    (fault,) = check(GOLDEN / f"{name}.yaml").diagnostics
    assert help in fault.help
    path = tmp_path / "mended.yaml"
    path.write_text(re.sub(old, new, written), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != written
    assert check(path).ok


MISFITS = [path for path in sorted(GOLDEN.glob("E30[1-4]*.yaml")) if "use:" not in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", MISFITS, ids=[path.stem for path in MISFITS])
def test_a_change_that_an_editor_offers_takes_the_fault_away(path, tmp_path):
    faults = check(path).diagnostics
    changed = tmp_path / "changed.yaml"
    for fault, choice in [(each, choice) for each in faults for choice in each.choices]:
        text, count = apply(choice.fix.source, [choice.fix])
        changed.write_text(text, encoding="utf-8")
        found = [each for each in check(changed).diagnostics if each.severity == "error"]
        assert (count, fault.message in [each.message for each in found]) == (1, False), choice.help
        assert len(found) < len(faults) or "reveals" in choice.help, choice.help


HEAD = "cnnc: 1\ninput: {image: [3, 8, 8]}\nnodes:\n"


@pytest.mark.parametrize(
    ("nodes", "changed"),
    [
        ("  - relu\n  - linear: {out: 8}\n", "  - relu\n  - flatten\n  - linear: {out: 8}\n"),
        ("  - linear: {out: 8}\n  - flatten: {from: image}\n  - add: {from: [linear, flatten]}\n", None),  # its number
        ("  - linear: {out: 8, repeat: 2}\n", None),  # which of its rounds?
        ("  - flatten\n  - conv: {from: flatten, out: 3, kernel: 1}\n", None),  # the help moves the node
        ("  - relu: {name: 'a'}\n  - conv: {out: 3, kernel: 2, stride: 2}\n  - concat: {from: ['a', 'a', \"conv\"]}\n",
         "  - relu: {name: 'a'}\n  - conv: {out: 3, kernel: 2, stride: 2}\n"
         "  - max_pool: {name: a_max_pool, from: a, kernel: 2}\n"
         "  - concat: {from: ['a_max_pool', 'a_max_pool', \"conv\"]}\n"),
    ],
)  # fmt: skip
def test_changes_that_are_offered_leave_the_names_of_others(nodes, changed, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(HEAD + nodes, encoding="utf-8")
    (fault,) = check(path).diagnostics
    assert fault.help
    texts = [apply(each.fix.source, [each.fix])[0] for each in fault.choices]
    assert (HEAD + changed in texts) if changed else not texts


def test_a_change_of_the_op_is_offered_with_the_node_that_it_needs():
    (fault,) = check(GOLDEN / "E301-gate-vector.yaml").diagnostics
    text, _ = apply(fault.choices[0].fix.source, [fault.choices[0].fix])
    assert (
        "  - reshape: {name: gate_reshape, from: gate, shape: [16, 1, 1]}\n  - mul: {from: [stem, gate_reshape]}\n"
        in text
    )


def test_the_smallest_input_that_is_named_is_the_smallest():
    spec = {"cnnc": 1, "input": {"image": [3, 32, 32]}, "nodes": [{"conv": {"out": 8, "kernel": 5, "stride": 4}}]}
    spec["nodes"].append({"max_pool": {"kernel": 9}})
    (fault,) = check(spec).diagnostics
    assert "make `image` 37×37 or larger" in fault.help
    for size, fits in ((36, False), (37, True)):
        spec["input"] = {"image": [3, size, size]}
        assert check(spec).ok == fits


def test_the_sizes_of_a_picture_are_named_beside_an_input_that_has_none():
    nodes = [
        {"conv": {"name": "down", "from": "image", "out": 3, "kernel": 2, "stride": 2}},
        {"upsample": {"factor": 2}},
        {"add": {"name": "sum", "from": ["upsample", "image"]}},
        {"linear": {"from": "code", "out": 2}},
    ]
    spec = {"cnnc": 1, "inputs": {"image": [3, 33, 33], "code": [5]}, "nodes": nodes, "outputs": ["sum", "linear"]}
    (fault,) = check(spec).diagnostics
    assert "make `image` 32×32 or 34×34 (multiples of 2)" in fault.help


def test_no_help_is_made_of_what_breaks_something_else():
    """Padding would mend the sum, but the pool's other user needs what it gives now."""
    nodes = [
        {"conv": {"name": "a", "out": 8, "kernel": 3, "padding": 1}},
        {"conv": {"name": "b", "out": 8, "kernel": 3}},
        {"conv": {"name": "c", "from": "a", "out": 8, "kernel": 3}},
        {"add": {"name": "works", "from": ["b", "c"]}},
        {"add": {"from": ["b", "a"]}},
        {"concat": {"from": ["add", "works"]}},
    ]
    (fault,) = check({"cnnc": 1, "input": {"image": [3, 16, 16]}, "nodes": nodes}).diagnostics
    assert "`b` `padding: same`" not in fault.help


@pytest.mark.parametrize(
    ("map", "more", "told"),
    [
        ([3], [], False),  # `a` would be unused
        ([3], [{"relu": {"name": "d", "from": "a"}}], True),
        ([3, 4, 4], [{"relu": {"name": "d", "from": "a"}}], False),  # a whole map for a vector
    ],
)
def test_another_value_is_taken_if_what_it_replaces_is_used_elsewhere(map, more, told):
    nodes = [*more, {"relu": {"name": "c", "from": "b"}}, {"add": {"name": "e", "from": ["a", "c"]}}]
    spec = {"cnnc": 1, "inputs": {"a": map, "b": [5]}, "nodes": nodes, "outputs": ["e", *(["d"] if more else [])]}
    (fault,) = check(spec).diagnostics
    assert ("use `b`, which is 5, instead of `a`" in fault.help) == told


def test_a_size_that_is_made_of_an_open_one_has_no_history():
    nodes = [{"upsample": {"size": 7}}, {"conv": {"name": "c", "out": 4, "kernel": 9}}]
    (fault,) = check({"cnnc": 1, "input": {"image": [4, None, None]}, "nodes": nodes}).diagnostics
    assert fault.help == 'set `"padding": 1` in `c`, or set `"kernel": 7` in `c`'


def test_of_many_causes_the_first_are_told():
    nodes = [{"conv": {"name": name, "out": 3, "kernel": 3}} for name in "abcde"]
    spec = {"cnnc": 1, "input": {"image": [3, 32, 32]}, "nodes": [*nodes, {"add": {"from": ["image", "e"]}}]}
    (fault,) = check(spec).diagnostics
    assert [note.message for note in fault.notes[3:]] == [
        f"`{name}` changes {size} to {size - 2} (kernel 3, stride 1, no padding)"
        for name, size in (("a", 32), ("b", 30), ("c", 28))
    ]


def test_a_vector_comes_from_the_node_that_made_it_of_a_map():
    nodes = [{"flatten": {"from": "a"}}, {"linear": {"out": 5}}, "relu", {"add": {"from": ["relu", "b"]}}]
    (fault,) = check({"cnnc": 1, "inputs": {"a": [4, 8, 8], "b": [4, 12, 12]}, "nodes": nodes}).diagnostics
    assert "`flatten` makes a vector of 4×8×8" in [note.message for note in fault.notes]


@pytest.mark.parametrize(
    ("sizes", "ways"),
    [
        ([16, 24], ['"max_pool": {"kernel": [2, 3]}', '"upsample": {"factor": [2, 3]}']),
        ([16, 8], ['"max_pool": {"kernel": [2, 1]}', '"upsample": {"factor": [2, 1]}']),
        ([12, 12], ['"upsample": {"size": [12, 12]}']),
    ],
)
def test_a_node_between_makes_one_map_as_large_as_the_other(sizes, ways):
    inputs = {"a": [4, 8, 8], "b": [4, *sizes]}
    (fault,) = check({"cnnc": 1, "inputs": inputs, "nodes": [{"add": {"from": ["a", "b"]}}]}).diagnostics
    assert [way.split("`")[1] for way in fault.help.split(", or ")] == ways


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_chains_lead_from_where_histories_meet_to_the_values(name):
    graph = check(SPECS / f"{name}.yaml").graph
    histories = Histories(graph.nodes, {each.name: each.type for each in graph.inputs})
    joins = [node for node in graph.nodes if len(node.inputs) > 1]
    assert joins
    for node in joins:
        meeting = histories.meeting(*node.inputs[:2])
        for ref in node.inputs[:2]:
            chain, _ = histories.chains(meeting, ref)
            assert chain.start == meeting
            assert chain.sizes[0] == graph.type_of(Ref(meeting)).space[0]
            assert chain.sizes[-1] == graph.type_of(ref).space[0]
        later = graph.nodes[histories.place[meeting] + 1 : histories.place[node.path]]
        assert not [each for each in later if all(leads(graph, each.path, ref.node) for ref in node.inputs[:2])]


def leads(graph, start, end):
    """Whether a node's value goes into another's."""
    reached = {start}
    for node in graph.nodes:
        if any(ref.node in reached for ref in node.inputs):
            reached.add(node.path)
    return end in reached


def test_what_is_tried_is_bounded(monkeypatch):
    """In a network with many faults, nothing is tried once as many nodes as allowed have been proved again."""
    proved = []

    def counted(*given, **named):
        graph = prove(*given, **named)
        proved.append(named["work"].nodes)
        return graph

    monkeypatch.setattr(attempts, "prove", counted)
    monkeypatch.setattr(attempts, "MAX_NODES", 550)
    nodes = [{"conv": {"name": "a", "repeat": 500, "out": 2, "kernel": 1}}]
    for at in range(20):
        nodes += [
            {"conv": {"name": f"b{at}", "from": "a", "out": 2, "kernel": 3}},
            {"add": {"name": f"c{at}", "from": ["a", f"b{at}"]}},
        ]
    found = check({"cnnc": 1, "input": {"image": [2, 32, 32]}, "nodes": nodes}).diagnostics
    assert len(found) == 20
    assert proved == [540]


def test_a_right_spec_needs_none_of_it():
    script = "import sys; from cnnc.compiler import check; assert check(sys.argv[1]).ok; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, SPECS / "resnet18.yaml"], capture_output=True, text=True, check=True
    )
    assert shape_causes.__name__ not in done.stdout.split()


def test_what_a_search_goes_by_is_not_kept():
    assert all(each.origin is None for each in check(GOLDEN / "E301-add.yaml").diagnostics)


def test_a_repeated_line_is_named_by_its_own_name():
    """Also in a block, and not the nodes of a group, whose names are numbers."""
    pools = {"max_pool": {"name": "p", "kernel": 2, "repeat": 4}}
    spec = {"cnnc": 1, "input": {"image": [3, 8, 8]}, "blocks": {"b": {"nodes": [pools]}}, "nodes": ["b"]}
    (fault,) = check(spec).diagnostics
    assert fault.help.startswith('set `"padding": 1` in `b.p`, or')
    group = {"group": {"name": "g", "names": "index", "nodes": [{"conv": {"out": 3, "kernel": 9}}]}}
    (fault,) = check({"cnnc": 1, "input": {"image": [3, 8, 8]}, "nodes": [group]}).diagnostics
    assert fault.help.startswith('set `"padding": 1` in `g.0`, or')
    nodes = [group, {"add": {"from": ["image", "g"]}}]
    group["group"]["nodes"] = [{"conv": {"out": 3, "kernel": 3}}]
    (fault,) = check({"cnnc": 1, "input": {"image": [3, 8, 8]}, "nodes": nodes}).diagnostics
    assert fault.help.startswith('set `"padding": "same"` in `g.0`')
