"""`cnnc weights` and `--map` as a user meets them."""

import json
import sys

import numpy as np
import pytest
import torch

import cnnc
from cnnc.__main__ import main
from cnnc.targets.torch import lower

SPEC = """cnnc: 1
name: net
params: {classes: 3}
input: {image: [1, 8, 8]}
nodes:
  - conv: {name: a, out: 4, kernel: 3}
  - conv: {name: b, out: 4, kernel: 3}
  - conv: {name: left, out: 4, kernel: 1}
  - conv: {name: right, from: b, out: 4, kernel: 1}
  - add: {from: [left, right]}
  - global_avg_pool
  - flatten
  - linear: {name: fc, out: $classes}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["cnnc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    monkeypatch.setattr("os._exit", sys.exit)  # with which commands end
    monkeypatch.setattr("sys.stdout.reconfigure", lambda **_: None, raising=False)
    monkeypatch.setattr("sys.stderr.reconfigure", lambda **_: None, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(SPEC, encoding="utf-8")
    return run


def theirs(**names):
    """The weights of the network under other names, in a file; gives them under the network's."""
    state = lower(cnnc.load("net.yaml"), seed=7).state_dict()
    torch.save(
        {f"{names.get(key.split('.')[0], key.split('.')[0])}.{key.split('.')[1]}": state[key] for key in state}, "t.pth"
    )
    return state


def test_a_map_is_proposed_and_used(run, tmp_path):
    state = theirs(a="first", b="second", fc="head")
    code, out, err = run("weights", "net.yaml", "t.pth", "-o", "map.yaml")
    assert (code, err) == (0, "")
    assert out == "map.yaml: 10 of 10 tensors\nnext: cnnc build net.yaml --weights t.pth --map map.yaml\n"
    assert "  a.weight: first.weight\n" in (tmp_path / "map.yaml").read_text(encoding="utf-8")
    assert run("build", "net.yaml", "--weights", "t.pth", "--map", "map.yaml", "--target", "onnx")[0] == 0
    module = cnnc.compile("net.yaml", weights="t.pth", map="map.yaml")
    assert all(torch.equal(each, state[key]) for key, each in module.state_dict().items())


def test_what_cannot_be_told_is_written_as_comments(run, tmp_path):
    theirs(left="one", right="two")
    code, out, err = run("weights", "net.yaml", "t.pth", "-o", "map.yaml")
    assert (code, out) == (1, "map.yaml: 6 of 10 tensors\n")
    assert "E407" in err
    assert "left: may be one, two" in err
    text = (tmp_path / "map.yaml").read_text(encoding="utf-8")
    assert "#  left.weight: one.weight\n" in text
    assert "#  left.weight: two.weight\n" in text
    code, _, err = run("build", "net.yaml", "--weights", "t.pth", "--map", "map.yaml")
    assert code == 1
    assert "the map lacks `left.weight`, `left.bias`, `right.weight`, `right.bias`" in err


def test_without_a_file_the_map_is_printed(run):
    theirs()
    code, out, _ = run("weights", "net.yaml", "t.pth")
    assert code == 0
    assert out.startswith("# The tensors of t.pth that are the weights of net.\nweights:\n  a.weight: a.weight\n")


def test_parameters_are_set(run):
    theirs()
    assert run("weights", "net.yaml", "t.pth", "--set", "classes=4")[0] == 1
    assert run("weights", "net.yaml", "t.pth", "--set", "clases=4")[0] == 2
    assert run("weights", "net.yaml", "t.pth", "--set", "classes")[0] == 2


def test_a_wrong_call_exits_with_2(run):
    assert run("build", "net.yaml", "--map", "map.yaml")[0] == 2
    assert run("weights", "net.yaml")[0] == 2


def test_a_missing_file_is_said(run):
    theirs()
    assert "E402" in run("weights", "net.yaml", "none.pth")[2]
    assert "E101" in run("build", "net.yaml", "--weights", "t.pth", "--map", "none.yaml")[2]


def test_a_score_and_a_manifest_know_the_map(run, tmp_path):
    theirs(a="first")
    run("weights", "net.yaml", "t.pth", "-o", "map.yaml")
    images, labels = np.zeros((4, 8, 8), np.uint8), np.arange(4) % 3
    np.savez("digits.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    given = ("--weights", "t.pth", "--data", "digits.npz", "--format", "json", "--device", "cpu")
    code, out, err = run("eval", "net.yaml", *given, "--map", "map.yaml")
    assert (code, err) == (0, "")
    assert json.loads(out)["examples"] == 4
    assert "E401" in run("eval", "net.yaml", *given)[2]
    assert run("build", "net.yaml", "--weights", "t.pth", "--map", "map.yaml", "--target", "onnx")[0] == 0
    made = json.loads((tmp_path / "build/net/manifest.json").read_text(encoding="utf-8"))
    assert (made["weights"], made["map"]) == ("t.pth", "map.yaml")
