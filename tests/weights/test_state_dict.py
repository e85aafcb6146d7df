"""Checkpoints as people have them: wrapped keys, several state_dicts, and other things beside the weights."""

import argparse
import datetime
import os
import sys
import types
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import cnnc
from cnnc.diagnostics import CnncError, Code
from cnnc.targets.torch_module import lower
from cnnc.weights.checkpoint_file import HARMLESS, MAPPINGS
from cnnc.weights.load import checkpoint, read, shapes
from tests.networks import residual


@pytest.fixture
def state():
    return {key: tensor.clone() for key, tensor in lower(residual()).state_dict().items()}


@pytest.fixture
def load(tmp_path, state):
    """Save something and read it as weights; gives the tensors and the remarks."""

    def load(data, name="w.pt", **given):
        torch.save(data, tmp_path / name)
        remarks = []
        found = read(tmp_path / name, given.pop("expected", shapes(state)), note=remarks.append, **given)
        return found, [each.removeprefix(f"{tmp_path}/") for each in remarks]

    return load


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


def other(state):
    return {key: tensor + 1 for key, tensor in state.items()}


@pytest.mark.parametrize(
    "wrappers",
    [
        *("module", "_orig_mod", "model", "net", "backbone", "_orig_mod.module", "module._orig_mod", "model.net"),
        *("student", "encoder", "teacher.module", "model.encoder", "_orig_mod.student"),
    ],
)
def test_wrappers_are_stripped_and_told(load, state, wrappers):
    found, remarks = load({f"{wrappers}.{key}": tensor for key, tensor in state.items()})
    assert same(found, state)
    [remark] = remarks
    assert remark.startswith("w.pt: `")
    assert all(wrapper in remark for wrapper in wrappers.split("."))
    assert remark.endswith("is stripped from its keys")


def test_compiled_parts_are_seen_through(load, state):
    found, remarks = load({key.replace("layer1.", "layer1._orig_mod."): tensor for key, tensor in state.items()})
    assert same(found, state)
    assert "`_orig_mod.` is stripped" in remarks[0]


def test_an_averaged_model_is_seen_through(load, state):
    averaged = torch.optim.swa_utils.AveragedModel(lower(residual()))
    found, _ = load(averaged.state_dict())
    assert found.keys() == state.keys()


@pytest.mark.parametrize("scope", ["module", "model", "net", "backbone", "_orig_mod"])
def test_a_scope_of_the_network_is_no_wrapper(load, state, scope):
    scoped = {f"{scope}.{key}": tensor for key, tensor in state.items()}
    found, remarks = load(scoped, expected=shapes(scoped))
    assert same(found, scoped)
    assert remarks == []
    found, remarks = load({f"module.{key}": tensor for key, tensor in scoped.items()}, expected=shapes(scoped))
    assert same(found, scoped)
    assert remarks == ["w.pt: `module.` is stripped from its keys"]


def test_a_prefix_that_is_no_wrapper_stays_on_keys_that_are_not_wanted(load, state):
    others = {f"student.{key}x": tensor for key, tensor in state.items()}
    with pytest.raises(CnncError, match=r"E401") as caught:
        load(others)
    assert any("student." in note.message for note in caught.value.diagnostics[0].notes)


def test_a_key_of_many_parts_is_no_trouble(load, state):
    parts = 2 * sys.getrecursionlimit()
    with pytest.raises(CnncError, match=r"E401"):
        load({"a." * parts + key: tensor for key, tensor in state.items()})


def test_mappings_that_are_in_many_places_are_looked_into_once(load):
    data = {}
    for _ in range(7):
        data = {str(number): data for number in range(60)}
    with pytest.raises(CnncError, match=r"E402.*it holds no state_dict"):
        load(data)


@pytest.mark.parametrize("places", ["a.b.c", "checkpoint.model.state_dict", "checkpoint.0.model.net.state_dict"])
def test_what_lies_deep_in_other_mappings_is_found(load, state, places):
    data, inner = state, places.split(".")
    for name in reversed(inner):
        data = {name: data, "epoch": 3}
    found, [remark] = load(data)
    assert same(found, state)
    assert f"`{places}` is used" in remark


def test_a_prefix_that_some_keys_lack_is_no_wrapper(load, state):
    data = {key if key.startswith("head") else f"model.{key}": tensor for key, tensor in state.items()}
    with pytest.raises(CnncError) as caught:
        load(data)
    assert "model.stem.weight" in str(caught.value.diagnostics[0].notes)


