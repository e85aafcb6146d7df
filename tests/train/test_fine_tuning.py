"""Fine-tuning: which weights are taken, drawn anew, frozen, or trained more slowly, and what is refused."""

import json
import re
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

import cnnc
from cnnc.diagnostics import CnncError
from cnnc.targets.torch_module import lower
from cnnc.train.selection import Selection
from cnnc.weights.load import read_for, read_start
from tests.command import run_command
from tests.train.conftest import spec
from tests.train.test_runs import assert_same, weights

CONV, NORM, LINEAR = "conv", "batch_norm", "linear"
HEADS = {"cnnc": 1, "name": "net", "input": {"image": [1, 12, 12]}}


@pytest.fixture
def start():
    """The initial weights of another run."""
    return lower(cnnc.load(spec()), seed=7).state_dict()


def copied(state):
    """A copy, because a run trains the tensors that it is given."""
    return {key: value.clone() for key, value in state.items()}


def of(state, prefix):
    return {key: value for key, value in state.items() if key.startswith(f"{prefix}.")}


def selection(source, **recipe):
    return Selection.of(cnnc.load(source), cnnc.load(spec(**recipe)).train)


def test_fresh_weights_are_drawn_as_without_a_checkpoint(trained, start):
    at_start = {"epochs": 1, "lr": 1e-6, "seed": 3}  # as good as no training
    drawn, tuned = trained(out="a", **at_start), trained(out="b", weights=copied(start), fresh=["linear"], **at_start)
    for key, value in weights(tuned).items():
        came_from = weights(drawn) if key.startswith("linear.") else start
        if "running" not in key and "num" not in key:
            assert (value - came_from[key]).abs().max() < 1e-4, key


def test_frozen_parts_keep_their_weights_and_statistics(trained, start):
    run = trained(spec(weight_decay=0.1, momentum=0.9), weights=copied(start), freeze=["conv*", "batch_norm"], epochs=2)
    after = weights(run)
    for part in (CONV, NORM):
        assert_same(of(after, part), of(start, part))
    assert not after["linear.weight"].equal(start["linear.weight"])
    learned = start["linear.weight"].numel() + start["linear.bias"].numel()
    frozen = sum(start[key].numel() for key in ("conv.weight", "conv.bias", "batch_norm.weight", "batch_norm.bias"))
    about = json.loads((run.folder / "run.json").read_text())
    assert about["parameters"] == {"learned": learned, "frozen": frozen}
    assert about["recipe"]["freeze"] == ["conv*", "batch_norm"]
    assert f"{learned} parameters are learned, {frozen} are frozen" in trained.said


def test_a_norm_whose_weights_alone_are_frozen_goes_on_counting(trained, start):
    after = weights(trained(weights=copied(start), freeze=["*.weight"], epochs=1))
    assert after["batch_norm.weight"].equal(start["batch_norm.weight"])
    assert not after["batch_norm.bias"].equal(start["batch_norm.bias"])
    assert not after["batch_norm.running_mean"].equal(start["batch_norm.running_mean"])


@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked"])
def test_one_frozen_statistic_freezes_those_of_the_norm(trained, start, name):
    after = weights(trained(weights=copied(start), freeze=[f"*.{name}"], epochs=1))
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        assert after[f"batch_norm.{key}"].equal(start[f"batch_norm.{key}"]), key
    graph = cnnc.load(spec())
    (norm,) = (node for node in graph.nodes if node.path == NORM)
    assert selection(spec(), freeze=[f"*.{name}"]).is_frozen(norm)


