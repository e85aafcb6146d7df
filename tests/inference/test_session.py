"""Models with several inputs and outputs, and batches, in this process and in a child."""

import numpy as np
import pytest
from onnx import helper

from cnnc.files.onnx_header import read_model
from cnnc.inference.child import Child
from cnnc.inference.predict import answer, infer, load_model, read_picture, run_batch
from cnnc.inference.session import Session
from tests.onnx_files import contract, linear, network_of


@pytest.fixture(params=[Session, Child])
def runner(request, save):
    """The sum of a picture's pixels times two numbers, and the numbers."""
    flatten = helper.make_node("Flatten", ["image"], ["f"])
    total = helper.make_node("ReduceSum", ["f", "axis"], ["sum"], keepdims=1)
    nodes = [
        flatten,
        total,
        helper.make_node("Mul", ["sum", "extra"], ["sums"]),
        helper.make_node("Neg", ["extra"], ["negated"]),
    ]
    model = network_of(
        *nodes,
        inputs={"image": ("N", 1, "H", "W"), "extra": ("N", 2)},
        outputs={"sums": ("N", 2), "negated": ("N", 2)},
        weights={"axis": np.array([1])},
    )
    path = str(save(model))
    found = Session(read_model(path), "cpu") if request.param is Session else Child(path, "cpu")
    yield found
    found.close()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("targets", [["sums"], ["negated", "sums"]])
def test_a_run_takes_all_inputs_and_returns_the_outputs_that_it_is_asked_for(runner, batch, targets):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 9, (batch, 1, 4, 5)).astype(np.float32)
    extra = rng.integers(0, 9, (batch, 2)).astype(np.float32)
    expected = {"sums": image.sum((1, 2, 3))[:, None] * extra, "negated": -extra}
    found, milliseconds = runner.run({"image": image, "extra": extra}, targets)
    assert list(found) == targets
    assert milliseconds > 0
    for name in targets:
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("about", [None, contract()])
def test_the_steps_of_a_picture_in_a_batch_give_what_infer_gives(save, picture, about):
    paths = [picture(value, name=f"{value}.png") for value in (0, 90, 255)]
    with load_model(save(linear(), about), "cpu") as model:
        pictures = [read_picture(model, path) for path in paths]
        rows, milliseconds = run_batch(model, pictures)
        batched = [answer(model, *each, milliseconds, 3) for each in zip(pictures, rows, strict=True)]
        alone = [infer(model, path, 3) for path in paths]
    assert [(each.image, each.predictions) for each in batched] == [(each.image, each.predictions) for each in alone]
    assert len({each.predictions for each in batched}) == 3
