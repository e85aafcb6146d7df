"""TorchScript files: quiet to write, faithful, and in eval mode."""

import os
import warnings

import pytest
import torch

from cnnc.compiler import load
from cnnc.diagnostics import CnncError
from cnnc.targets import torchscript
from cnnc.targets.torch_module import lower
from tests.live import live
from tests.networks import forked, residual

reserves_space = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate")


def test_it_is_written_in_eval_mode_without_a_warning(tmp_path):
    module = live(residual()).train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torchscript.write(module, tmp_path / "a.pt")
        found = torchscript.load(tmp_path / "a.pt")
    assert module.training
    x = torch.randn(3, 2, 9, 11)
    assert torch.equal(found(x), module.eval()(x))
    assert list(found.state_dict()) == list(module.state_dict())


def test_another_thread_may_run_the_module_meanwhile(tmp_path, monkeypatch):
    """While torch.jit.script looks for what to prepare, each module's last attribute is that of another name."""
    module, script = lower(residual()), torch.jit.script

    def script_alone(given):
        assert not {*given.modules()} & {*module.modules()}
        held, own = given.state_dict(keep_vars=True), module.state_dict(keep_vars=True)
        assert [*map(id, held.values())] == [*map(id, own.values())]
        return script(given)

    monkeypatch.setattr(torch.jit, "script", script_alone)
    torchscript.write(module, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").exists()


@reserves_space
def test_a_large_file_is_written_past_the_memory(tmp_path, monkeypatch):
    module = live(residual())
    monkeypatch.setattr(torchscript, "LARGE", 0)
    monkeypatch.delattr(torch.jit.ScriptModule, "save_to_buffer")
    torchscript.write(module, tmp_path / "a.pt")
    x = torch.randn(3, 2, 9, 11)
    assert torch.equal(torchscript.load(tmp_path / "a.pt")(x), module(x))


@reserves_space
def test_a_large_file_that_has_no_room_is_a_diagnostic(tmp_path, monkeypatch):
    """Where torch finds out by itself, it ends the process."""
    import resource

    monkeypatch.setattr(torchscript, "LARGE", 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CnncError, match=r"E405.*the file would be larger than the system allows"):
            torchscript.write(lower(residual()), tmp_path / "a.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_several_outputs_are_a_tuple(tmp_path):
    module = live(forked())
    torchscript.write(module, tmp_path / "a.pt")
    x = torch.randn(1, 2, 8, 8)
    found = torchscript.load(tmp_path / "a.pt")(x)
    assert isinstance(found, tuple)
    assert all(torch.equal(a, b) for a, b in zip(found, module(x), strict=True))


def test_the_module_can_be_written_again_and_still_trains(tmp_path):
    module = lower(residual())
    for name in ("a.pt", "b.pt"):
        torchscript.write(module, tmp_path / name)
    module(torch.randn(2, 2, 9, 11)).sum().backward()
    assert module.get_parameter("stem.weight").grad is not None


def test_a_user_who_scripts_a_module_is_not_warned_of_fx(recwarn):
    module = live(residual())
    scripted = torch.jit.script(module)
    assert not [each for each in recwarn if not issubclass(each.category, DeprecationWarning)]
    x = torch.randn(2, *residual().inputs[0].type.shape)
    assert torch.equal(scripted(x), module(x))


@pytest.mark.parametrize("name", ["resnet-18", "v1.5", "3x3", "None", "Ellipsis", "torch"])
def test_a_network_may_have_any_name(tmp_path, name):
    graph = load({"cnnc": 1, "name": name, "input": {"image": [1, 2, 2]}, "nodes": ["relu"]})
    torchscript.write(lower(graph), tmp_path / "net.pt")
    assert torchscript.load(tmp_path / "net.pt")(torch.ones(1, 1, 2, 2)).sum() == 4


@pytest.mark.parametrize("name", ["3x3", "self", "forward", "Ellipsis", "NoneType", "torch"])
def test_a_block_may_have_any_name(tmp_path, name):
    """An instance without a name of its own has a default name that every target can hold."""
    spec = {"cnnc": 1, "name": "net", "input": {"image": [1, 2, 2]}, "blocks": {name: {"nodes": ["relu", "tanh"]}}}
    graph = load({**spec, "nodes": [name, {"add": {"from": [name if name == "3x3" else f"{name}_2", "image"]}}]})
    torchscript.write(lower(graph), tmp_path / "net.pt")
    assert torchscript.load(tmp_path / "net.pt")(torch.zeros(1, 1, 2, 2)).sum() == 0