def test_a_slower_part_moves_by_its_factor(trained, start):
    # one batch, so one step
    once = {"epochs": 1, "batch": 70, "seed": 1}
    whole = weights(trained(spec(dropout=0), out="a", weights=copied(start), **once))
    slow = weights(trained(spec(dropout=0), out="b", weights=copied(start), lr_scale={"*": 0.5, "conv.*": 0.1}, **once))
    for key, factor in (("conv.weight", 0.1), ("linear.weight", 0.5)):
        torch.testing.assert_close(slow[key] - start[key], factor * (whole[key] - start[key]), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_a_stopped_run_goes_on_bit_for_bit(trained, start, stop_at, optimizer):
    recipe = {"freeze": ["batch_norm"], "lr_scale": {"conv": 0.1}, "fresh": ["linear"], "seed": 5}
    source = spec(optimizer=optimizer, lr=0.01, weight_decay=0.01, **recipe)
    whole = trained(source, out="whole", weights=copied(start))
    stop_at(7)
    assert trained(source, out="cut", weights=copied(start)).signal == signal.SIGTERM
    assert_same(weights(whole), weights(trained(source, out="cut", resume=True)))


@pytest.mark.parametrize("field", [{"freeze": ["conv"]}, {"lr_scale": {"conv": 0.5}}, {"fresh": ["conv"]}])
def test_a_resumed_run_keeps_what_it_trains(trained, field):
    trained(epochs=1)
    with pytest.raises(CnncError, match="E512"):
        trained(epochs=2, resume=True, **field)


@pytest.mark.parametrize(
    ("fields", "message", "help"),
    [
        ({"freeze": ["cnov.*"]}, "`cnov.*` of `freeze` matches no weights of `net`", "did you mean `conv.*`?"),
        ({"lr_scale": {"linaer": 0.1}}, "`linaer` of `lr_scale` matches no weights", "did you mean `linear`?"),
        ({"freeze": ["x"]}, "matches no weights", "its parts with weights are `conv`, `batch_norm`, `linear`"),
        ({"freeze": ["*"]}, "leaves nothing to learn: it matches all 452 parameters", "freeze less"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(trained, tmp_path, fields, message, help):
    with pytest.raises(CnncError, match="E517") as caught:
        trained(**fields)
    (found,) = caught.value.diagnostics
    assert message in found.message
    assert help in found.help
    assert not (tmp_path / "runs").exists()


def test_what_is_learned_must_reach_the_loss(trained):
    source = spec()
    source["nodes"].append({"linear": {"name": "other", "from": "flatten", "out": 3}})
    source["outputs"] = {"answer": "linear", "other": "other"}
    with pytest.raises(CnncError, match=r"E517.*do not affect the loss, such as `other\.weight`"):
        trained(source, freeze=["conv", "batch_norm", "linear"])


def test_a_pattern_selects_nodes_scopes_and_shared_weights():
    layer = {"out": 4, "kernel": 3, "padding": 1}
    nodes = [{"conv": {"name": "a", **layer}}, {"group": {"name": "one", "nodes": [{"conv": {"name": "c", **layer}}]}}]
    nodes += [{"conv": {"name": "d", **layer}}, {"conv": {"name": "b", "share": "d", **layer}}]
    source = {**HEADS, "nodes": nodes}
    for pattern in ("one", "one.*", "one.c", "*.c"):
        assert selection(source, freeze=[pattern]).frozen == {"one.c.weight", "one.c.bias"}, pattern
    for pattern in ("d", "b", "b.*"):
        assert selection(source, freeze=[pattern]).frozen == {"d.weight", "d.bias"}, pattern
    assert selection(source, freeze=["b.bias", "a.we*"]).frozen == {"d.bias", "a.weight"}


def test_recipe_and_command_line_say_the_same(trained, tmp_path, pictures, monkeypatch, start):
    monkeypatch.chdir(tmp_path)
    save_file({**start, "linear.weight": torch.ones(9, 100), "linear.bias": torch.ones(9)}, "w.safetensors")
    (tmp_path / "net.json").write_text(json.dumps(spec(seed=1, epochs=1)))
    fields = {"fresh": ["linear"], "freeze": ["batch_norm"], "lr_scale": {"conv": 0.5}}
    (tmp_path / "same.json").write_text(json.dumps(spec(seed=1, epochs=1, **fields)))
    common = ("--data", pictures(), "--weights", "w.safetensors")
    words = ("--fresh", "linear", "--freeze", "batch_norm", "--lr-scale", "conv=0.5")
    one = run_command("train", "net.json", *common, *words, "-o", "one")
    two = run_command("train", "same.json", *common, "-o", "two")
    assert (one.exit_code, two.exit_code) == (0, 0), one.stderr + two.stderr
    assert "w.safetensors: 7 of 9 tensors; drawn anew: `linear`" in one.stderr
    assert_same(*(load_file(f"{out}/net/last.safetensors") for out in ("one", "two")))
    about = json.loads((tmp_path / "one/net/run.json").read_text())
    assert {key: about["recipe"][key] for key in fields} == fields
    assert about["weights"] == "w.safetensors"


@pytest.mark.parametrize("text", ["conv", "conv=fast", "=0.1", "conv=nan"])
def test_a_malformed_factor_is_a_wrong_call(text):
    done = run_command("train", "net.json", "--lr-scale", text)
    assert (done.exit_code, "expected PATTERN=NUMBER" in done.stderr) == (2, True)


def test_fresh_needs_weights():
    done = run_command("train", "net.json", "--fresh", "fc")
    assert (done.exit_code, "--fresh needs --weights" in done.stderr) == (2, True)


def network(classes, channels=1, *, deep=False):
    head = [{"linear": {"out": 8}}, "relu", {"linear": {"out": classes}}] if deep else [{"linear": {"out": "$classes"}}]
    return {
        "cnnc": 1,
        "name": "net",
        "params": {"classes": classes},
        "input": {"image": [channels, 12, 12]},
        "nodes": [
            {"conv": {"name": "stem", "out": 4, "kernel": 3}},
            "global_avg_pool",
            "flatten",
            {"group": {"name": "head", "names": "index", "nodes": head}},
        ],
    }


def saved(tmp_path, source, **renamed):
    state = {key: value.clone() for key, value in lower(cnnc.load(source)).state_dict().items()}
    for old, new in renamed.items():
        state = {re.sub(rf"^{old}\.(\d\.)?", f"{new}.", key): value for key, value in state.items()}
    save_file(state, path := tmp_path / "w.safetensors")
    return path


def refusal(read, *given):
    with pytest.raises(CnncError, match="E401") as caught:
        read(*given)
    return caught.value.diagnostics[0].help


def proposed(help):
    return re.findall(r"--fresh (\S+?)(?=`| )", help)


@pytest.mark.parametrize(
    ("ours", "renamed", "patterns"),
    [
        (network(7), {}, ["head"]),
        (network(7), {"head": "fc"}, ["head", "fc"]),
        (network(7, deep=True), {"head": "fc"}, ["head", "fc"]),
    ],
)
def test_the_refusal_proposes_what_works(tmp_path, ours, renamed, patterns):
    path = saved(tmp_path, network(10), **renamed)
    graph = cnnc.load(ours)
    help = refusal(read_start, graph, path, [])
    assert proposed(help) == patterns
    assert "takes the other 2 tensors from the file" in help
    assert [*read_start(graph, path, patterns)] == ["stem.weight", "stem.bias"]


def test_layers_that_the_file_lacks_may_be_fresh_anywhere(tmp_path):
    path, ours = saved(tmp_path, network(10)), network(10)
    ours["nodes"].insert(1, {"batch_norm": {"name": "added"}})
    help = refusal(read_start, cnnc.load(ours), path, [])
    assert proposed(help) == ["added"]
    assert "stem.weight" in read_start(cnnc.load(ours), path, ["added"])


@pytest.mark.parametrize(("added", "told"), [(6, 6), (7, 0)])
def test_a_proposal_is_not_endless(tmp_path, added, told):
    path, ours = saved(tmp_path, network(10)), network(10)
    ours["nodes"][1:1] = [{"batch_norm": {"name": f"n{at}"}} for at in range(added)]
    assert len(proposed(refusal(read_start, cnnc.load(ours), path, []))) == told


def test_to_use_weights_of_other_classes_their_number_is_proposed(tmp_path):
    path = saved(tmp_path, network(10))
    help = refusal(read_for, cnnc.load(network(7)), path)
    assert "`--set classes=10` makes the network that of the file" in help
    assert f"cnnc train SPEC --weights {path} --fresh head" in help
    assert read_for(cnnc.load(network(7), set={"classes": 10}), path)


def test_other_differences_are_named(tmp_path):
    path = saved(tmp_path, network(10, channels=3))
    for read in (lambda graph: read_start(graph, path, []), lambda graph: read_for(graph, path)):
        help = refusal(read, cnnc.load(network(10)))
        assert "`stem` has 3 input channels per group in the file, 1 in the spec" in help
        assert not proposed(help)


def test_nothing_is_proposed_while_a_tensor_of_no_layer_is_left_over(tmp_path):
    path = saved(tmp_path, network(10))
    save_file({**load_file(path), "temperature": torch.ones(1)}, path)
    for read in (lambda graph: read_start(graph, path, []), lambda graph: read_for(graph, path)):
        assert not proposed(refusal(read, cnnc.load(network(7))))


def test_a_map_need_not_name_what_is_fresh(tmp_path):
    path = saved(tmp_path, network(10), stem="first", head="last")
    lines = ["weights:", "  stem.weight: first.weight", "  stem.bias: first.bias"]
    for more in ([], ["  head.0.weight: last.weight"]):  # of another shape, which does not matter
        (tmp_path / "map.yaml").write_text("\n".join([*lines, *more, ""]))
        found = read_start(cnnc.load(network(7)), path, ["head"], tmp_path / "map.yaml")
        assert [*found] == ["stem.weight", "stem.bias"]


def test_a_misspelt_pattern_of_fresh_is_refused(tmp_path):
    path = saved(tmp_path, network(10))
    with pytest.raises(CnncError, match=r"E517.*`haed` of `fresh` matches no weights of the network or") as caught:
        read_start(cnnc.load(network(10)), path, ["haed"])
    assert caught.value.diagnostics[0].help == "did you mean `head`?"
