"""What is asked for is given, or the reason why not is said in one line."""

import ctypes
import os
import sys
from types import SimpleNamespace

import pytest

from cnnc.diagnostics import CnncError, Code
from cnnc.inference import providers
from cnnc.inference.providers import WANTED, choose, output_suppressed

ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def machine(monkeypatch):
    """Pretend: what onnxruntime lists, and what the driver answers (None: there is no driver)."""

    def pretend(listed=ALL, status=0, count=1, driver=True):
        def set_count(pointer):
            pointer._obj.value = count
            return 0

        def load(name):
            if not driver:
                raise OSError(name)
            return SimpleNamespace(cuInit=lambda flags: status, cuDeviceGetCount=set_count)

        fake = SimpleNamespace(get_available_providers=lambda: listed, preload_dlls=lambda: print("loading"))
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        monkeypatch.setattr(ctypes, "CDLL", load)

    return pretend


def test_the_cpu_needs_no_probe(machine):
    machine(listed=[])
    assert choose("cpu").providers == ("CPUExecutionProvider",)


def test_auto_takes_a_gpu_that_works(machine, capfd):
    machine()
    choice = choose("auto")
    assert choice.name == "cuda"
    assert choice.providers == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert not choice.asked
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", ["cuda", "tensorrt"])
def test_what_is_asked_for_and_works_comes_first(machine, wanted):
    machine()
    choice = choose(wanted)
    assert choice.asked
    assert choice.providers[0].lower().startswith(wanted)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"listed": ["CPUExecutionProvider"]}, "this onnxruntime has no CUDAExecutionProvider"),
        ({"driver": False}, "cannot be loaded"),
        ({"status": 100}, "CUDA error 100"),
        ({"count": 0}, "finds no GPU"),
    ],
)
def test_a_gpu_that_does_not_work(machine, monkeypatch, state, reason):
    machine(**state)
    monkeypatch.setattr(providers, "_has_gpu", lambda: True)
    choice = choose("auto")
    assert choice.name == "cpu"
    assert reason in choice.reason
    assert "\n" not in choice.reason
    with pytest.raises(CnncError, match=reason) as caught:
        choose("cuda")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == Code.NO_PROVIDER
    assert "cpu" in str(diagnostic.help)


@pytest.mark.parametrize(
    ("kind", "vendor", "told"),
    [("0x030200", "0x10de", True), ("0x030000", "0x1002", False), ("0x020000", "0x10de", False)],
)
def test_a_machine_without_a_gpu_is_told_of_none(machine, monkeypatch, tmp_path, kind, vendor, told):
    machine(driver=False)
    device = tmp_path / "0000:00:01.0"
    device.mkdir()
    (device / "class").write_text(f"{kind}\n")
    (device / "vendor").write_text(f"{vendor}\n")
    monkeypatch.setattr(providers, "PCI", tmp_path)
    monkeypatch.setattr(providers, "DRIVER", ())
    choice = choose("auto")
    assert (choice.name, bool(choice.reason)) == ("cpu", told)


def test_an_unknown_provider(machine):
    machine()
    with pytest.raises(CnncError) as caught:
        choose("cdua")
    assert all(name in str(caught.value.diagnostics[0].help) for name in WANTED)


def test_this_machine_gets_an_answer():
    assert choose("auto").name in ("cpu", "cuda")


def test_both_streams_are_suppressed_and_restored(capfd):
    with output_suppressed():
        print("python")
        os.write(2, b"C code\n")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
