"""Each hack stands in one place, and a private name that goes away costs speed or precision, never a traceback."""

import ast
import sys
from types import SimpleNamespace

import pytest
import torch

from cnnc.diagnostics import CnncError
from cnnc.targets import pt2, torchscript
from cnnc.train.compiled import compiling
from cnnc.verification.rounding import with_rounding_errors
from tests.test_house import MODULES, PACKAGE

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
    "warnings.simplefilter": {"data/pictures.py"},
    "torch.set_num_threads": {"targets/loaded_module.py"},
    "torch.default_generator.manual_seed": {"targets/torch_module.py"},
    "os.environ.setdefault": {"train/launch.py"},
}
PRIVATE = {
    "__main__.py": {"pydantic.plugin._loader"},
    "train/compiled.py": {"torch._dynamo.exc"},
    "verification/rounding.py": {"torch.utils._python_dispatch"},
    "targets/pt2.py": {"torch.fx.experimental._config", "_guards_code"},
    "targets/torchscript.py": {"module._modules"},
}
HIDDEN = {"pydantic.plugin._loader", "torch.fx.experimental._config", "_guards_code"}  # by their names in strings
OWN = {"self", "cls", "other", "os", "NamedTuple"}
OF_NAMEDTUPLES = {"_replace", "_asdict", "_fields", "_field_defaults"}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private(tree):
    """Private names of other packages: imported, or read of an object that is not `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(part.startswith("_") for part in str(node.module).split(".")):
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            base = ast.unparse(node.value)
            if base.split(".")[0] not in OWN and node.attr not in OF_NAMEDTUPLES:
                yield f"{base}.{node.attr}"
        elif isinstance(node, ast.Constant) and node.value in HIDDEN:
            yield node.value


TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES.values()}


@pytest.mark.parametrize("hack", PLACES)
def test_a_hack_stands_where_it_is_explained(hack):
    nodes = ((name, node) for name, tree in TREES.items() for node in ast.walk(tree))
    found = {name for name, node in nodes if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) == hack}
    assert found == PLACES[hack]


def test_private_names_are_known():
    found = {name: set(private(tree)) for name, tree in TREES.items()}
    assert {name: each for name, each in found.items() if each} == PRIVATE


def test_rounding_without_the_private_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils._python_dispatch", None)
    module = torch.nn.Linear(2, 2)
    assert with_rounding_errors(module) is module


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
    assert torchscript._twin(module).weight is not module.weight
