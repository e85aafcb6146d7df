"""Each line of `specs/FROM_OTHER_FRAMEWORKS.md` is right: the construct and the nodes compute the same values."""

import pytest
import torch

from cnnc.compiler import compile
from tests.frameworks import darknet_lines, keras_lines, onnx_lines, torch_lines
from tests.frameworks.page import lines

ANSWERS = {"torch": torch_lines.answer, "ONNX": onnx_lines.answer, "Keras": keras_lines.answer, "Darknet": darknet_lines.answer}
POSITIVE = {"log", "sqrt", "div"}
CASES = [pytest.param(title, line, id=f"{title}: {line.foreign}") for title in ANSWERS for line in lines(title)]


def inputs_of(line):
    torch.manual_seed(0)
    drawn = [torch.randn(2, *shape) * 1.5 for shape in line.shapes]
    return [each.abs() + 0.1 for each in drawn] if POSITIVE & {*line.ops} else drawn


def laid_out(weight, shape):
    """A weight in the given shape: transposed, or without axes of one element."""
    if weight.shape == shape:
        return weight
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
    pairs = zip(state.items(), weights, strict=True)
    module.load_state_dict({key: laid_out(weight, value.shape) for (key, value), weight in pairs}, strict=False)
    with torch.no_grad():
        found = module(*[each.flatten(1) for each in inputs])
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
