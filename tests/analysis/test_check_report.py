"""What a check prints and says in JSON beyond shapes: columns, folding, order, memory, receptive fields, sizes."""

import json
import re
from pathlib import Path

import pytest

from cnnc.compiler import check
from cnnc.diagnostics import CnncError
from tests.command import run_command
from tests.thorough import every_network

SPECS = Path(__file__).parents[2] / "specs"


def spec(*nodes, image=(4, 8, 8), **rest):
    return {"cnnc": 1, "name": "net", "input": {"image": list(image)}, **rest, "nodes": list(nodes)}


def conv(**rest):
    return {"conv": {"out": 4, "kernel": 3, **rest}}


def body(text):
    """The lines of the nodes, split into words."""
    lines = text.splitlines()
    first, last = (k for k, line in enumerate(lines) if line.startswith("─"))
    return [line.split() for line in lines[first + 1 : last]]


@every_network
@pytest.mark.parametrize("more", [{}, {"wide": True}], ids=["plain", "wide"])
def test_tables_fit_120_columns(path, more):
    text = check(path).as_text(**more)
    lines = text.splitlines()
    assert max(map(len, lines[: lines.index(lines[1], 2) + 2])) <= 120


def test_wide():
    nodes = (conv(padding=[1, 0]), {"max_pool": {"kernel": 2}}, {"upsample": {"factor": 4}}, "flatten")
    text = check(spec(*nodes)).as_text(wide=True, batch=2)
    lines = text.splitlines()
    assert lines[0].split() == ["node", "op", "inputs", "output", "params", "MACs", "kB", "field", "stride", "offset"]
    assert body(text) == [
        ["conv", "conv", "image", "4×8×6", "148", "6,912", "1.5", "3", "1", "-1,0"],
        ["max_pool", "max_pool", "conv", "4×4×3", "0.4", "4", "2", "-1,0"],
        ["upsample", "upsample", "max_pool", "4×16×12", "6.1", "4", "1/2", "-1,0"],
        ["flatten", "flatten", "upsample", "768", "6.1", "all"],
    ]
    assert lines[-5:] == [
        "148 parameters; activations 0.01 MB at batch 2 in float32; MACs: conv and linear multiply-adds",
        "13,824 FLOPs per sample, 2 per MAC",
        "inference at batch 2: 0.01 MB, including 0.00 MB of weights",
        "training at batch 2: about 0.01 MB, including 0.00 MB for the backward pass and 0.00 MB for gradients and "
        "optimizer state",
        "smallest input that would work: 2×4",
    ]


@pytest.mark.parametrize(("letters", "shown"), [(47, "n" * 47), (48, "n" * 48), (49, "…" + "n" * 47)])
def test_names_stand_whole_where_there_is_room(letters, shown):
    [row] = body(check(spec({"relu": {"name": "n" * letters}})).as_text())
    assert row[0] == shown


def test_a_row_tells_both_sides_where_they_differ():
    text = check(spec(conv(kernel=[3, 5], stride=[2, 1]))).as_text(wide=True)
    assert body(text)[0][-3:] == ["3×5", "2×1", "0"]


def test_what_open_sizes_cost_is_unknown():
    text = check(spec(conv(), image=(4, None, None))).as_text(wide=True)
    assert body(text) == [["conv", "conv", "image", "4×?×?", "148", "?", "?", "3", "1", "0"]]


BLOCKS = {
    "res": {"nodes": [conv(name="a", padding=1), {"add": {"from": ["a", "input"]}}]},
    "two": {"nodes": [conv(name="p"), conv(name="q", **{"from": "input"})], "outputs": {"left": "p", "right": "q"}},
}
FOLDED = spec(
    {"res": {"name": "layer1", "repeat": 2}},
    {"res": {"name": "layer2"}},
    {"two": {"name": "fork"}},
    {"add": {"from": ["fork.left", "fork.right"]}},
    blocks=BLOCKS,
)


