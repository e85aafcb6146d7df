"""Each line of `specs/FROM_OTHER_FRAMEWORKS.md` is right: the construct and the nodes compute the same values."""

import re

import pytest
import torch

from cnnc.compiler import compile
from tests.frameworks import darknet_lines, keras_lines, onnx_lines, torch_lines
from tests.frameworks.page import lines

ANSWERS = {
    "torch": torch_lines.answer,
    "ONNX": onnx_lines.answer,
    "Keras": keras_lines.answer,
    "Darknet": darknet_lines.answer,
}
POSITIVE = {"log", "sqrt", "div", "constant"}  # first ops
MOMENTUM = {"torch": 0.1, "ONNX": 0.9, "Keras": 0.99, "Darknet": 0.99}  # the defaults
LINES = [(title, line) for title in ANSWERS for line in lines(title)]
CASES = [pytest.param(title, line, id=f"{title}: {line.foreign}") for title, line in LINES]


def inputs_of(line):
    """Random inputs: positive ones where negative ones give NaN, small ones where an eps matters."""
    torch.manual_seed(0)
    drawn = [torch.randn(2, *shape) * (0.01 if "eps=" in line.foreign else 1.5) for shape in line.shapes]
    return [each.abs() + 0.1 for each in drawn] if line.ops[0] in POSITIVE else drawn


def laid_out(weight, shape, note):
    """A weight in the given shape: transposed, or without axes of one element. The note must speak of it."""
    if weight.shape == shape:
        return weight
    assert "weight" in note
    if weight.ndim == 2 and weight.shape == shape[::-1]:
        return weight.T
    assert [each for each in weight.shape if each > 1] == [each for each in shape if each > 1]
    return weight.reshape(shape)


@pytest.mark.parametrize(("title", "line"), CASES)
def test_the_construct_and_the_nodes_compute_the_same(title, line, tmp_path):
    inputs = inputs_of(line)
    expected, weights = ANSWERS[title](line.foreign, inputs)
    spec = tmp_path / "spec.yaml"
    spec.write_text(line.spec(len(expected)), encoding="utf-8")
    module = compile(spec).eval()
    state = {key: value for key, value in module.state_dict().items() if value.is_floating_point()}
    if {*weights} == {*state}:
        weights = {key: weights[key] for key in state}
    shapes = [value.shape for value in state.values()]
    fitting = [laid_out(*pair, line.note) for pair in zip(weights.values(), shapes, strict=True)]
    module.load_state_dict(dict(zip(state, fitting, strict=True)), strict=False)
    with torch.no_grad():
        found = module(*[each.flatten(1) for each in inputs])
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


NORMS = [(title, line) for title, line in LINES if "batch_norm" in line.ops]


@pytest.mark.parametrize(("title", "line"), NORMS)
def test_a_batch_norm_has_the_momentum_of_the_construct(title, line):
    """torch and cnnc weight the new batch, the others the old statistics."""
    (found,) = re.findall(r"momentum: ([\d.]+)", " ".join(line.nodes)) or [0.1]
    (given,) = re.findall(r"momentum=([\d.]+)", line.foreign) or [MOMENTUM[title]]
    assert float(found) == pytest.approx(float(given) if title == "torch" else 1 - float(given))


@pytest.mark.parametrize("line", [line for _, line in LINES if {"dropout", "drop_path"} & {*line.ops}])
def test_a_dropout_has_the_rate_of_the_construct(line):
    (found,) = re.findall(r"rate: ([\d.]+)", " ".join(line.nodes)) or ["0.5"]
    (given,) = re.findall(r"\d*\.\d+", line.foreign) or ["0.5"]
    assert float(found) == float(given)
