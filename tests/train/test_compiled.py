"""`--compile`: the same learning by torch.compile, and what is said where that cannot be had."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from cnnc.diagnostics import CnncError
from tests.thorough import thorough
from tests.train.conftest import spec

LEARNER = "cnnc.train.learner.compiled"
QUIET = spec(norm=False, dropout=0)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    """Nothing that was compiled before, and nothing left behind."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_a_compiled_network_learns_the_same(trained, monkeypatch):
    monkeypatch.setattr(LEARNER, lambda module: torch.compile(module, backend="aot_eager"))
    plain = load_file(trained(QUIET, out="plain").weights)
    fast = load_file(trained(QUIET, out="fast", compile=True).weights)
    assert plain.keys() == fast.keys()
    for key, value in plain.items():
        torch.testing.assert_close(fast[key], value, rtol=1e-3, atol=1e-5)


@thorough
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # inductor's own
def test_torchs_own_backend_compiles_it(trained, pictures, monkeypatch):
    # without trying g++ for each of the processor's kinds of vectors, of which none is needed here
    monkeypatch.setattr("torch._inductor.config.cpp.vec_isa_ok", False)
    even = pictures(count=64, name="even")  # a last batch of another size would be compiled once more
    run = trained(QUIET, data=even, epochs=2, compile=True)
    assert run.records[0].train_loss > run.records[1].train_loss


def test_without_a_compiler_it_is_said_and_the_run_can_go_on_without(trained, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "/nowhere/g++"))
    with pytest.raises(CnncError, match=r"E516.*torch cannot compile the network: .*compiler") as caught:
        trained(QUIET, compile=True)
    assert "--no-compile" in caught.value.diagnostics[0].help
    assert len(trained(QUIET, resume=True, compile=False).records) == 3


def test_a_backend_that_fails_is_said(trained, monkeypatch):
    def failing(graph, inputs):
        raise NotImplementedError("no such kernel\nand more")

    monkeypatch.setattr(LEARNER, lambda module: torch.compile(module, backend=failing))
    with pytest.raises(CnncError, match=r"E516.*NotImplementedError: no such kernel\n"):
        trained(QUIET, compile=True)
