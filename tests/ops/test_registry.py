"""The list of ops: every name leads to its class, and to no module but that of its family."""

import subprocess
import sys
from typing import Any

import pytest

from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.base import Elementwise, Op
from cnnc.ops.softmax import Softmax


@pytest.mark.parametrize("name", registry.names())
def test_an_op_goes_by_its_name(name: str):
    op = registry.get(name)
    assert issubclass(op, Op)
    assert op.name == name
    assert op.__doc__
    assert op.least_inputs <= op.most_inputs


STATED = [("norm", "normalises_channels"), ("regularise", "drops")]


@pytest.mark.parametrize(("family", "fact"), STATED)
def test_an_op_of_a_family_states_what_tells_it_from_others(family: str, fact: str):
    """A new one that does not is not forgotten by lints and passes without a word."""
    for name in registry.FAMILIES[family]:
        assert fact in vars(registry.get(name)), name


@pytest.mark.parametrize("name", ["", "Conv", "os", "cnnc.ops.conv", "conv2d"])
def test_there_are_no_others(name: str):
    with pytest.raises(KeyError):
        registry.get(name)


def test_names_are_those_of_activations_and_families():
    assert len(set(registry.names())) == len(registry.names())
    assert all(issubclass(registry.get(name), Elementwise | Softmax) for name in ACTIVATIONS)


def test_a_family_is_imported_when_it_is_asked_for():
    code = """
import sys
from typing import Any
from cnnc.ops import registry
registry.get("linear")
print([family for family in registry.FAMILIES if f"cnnc.ops.{family}" in sys.modules])
print({"torch", "onnx", "onnxruntime", "numpy", "networkx"} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["['linear']", "set()"]


def test_an_op_that_lacks_a_row_cannot_be_made() -> None:
    class Half(Op):
        """It infers, and that is all."""

        name = "half"

        def infer(self, x: Any) -> Any:
            return x

    with pytest.raises(TypeError, match="to_onnx"):
        Half()  # type: ignore[abstract]