def test_the_network_in_a_training_module_is_found(load, state):
    """Lightning saves the weights of the loss, and of metrics, beside those of the network."""
    data = {f"model.{key}": tensor for key, tensor in state.items()} | {"criterion.weight": torch.ones(3)}
    found, remarks = load({"state_dict": data, "epoch": 3})
    assert same(found, state)
    left_out = "the tensors beside them are left out: `criterion.weight`"
    assert remarks == [f"w.pt: `model.` is stripped from its keys; {left_out}"]
    with pytest.raises(CnncError, match="E401"):  # either may be meant
        load(data | {f"net.{key}": tensor for key, tensor in state.items()})


def test_a_map_may_name_tensors_with_wrappers_or_without(tmp_path, load, state):
    data = {f"module.model.{key}": tensor for key, tensor in state.items()}
    for prefix in ("module.model.", "model.", ""):
        lines = [f"  {key}: {prefix}{key}\n" for key in state if "num_batches" not in key]
        (tmp_path / "map.yaml").write_text("weights:\n" + "".join(lines), encoding="utf-8")
        found, _ = load(data, map=tmp_path / "map.yaml")
        assert same(
            {key: each for key, each in found.items() if "num_batches" not in key},
            {key: each for key, each in state.items() if "num_batches" not in key},
        )


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [
        ("state_dict", "state_dict_ema"),
        ("model", "model_ema"),
        ("model", "ema"),
        ("net", "net_ema"),
        ("params", "params_ema"),
    ],
)
def test_of_several_the_raw_weights_are_taken_and_told(load, state, raw, averaged):
    data = {averaged: other(state), raw: state, "epoch": 3}
    found, remarks = load(data)
    assert same(found, state)
    assert remarks == [f"w.pt: `{raw}` is used, not `{averaged}` (`--key` selects another)"]
    found, remarks = load(data, key=averaged)
    assert torch.equal(found["head.bias"], state["head.bias"] + 1)
    assert remarks == []


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema", "ema", "weights_of_mine"])
def test_one_alone_is_taken_whatever_it_is_called(load, state, name):
    found, remarks = load({name: state, "epoch": 3})
    assert same(found, state)
    assert remarks == [f"w.pt: `{name}` is used"]


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model", "net", "network"])
def test_a_usual_name_needs_no_remark(load, state, name):
    assert load({name: state, "epoch": 3, "best": torch.tensor(0.5), "rng": {"cpu": torch.get_rng_state()}})[1] == []


def test_one_within_another_mapping_is_found(load, state):
    found, remarks = load({"ema": {"decay": 0.999, "module": {f"module.{key}": each for key, each in state.items()}}})
    assert same(found, state)
    assert remarks == ["w.pt: `ema.module` is used; `module.` is stripped from its keys"]
    assert same(load({"model": other(state), "ema": {"module": state}}, key="ema")[0], state)


def test_whose_keys_fit_is_taken(load, state):
    found, remarks = load(
        {"model": {"a.weight": torch.ones(3)}, "generator": state, "critic": {"a.weight": torch.ones(3)}}
    )
    assert same(found, state)
    assert remarks == ["w.pt: `generator` is used, not `model` or `critic` (`--key` selects another)"]


def fault(load, data, **given):
    with pytest.raises(CnncError) as caught:
        load(data, **given)
    [diagnostic] = caught.value.diagnostics
    return diagnostic


def test_what_cannot_be_told_apart_is_refused(load, state):
    found = fault(load, {"student": state, "teacher": other(state)})
    assert found.code == Code.WEIGHTS_UNREADABLE
    assert "several state_dicts: `student`, `teacher`" in found.message
    assert "--key" in found.help
    assert same(load({"student": other(state), "teacher": state}, key="teacher")[0], state)


def test_a_key_that_is_not_there_is_told(load, state):
    found = fault(load, {"state_dict": state, "state_dict_ema": state}, key="state_dict_emma")
    assert "no state_dict `state_dict_emma`" in found.message
    assert found.help == "did you mean `state_dict_ema`?"
    assert fault(load, state, key="ema").help == "leave out `--key`"


def optimizer():
    module = torch.nn.Linear(2, 2)
    made = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    made.step()
    return made


