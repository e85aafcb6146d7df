"""Each hack stands in one place, and a private name that goes away costs speed or precision, never a traceback."""

import sys
from types import SimpleNamespace

import pytest
import torch

from cnnc.diagnostics import CnncError
from cnnc.importing.torch_decisions import noting_decisions
from cnnc.targets import functional, pt2
from cnnc.train.compiled import compiling
from cnnc.verification.rounding import with_rounding_errors
from tests.modules import MODULES, PACKAGE, facts

# what changes the process, and where it may; CONTRIBUTING.md says why
PLACES = {
    "os._exit": {"processes.py"},
    "gc.disable": {"__main__.py", "editor/server.py"},
    "gc.freeze": {"editor/server.py"},
    "sys.setswitchinterval": set(),
    "sys.setrecursionlimit": set(),
    "sys.modules": {"__main__.py"},
    "signal.signal": {
        "__main__.py",
        "cli/infer.py",
        "cli/guarded.py",
        "train/interrupt.py",
        "train/launch.py",
        "train/workers.py",
    },
    "warnings.filterwarnings": {"data/pictures.py", "inference/confusion.py"},
    "filterwarnings": {"targets/torchscript.py"},
    "warnings.simplefilter": {"data/packed.py", "data/pictures.py"},
    "torch.set_num_threads": {"targets/loaded_module.py"},
    "torch.default_generator.manual_seed": {"targets/torch_module.py"},
    "os.environ.setdefault": {"train/launch.py"},
}
PRIVATE = {
    "__main__.py": {"pydantic.plugin._loader"},
    "train/compiled.py": {"torch._dynamo.exc"},
    "importing/torch_decisions.py": {"torch.utils._python_dispatch"},
    "verification/rounding.py": {"torch.utils._python_dispatch"},
    "targets/pt2.py": {"torch.fx.experimental._config", "_guards_code"},
    "targets/functional.py": {"module._modules"},
}


def of_modules(about):
    """What `about` finds in the facts of each module, by the module's path."""
    found = {path.relative_to(PACKAGE).as_posix(): about(facts(module)) for module, path in MODULES.items()}
    return {path: each for path, each in found.items() if each}


def test_hacks_stand_where_they_are_explained():
    hacks = of_modules(lambda each: each.names & PLACES.keys())
    assert {hack: {path for path, each in hacks.items() if hack in each} for hack in PLACES} == PLACES


def test_private_names_are_known():
    assert of_modules(lambda each: each.private) == PRIVATE


def test_rounding_without_the_private_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils._python_dispatch", None)
    module = torch.nn.Linear(2, 2)
    assert with_rounding_errors(module) is module


def test_importing_without_the_private_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils._python_dispatch", None)
    read = []
    with noting_decisions(read):
        assert torch.ones(1) > 0
    assert not read


def test_exporting_without_the_private_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.fx.experimental._config", None)
    with pt2._general() as nothing:
        assert nothing is None


def test_a_failed_compilation_without_the_private_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo.exc", None)
    with pytest.raises(CnncError, match="E516"), compiling():
        raise RuntimeError("no compiler")


def test_scripting_without_the_private_name():
    module = SimpleNamespace(weight=[1])
    assert functional.functional(module).weight is not module.weight