def test_folded_rows_name_folded_inputs():
    assert [row[:3] for row in body(check(FOLDED).as_text(1))] == [
        ["layer1", "res", "image"],
        ["layer2", "res", "layer1"],
        ["fork", "two", "layer2"],
        ["add", "add", "fork.left,"],
    ]
    assert [row[:3] for row in body(check(FOLDED).as_text(2))][:3] == [
        ["layer1.0", "res", "image"],
        ["layer1.1", "res", "layer1.0"],
        ["layer2.a", "conv", "layer1.1"],
    ]


def columns(text, *wanted):
    """These columns of the nodes' rows."""
    head, _, *rows = (re.split("  +", line) for line in text.splitlines()[:-3])
    return [[row[head.index(name)] for name in wanted] for row in rows]


def test_a_folded_row_has_all_inputs_and_outputs_of_its_instance_in_their_order():
    """By the names of its ports, of which two may be one value; an instance within a folded chain is named as well."""
    block = {
        "inputs": ["a", "b"],
        "outputs": {"a": "big", "b": "small", "c": "big"},
        "nodes": [
            conv(name="small", out=2, kernel=1, **{"from": "b"}),
            conv(name="big", padding=1, **{"from": "a"}),
        ],
    }
    nodes = [
        conv(name="x", padding=1),
        {"b": {"name": "s", "from": ["image", "x"], "repeat": 2}},
        {"concat": {"name": "y", "from": ["s.b", "s.c", "s.0.a"]}},
    ]
    text = check(spec(*nodes, blocks={"b": block})).as_text(1)
    assert columns(text, "node", "inputs", "output") == [
        ["x", "image", "4×8×8"],
        ["s", "image, x", "4×8×8, 2×8×8"],
        ["y", "s.b, s.a, s.0.a", "10×8×8"],
    ]
    text = check(spec(*nodes, blocks={"b": block})).as_text(2)
    assert columns(text, "node", "inputs")[1:3] == [["s.0", "image, x"], ["s.1", "s.0.a, s.0.b"]]


def test_equal_outputs_are_counted():
    nodes = [{"split": {"parts": 4}}, {"split": {"name": "rest", "from": "image", "sizes": [1, 1, 2]}}]
    outputs = [f"split.{k}" for k in range(4)] + [f"rest.{k}" for k in range(3)]
    text = check(spec(*nodes, outputs=outputs)).as_text()
    assert columns(text, "output") == [["1×8×8 (×4)"], ["1×8×8 (×2), 2×8×8"]]


def test_paths_are_shortened_for_a_terminal_only(tmp_path):
    names = [letter * 60 for letter in "ab"]
    nodes = [{"relu": {"name": names[0]}}, {"tanh": {"name": names[1], "from": "image"}}]
    nodes += [{"concat": {"from": [*names * 30]}}]
    path = tmp_path / "net.json"
    path.write_text(json.dumps(spec(*nodes)))
    done = run_command("check", path).stdout.splitlines()
    assert [line.split()[0] for line in done[2:4]] == names
    assert [*map(len, done[4].split()[:3])] == [6, 6, 48]
    assert max(map(len, check(path).as_text().splitlines()[:5])) <= 120


def test_folded_rows_add_up():
    rows = {row[0]: row for row in body(check(FOLDED).as_text(1, wide=True))}
    assert rows["layer1"][-6:] == ["296", "18,432", "4.1", "5", "1", "-2"]


