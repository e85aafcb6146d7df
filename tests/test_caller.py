"""The public functions leave the process of their caller as they found it, also after an error."""

import gc
import locale
import logging
import os
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

import cnnc
from cnnc.expressions import grammar
from cnnc.verification import verify
from tests.test_house import TINY

WRONG = TINY.replace("kernel: 3", "kernel: 30")


@pytest.fixture(scope="module", autouse=True)
def _nothing_frozen():
    """The tests freeze what is there before them, and what is frozen becomes less when some of it goes."""
    gc.unfreeze()
    yield
    gc.freeze()


def settings():
    """Whatever of a process a library could change; torch.export itself sets a variable with a folder of its own."""
    return {
        "switch interval": sys.getswitchinterval(),
        "recursion limit": sys.getrecursionlimit(),
        "garbage collection": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "warnings": (warnings.showwarning, tuple(warnings.filters)),
        "signal handlers": [signal.getsignal(each) for each in sorted(signal.valid_signals())],
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.gettrace(), sys.getprofile()),
        "streams": (sys.stdin, sys.stdout, sys.stderr, [os.fstat(each).st_ino for each in (0, 1, 2)]),
        "environment": {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"},
        "working folder": os.getcwd(),
        "import path": list(sys.path),
        "locale": locale.setlocale(locale.LC_ALL),
        "loggers": {
            name: (logger.level, logger.disabled, None if name.startswith("torch") else len(logger.handlers))
            for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]
            if isinstance(logger, logging.Logger) and (logger.level or logger.disabled)
        },
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "random numbers of torch": hash(torch.get_rng_state().numpy().tobytes()),
        "random numbers of numpy": hash(np.random.get_state()[1].tobytes()),
        "determinism": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
        ),
        "precision": (
            torch.get_float32_matmul_precision(),
            torch.get_default_dtype(),
            torch.backends.cudnn.allow_tf32,
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
        ),
    }


def changed(before):
    return {name: (value, now) for name, value in before.items() if (now := settings()[name]) != value}


def check(tmp_path):
    assert cnnc.check(tmp_path / "tiny.yaml", set={}).ok


def load(tmp_path):
    cnnc.load(tmp_path / "tiny.yaml")


def compile(tmp_path):
    cnnc.compile(tmp_path / "tiny.yaml", seed=3)


def build(tmp_path):
    cnnc.build(tmp_path / "tiny.yaml", targets=("onnx", "torchscript", "pt2", "python"), out=tmp_path)


def verify_file(tmp_path):
    for ending in ("onnx", "pt"):
        cnnc.verify(tmp_path / "tiny.yaml", tmp_path / "tiny" / f"tiny.{ending}")


def wrong_spec(tmp_path):
    assert not cnnc.check(tmp_path / "wrong.yaml").ok
    for function in (cnnc.load, cnnc.compile, cnnc.build):
        with pytest.raises(cnnc.CnncError, match="E3"):
            function(tmp_path / "wrong.yaml")


def refused_file(tmp_path, monkeypatch):
    """An error on the threads of a build."""
    monkeypatch.setattr(verify, "identical", lambda *_: False)
    with pytest.raises(cnnc.CnncError, match="E404"):
        cnnc.build(tmp_path / "tiny.yaml", targets=("onnx", "torchscript"), out=tmp_path / "refused")


def damaged_file(tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"onnx")
    with pytest.raises(cnnc.CnncError, match="E501"):
        cnnc.verify(tmp_path / "tiny.yaml", tmp_path / "damaged.onnx")


@pytest.fixture
def two_threads():
    """Torch on two threads, one more than the tests allow it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_nothing_of_the_callers_process_is_changed(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    before = settings()
    for call in (check, load, compile, build, verify_file, wrong_spec, damaged_file):
        call(tmp_path)
        assert not changed(before), call.__name__
    with monkeypatch.context() as patch:
        refused_file(tmp_path, patch)
    assert not changed(before)


def test_expressions_leave_the_filters_to_other_threads(monkeypatch):
    """catch_warnings is not for threads: two that overlap restore each other's filters."""
    with monkeypatch.context() as patch:
        patch.setattr(warnings, "catch_warnings", None)
        assert grammar.parse("$(1 if on else 2)")


LEAKS = {
    "switch interval": (lambda: sys.setswitchinterval(1e-4), lambda: sys.setswitchinterval(5e-3)),
    "garbage collection": (gc.disable, gc.enable),
    "warnings": (lambda: warnings.simplefilter("ignore"), lambda: warnings.filterwarnings("error")),
    "signal handlers": (
        lambda: signal.signal(signal.SIGTERM, lambda *_: None),
        lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    ),
    "blocked signals": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
        lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1]),
    ),
    "environment": (lambda: os.environ.update(CNNC_LEAK="1"), lambda: os.environ.pop("CNNC_LEAK")),
    "loggers": (lambda: logging.getLogger("cnnc").setLevel(50), lambda: logging.getLogger("cnnc").setLevel(0)),
    "threads": (lambda: torch.set_num_threads(1), lambda: torch.set_num_threads(2)),
    "random numbers of torch": (lambda: torch.rand(1), lambda: None),
    "determinism": (
        lambda: torch.use_deterministic_algorithms(mode=True),
        lambda: torch.use_deterministic_algorithms(mode=False),
    ),
    "precision": (
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("highest"),
    ),
}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("setting", LEAKS)
def test_a_leak_would_be_seen(setting):
    logging.getLogger("cnnc")
    leak, undo = LEAKS[setting]
    leak(), undo()  # the first time torch imports more of itself, which adds filters
    before = settings()
    leak()
    try:
        assert set(changed(before)) == {setting}
    finally:
        undo()
