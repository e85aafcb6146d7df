"""The line of `cnnc check --format json`: a promise to other programs, field by field."""

import json

import pytest

from cnnc.compiler import check
from tests.command import run_command
from tests.nets import conv, net

TEXT = """\
cnnc: 1
name: tiny
input: {image: [2, 6, 6]}
blocks:
  res:
    nodes:
      - conv: {name: conv1, out: 2, kernel: 3, padding: 1}
      - add: {from: [conv1, input]}
nodes:
  - res: {name: layer1, repeat: 2}
  - flatten
  - linear: {out: 3}
"""


def line(path):
    """What the command prints for one spec, and how it exits."""
    done = run_command("check", path, "--format", "json")
    [text] = done.stdout.splitlines()
    return json.loads(text), done.exit_code


@pytest.fixture
def spec(tmp_path):
    def write(text, name="tiny.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_the_line_of_a_right_spec(spec):
    path = spec(TEXT)
    found, code = line(path)
    assert code == 0

    def node(name, op, sources, shape, costs, at):
        params, macs = costs
        return {"name": name, "op": op, "from": sources, "shape": shape, "params": params, "macs": macs, "line": at}

    for each in found["nodes"]:
        assert {each.pop(key) is None for key in ("receptive_field", "stride", "offset")} == {False}
    assert found.pop("implies") is not None
    assert found == {
        "spec": str(path),
        "name": "tiny",
        "ok": True,
        "inputs": {"image": {"shape": [2, 6, 6]}},
        "outputs": {"linear": {"shape": [3], "as": "classes"}},
        "nodes": [
            node("layer1.0.conv1", "conv", ["image"], [2, 6, 6], (38, 1296), 7),
            node("layer1.0.add", "add", ["layer1.0.conv1", "image"], [2, 6, 6], (0, 0), 8),
            node("layer1.1.conv1", "conv", ["layer1.0.add"], [2, 6, 6], (38, 1296), 7),
            node("layer1.1.add", "add", ["layer1.1.conv1", "layer1.0.add"], [2, 6, 6], (0, 0), 8),
            node("flatten", "flatten", ["layer1.1.add"], [72], (0, 0), 11),
            node("linear", "linear", ["flatten"], [3], (219, 216), 12),
        ],
        # at the first add, the image, the conv and the sum are alive
        "totals": {"params": 295, "buffers": 0, "macs": 2808, "activation_bytes": 3 * 72 * 4},
        "diagnostics": [],
    }


def test_the_line_of_a_wrong_spec_tells_what_could_be_found_out(spec):
    path = spec(TEXT.replace("kernel: 3, padding: 1", "kernel: 99"))
    found, code = line(path)
    assert code == 1
    assert found["spec"] == str(path)
    assert found["name"] == "tiny"
    assert found["ok"] is False
    assert found["inputs"] == {"image": {"shape": [2, 6, 6]}}
    assert found["outputs"] == {}
    assert found["totals"] == {"params": None, "buffers": None, "macs": None, "activation_bytes": None}
    [fault] = found["diagnostics"]
    assert fault.keys() == {
        "code",
        "severity",
        "message",
        "file",
        "line",
        "column",
        "end_line",
        "end_column",
        "path",
        "label",
        "help",
        "notes",
        "fix",
    }
    assert (fault["code"], fault["severity"], fault["file"]) == ("E303", "error", str(path))
    assert (fault["line"], fault["end_line"]) == (7, 7)
    assert TEXT.splitlines()[6][fault["column"] - 1 :].startswith("3, padding")
    assert fault["end_column"] == fault["column"] + len("99")
    assert fault["notes"][-1] == {
        "message": "in `layer1.0`, an instance of `res`",
        "file": str(path),
        "line": 10,
        "column": 5,
        "path": None,
    }


@pytest.mark.parametrize("text", ["", "cnnc: [", "[]", "cnnc: 1\ncnnc: 1\n"])
def test_the_line_of_a_file_that_says_nothing(spec, text):
    path = spec(text)
    found, code = line(path)
    assert code == 1
    assert {**found, "diagnostics": []} == {
        "spec": str(path),
        "name": None,
        "ok": False,
        "inputs": {},
        "outputs": {},
        "nodes": [],
        "totals": {"params": None, "buffers": None, "macs": None, "activation_bytes": None},
        "implies": None,
        "diagnostics": [],
    }
    assert found["diagnostics"]


def test_the_line_of_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "nosuch.yaml"
    found, code = line(path)
    assert code == 1
    [fault] = found["diagnostics"]
    assert (found["spec"], found["name"], found["ok"]) == (str(path), None, False)
    assert fault["code"] == "E101"
    assert (fault["line"], fault["column"]) == (None, None)


def test_several_specs_are_a_line_each(spec):
    paths = [spec(TEXT, "a.yaml"), spec("", "b.yaml")]
    done = run_command("check", *paths, "--format", "json")
    assert done.exit_code == 1
    assert [json.loads(text)["ok"] for text in done.stdout.splitlines()] == [True, False]


def test_a_spec_whose_input_is_wrong_has_its_line_and_so_has_the_next(spec):
    wrong = spec(TEXT.replace("[2, 6, 6]", "[2, 0, 6]"), "wrong.yaml")
    done = run_command("check", wrong, spec(TEXT), "--format", "json")
    assert done.exit_code == 1
    found, next_one = map(json.loads, done.stdout.splitlines())
    assert (found["ok"], found["inputs"], next_one["ok"]) == (False, {}, True)
    assert [(each["code"], each["line"], each["column"]) for each in found["diagnostics"]] == [("E203", 3, 20)]


def test_an_unknown_height_or_width_is_null():
    found = check(net(conv(8, 3), image=(4, None, 10))).as_json()
    assert found["inputs"] == {"image": {"shape": [4, None, 10]}}
    assert found["outputs"] == {"conv": {"shape": [8, None, 8], "as": "segmentation"}}
    assert found["nodes"][0]["shape"] == [8, None, 8]
    assert found["nodes"][0]["macs"] is None


def test_a_network_over_its_budget_still_has_totals():
    found = check(net(conv(), budget={"params": 1})).as_json()
    assert found["ok"] is False
    assert found["totals"]["params"] == 20


def alive(*nodes, **rest):
    """The most elements of four bytes that are alive at once; the input has 10."""
    found = check({**net(*nodes, **rest), "input": {"x": [10]}})
    assert found.ok, found.diagnostics
    return found.as_json()["totals"]["activation_bytes"] / 4


def test_a_node_holds_its_inputs_and_its_output():
    assert alive({"linear": {"out": 30}}) == 40
    assert alive({"linear": {"out": 30}}, {"linear": {"out": 3}}) == 40
    assert alive({"linear": {"out": 30}}, {"linear": {"out": 100}}, {"linear": {"out": 3}}) == 130


def test_a_value_lives_to_its_last_use():
    skip = [{"linear": {"name": "a", "out": 10}}, {"linear": {"out": 50}}, {"linear": {"name": "b", "out": 10}}]
    assert alive(*skip) == 60
    assert alive(*skip, {"add": {"from": ["a", "b"]}}) == 70
    assert alive(*skip, {"add": {"from": ["x", "b"]}}) == 70


def test_an_output_lives_to_the_end():
    nodes = [{"linear": {"name": "a", "out": 7}}, {"linear": {"out": 50}}, {"linear": {"name": "b", "out": 1}}]
    assert alive(*nodes, outputs=["a", "b"]) == 7 + 50 + 1
    assert alive(*nodes) == 7 + 50


def test_a_value_that_is_taken_twice_is_counted_once():
    assert alive("relu", {"add": {"from": ["relu", "relu"]}}) == 20


def test_each_port_lives_for_itself():
    nodes = [
        {"split": {"name": "s", "sizes": [4, 6]}},
        {"linear": {"name": "a", "from": "s.0", "out": 20}},
        {"linear": {"name": "b", "from": "a", "out": 1}},
        {"concat": {"from": ["b", "s.1"]}},
    ]
    assert alive(*nodes) == 6 + 4 + 20