@pytest.mark.parametrize(
    ("by", "first"), [("macs", "wide"), ("params", "deep"), ("memory", "wide"), (None, "image_pool")]
)
def test_order(by, first):
    nodes = [
        {"avg_pool": {"name": "image_pool", "kernel": 1}},
        {"conv": {"name": "wide", "out": 8, "kernel": 3, "padding": 1}},
        "global_avg_pool",
        "flatten",
        {"linear": {"name": "deep", "out": 100}},
    ]
    text = check(spec(*nodes)).as_text(sort=by)
    assert body(text)[0][0] == first
    assert text.splitlines()[-2].split()[:2] == ["total", "1,196"]


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ((4, None, None), "height and width: multiples of 2 from 2 up"),
        ((4, None, 8), "height: multiples of 2 from 2 up"),
        ((4, 8, 8), None),
    ],
)
def test_open_sizes_are_told(image, told):
    nodes = [{"max_pool": {"kernel": 2}}, {"upsample": {"factor": 2}}, {"add": {"from": ["upsample", "image"]}}]
    last = check(spec(*nodes, image=image)).as_text().splitlines()[-1]
    assert last == told if told else last.endswith("multiply-adds")


def test_json():
    found = check(spec(conv(stride=2), {"upsample": {"factor": 4}}, "global_max_pool")).as_json(batch=4)
    told = [(each["receptive_field"], each["stride"], each["offset"]) for each in found["nodes"]]
    assert told == [([3, 3], [2, 2], [0, 0]), ([3, 3], [0.5, 0.5], [0, 0]), ([8, 8], [None, None], [0, 0])]
    implies = found["implies"]
    assert (implies["smallest"], implies["height"], implies["independent"]) == ([3, 3], None, True)
    assert implies["flops"] == 2 * found["totals"]["macs"]
    memory = implies["memory"]
    assert memory["activations"] == 4 * found["totals"]["activation_bytes"]
    assert memory["training"] == sum(memory[part] for part in ("weights", "gradients", "optimizer", "kept"))


def test_json_of_open_sizes():
    nodes = [{"max_pool": {"kernel": 2}}, {"upsample": {"factor": 2}}, {"add": {"from": ["upsample", "image"]}}]
    implies = check(spec(*nodes, image=(4, None, 8))).as_json()["implies"]
    assert implies["height"] == {"smallest": 2, "from": 2, "divisor": 2, "remainders": [0], "others": []}
    assert implies["width"] is None
    assert implies["smallest"] == [2, 2]
    assert implies["memory"]["training"] is None


def test_a_wrong_spec_still_tells_the_fields_that_are_known():
    found = check(spec(conv(), {"conv": {"out": 1, "kernel": 99}})).as_json()
    assert (found["implies"], found["nodes"][0]["receptive_field"]) == (None, [3, 3])


def test_python_gives_the_same():
    found = check(spec(conv(stride=2))).implied(batch=2)
    assert found.fields["conv"].height.size == 3
    assert found.sizes.smallest == (3, 3)
    assert found.memory.batch == 2
    assert found.flops == 2 * 4 * 36 * 9
    with pytest.raises(CnncError):
        check(spec({"conv": {"out": 1, "kernel": 99}})).implied()


def test_the_command(tmp_path):
    path = tmp_path / "net.json"
    path.write_text(json.dumps(FOLDED))
    done = run_command("check", path, "--wide", "--depth", "1", "--sort", "memory", "--batch", "3")
    assert (done.exit_code, done.stdout) == (0, check(path).as_text(1, wide=True, sort="memory", batch=3) + "\n")
    done = run_command("check", path, "--format", "json", "--batch", "3")
    assert json.loads(done.stdout)["implies"]["memory"]["batch"] == 3
    assert run_command("check", path, "--sort", "beauty").exit_code == 2
    assert run_command("check", path, "--batch", "0").exit_code == 2


def test_a_node_of_another_file_tells_which_in_json(tmp_path):
    (tmp_path / "blocks.yaml").write_text("cnnc: 1\nblocks:\n  b:\n    nodes:\n      - relu\n")
    path = tmp_path / "net.yaml"
    path.write_text("cnnc: 1\nuse: [blocks.yaml]\ninput: {x: [4]}\nnodes:\n  - b\n  - tanh\n")
    nodes = check(path).as_json()["nodes"]
    assert [(each["line"], each.get("file")) for each in nodes] == [(5, str(tmp_path / "blocks.yaml")), (6, None)]
    assert "file" not in nodes[1]
