"""`cnnc weights` and `--map` as a user meets them."""

import json

import numpy as np
import pytest
import torch

import cnnc
from cnnc.targets.torch_module import lower

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


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(SPEC, encoding="utf-8")


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


def test_what_cannot_be_told_is_paired_by_order_on_demand(run, tmp_path):
    state = theirs(left="two", right="one")
    code, out, err = run("weights", "net.yaml", "t.pth", "-o", "map.yaml", "--by-order")
    assert (code, out.splitlines()[0]) == (0, "map.yaml: 10 of 10 tensors")
    assert err.startswith("note: 4 tensors matched by order alone, `# by order` in the map: ")
    assert "  left.weight: two.weight  # by order\n" in (tmp_path / "map.yaml").read_text(encoding="utf-8")
    module = cnnc.compile("net.yaml", weights="t.pth", map="map.yaml")
    assert all(torch.equal(each, state[key]) for key, each in module.state_dict().items())


def test_an_order_that_is_none_pairs_nothing(run):
    theirs(left="one", right="two", fc="zero")  # sorted
    code, _, err = run("weights", "net.yaml", "t.pth", "--by-order")
    assert (code, err.startswith("note: nothing is matched by order: the order of t.pth is not that")) == (1, True)


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


def data():
    """A data set of four pictures, as a path."""
    images, labels = np.zeros((4, 8, 8), np.uint8), np.arange(4) % 3
    np.savez("digits.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return "digits.npz"


def test_what_was_taken_and_stripped_is_said_wherever_weights_are_read(run, tmp_path):
    state = {f"module.{key}": tensor for key, tensor in theirs(a="first").items()}
    torch.save({"state_dict": state, "state_dict_ema": {key: each + 1 for key, each in state.items()}}, "t.ckpt")
    stripped = "`module.` is stripped from its keys"
    taken = f"note: t.ckpt: `state_dict` is used, not `state_dict_ema` (`--key` selects another); {stripped}\n"
    chosen = f"note: t.ckpt: {stripped}\n"
    ema = ("--key", "state_dict_ema")

    for key, said in (((), taken), (ema, chosen)):
        assert run("build", "net.yaml", "--weights", "t.ckpt", "--target", "onnx", *key)[::2] == (0, said)
        made = json.loads((tmp_path / "build/net/manifest.json").read_text(encoding="utf-8"))
        assert made["key"] == (key[1] if key else None)
        assert run("eval", "net.yaml", "--weights", "t.ckpt", "--data", data(), "--device", "cpu", *key)[::2] == (
            0,
            said,
        )
        code, out, err = run("weights", "net.yaml", "t.ckpt", "-o", "map.yaml", *key)
        assert (code, err) == (0, said)
        assert out.endswith(f"--weights t.ckpt{' --key state_dict_ema' if key else ''} --map map.yaml\n")
        given = ("--data", data(), "--epochs", "1", "--device", "cpu", "--map", "map.yaml")
        code, _, err = run("train", "net.yaml", "--weights", "t.ckpt", *given, *key)
        assert (code, err.startswith(said)) == (0, True)


def test_python_chooses_a_key_and_hears_what_was_taken(run):
    state = theirs()
    torch.save({"model": state, "model_ema": {key: each + 1 for key, each in state.items()}}, "t.pt")
    said = []
    module = cnnc.compile("net.yaml", weights="t.pt", key="model_ema", note=said.append)
    assert torch.equal(module.state_dict()["fc.bias"], state["fc.bias"] + 1)
    assert said == []
    cnnc.build("net.yaml", weights="t.pt", targets="onnx", note=said.append)
    assert said == ["t.pt: `model` is used, not `model_ema` (`--key` selects another)"]


@pytest.mark.parametrize("given", [("--key", "ema"), ("--map", "map.yaml")])
def test_what_speaks_of_weights_needs_some(run, given):
    assert run("build", "net.yaml", *given)[0] == 2
    assert run("train", "net.yaml", "--data", "mnist", *given)[0] == 2
    assert run("eval", "net.yaml", "--data", "mnist", *given)[0] == 2


def test_names_from_files_cannot_steer_a_terminal(run):
    torch.save({"evil\x1b[2J": theirs()}, "t.pt")
    _, _, err = run("weights", "net.yaml", "t.pt")
    assert err == "note: t.pt: `evil\\x1b[2J` is used\n"