BESIDE = {
    "namespace": lambda: argparse.Namespace(lr=0.1, out=Path("runs"), rest=argparse.Namespace(a=[1])),
    "optimizer": optimizer,
    "optimizer's state": lambda: optimizer().state_dict(),
    "schedule": lambda: torch.optim.lr_scheduler.StepLR(optimizer(), 3),
    "numpy": lambda: [np.float64(0.3), np.ones(3), np.random.default_rng(0).integers(3, size=2)],
    "dates": lambda: (datetime.datetime(2024, 5, 1), datetime.timedelta(3)),
    "defaultdict": lambda: defaultdict(list, {"loss": [0.1]}),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("legacy", [False, True])
def test_what_lies_beside_the_weights_is_passed_over(tmp_path, load, state, name, legacy):
    torch.save({"model": state, "args": BESIDE[name]()}, tmp_path / "v.ckpt", _use_new_zipfile_serialization=not legacy)
    assert same(read(tmp_path / "v.ckpt", shapes(state)), state)


@pytest.mark.parametrize("name", [*MAPPINGS[1:], *(each for each in HARMLESS if each.startswith("omegaconf."))])
def test_containers_of_packages_that_are_not_here_are_passed_over(tmp_path, load, state, monkeypatch, name):
    base = OrderedDict if name in MAPPINGS else object
    module, _, kind = name.rpartition(".")
    made = type(kind, (base,), {"__module__": module})
    there = types.ModuleType(module)
    setattr(there, kind, made)
    settings = made()
    settings.frozen = True
    with monkeypatch.context() as here:
        for part in [module[:place] for place in range(len(module)) if module[place] == "."]:
            here.setitem(sys.modules, part, types.ModuleType(part))
        here.setitem(sys.modules, module, there)
        torch.save({"state_dict": state, "hyper_parameters": settings}, tmp_path / "w.ckpt")
    assert same(read(tmp_path / "w.ckpt", shapes(state)), state)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class EvilState:
    """Asks for a harmless class, and for code as its state."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return argparse.Namespace, (), {"path": Evil(self.path)}


@pytest.mark.parametrize("name", ["w.pt", "w.ckpt", "w.bin", "w"])
@pytest.mark.parametrize("evil", [Evil, EvilState])
@pytest.mark.parametrize("legacy", [False, True])
def test_code_beside_the_weights_is_refused_and_does_not_run(tmp_path, state, name, evil, legacy):
    data = {"model": state, "args": evil(str(tmp_path / "pwned"))}
    torch.save(data, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CnncError) as caught:
        read(tmp_path / name, shapes(state))
    assert caught.value.diagnostics[0].code == Code.WEIGHTS_UNREADABLE
    assert "mkdir" in caught.value.diagnostics[0].message
    assert not (tmp_path / "pwned").exists()


def test_a_harmless_name_is_never_looked_up(tmp_path, state, monkeypatch):
    """The class may be anybody's: not even its constructor runs."""
    torch.save({"model": state, "args": argparse.Namespace(a=1)}, tmp_path / "w.pt")
    monkeypatch.setattr(argparse.Namespace, "__init__", lambda *_, **__: pytest.fail("was called"))
    monkeypatch.setattr(argparse, "Namespace", None)
    assert same(read(tmp_path / "w.pt", shapes(state)), state)


@pytest.mark.parametrize("name", ["w.ckpt", "w.bin", "w", "w.safetensors.download"])
def test_the_content_says_what_a_file_is(tmp_path, state, name):
    from safetensors.torch import save_file

    torch.save({"net": state}, tmp_path / name)
    assert same(read(tmp_path / name, shapes(state)), state)
    assert checkpoint(tmp_path / name, shapes(state)).ordered
    save_file(state, tmp_path / name)
    assert same(read(tmp_path / name, shapes(state)), state)
    assert not checkpoint(tmp_path / name, shapes(state)).ordered


def test_an_onnx_file_may_have_any_name(tmp_path):
    spec = {"cnnc": 1, "name": "net", "input": {"x": [3, 8, 8]}, "nodes": [{"conv": {"out": 2, "kernel": 3}}]}
    cnnc.build(spec, targets="onnx", out=tmp_path)
    ours = tmp_path / "net" / "net.onnx"
    (tmp_path / "ours").write_bytes(ours.read_bytes())
    onnx.save(onnx.load(ours), tmp_path / "theirs")
    expected = {"conv.weight": (2, 3, 3, 3), "conv.bias": (2,)}
    for name in ("ours", "theirs"):
        assert read(tmp_path / name, expected).keys() == expected.keys()
    with pytest.raises(CnncError, match="an ONNX model holds no state_dict `ema`"):
        read(ours, expected, key="ema")


def test_without_anybody_to_tell_remarks_are_logged(tmp_path, state, caplog):
    torch.save({"state_dict_ema": state}, tmp_path / "w.pt")
    read(tmp_path / "w.pt", shapes(state))
    assert caplog.messages == [f"{tmp_path / 'w.pt'}: `state_dict_ema` is used"]
