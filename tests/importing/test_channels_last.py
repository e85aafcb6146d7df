"""Files whose maps have their channels last, as TensorFlow's and Keras's exporters write them.

They become specs without `permute`, because nodes move before the transposes, which cancel.
"""

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession

from cnnc.compiler import load
from cnnc.diagnostics import CnncError
from cnnc.importing.importer import read
from cnnc.importing.proof import compiled
from tests.command import run_command
from tests.importing.test_refusals import node, saved
from tests.onnx_files import network_of

RANDOM = np.random.default_rng(0)


class File:
    """A file in the making: `conv` and `pool` transpose to channels first and back, as exporters do."""

    def __init__(self, channels=3):
        self.nodes, self.weights, self.count, self.channels = [], {}, 0, channels

    def add(self, op, *inputs, **attributes):
        self.count += 1
        given = []
        for at, each in enumerate(inputs):
            if not isinstance(each, str):
                self.weights[f"w{self.count}_{at}"] = np.asarray(each)
            given.append(each if isinstance(each, str) else f"w{self.count}_{at}")
        self.nodes.append(node(op, given, [f"v{self.count}"], **attributes))
        return f"v{self.count}"

    def first(self, op, x, *rest, **attributes):
        """Add a node whose maps have their channels first."""
        inside = self.add(op, self.add("Transpose", x, perm=[0, 3, 1, 2]), *rest, **attributes)
        return self.add("Transpose", inside, perm=[0, 2, 3, 1])

    def conv(self, x, channels, out):
        made = self.first("Conv", x, numbers(out, channels, 3, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return self.add("Add", made, numbers(out))

    def saved(self, path, output, shape, image=("N", 8, 6, 3)):
        self.add("Identity", output)
        self.nodes[-1].output[0] = "y"
        model = network_of(*self.nodes, inputs={"image": image}, outputs={"y": shape}, weights=self.weights)
        return saved(model, path)


def numbers(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def require_same(imported, path):
    """The spec computes what the file does; without a process of its own, which `prove` starts."""
    x = numbers(2, 8, 6, 3)
    [theirs] = InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"image": x})
    ours = compiled(load(imported.spec), imported.weights)
    given = np.moveaxis(x, -1, 1) if "image" in imported.channels_last else x
    with torch.inference_mode():
        np.testing.assert_allclose(ours(torch.tensor(given)), theirs, rtol=1e-4, atol=1e-4)


def ops(imported):
    return [each.op.name for each in load(imported.spec).nodes]


def pooled(file, x):
    return file.add("ReduceMean", x, np.array([1, 2]), keepdims=0)


def excited(file, x):
    gate = file.add("Sigmoid", file.add("MatMul", pooled(file, x), numbers(4, 4)))
    return file.add("Mul", x, file.add("Reshape", gate, np.array([-1, 1, 1, 4])))


def normed(file, x):
    """A batch norm as its numbers, which are computed from its weights."""
    mean, factor, shift = (file.add("Neg", numbers(1, 1, 1, 4)) for _ in range(3))
    return file.add("Add", file.add("Mul", file.add("Sub", x, mean), factor), shift)


def gelu(file, x):
    curve = file.add("Add", file.add("Erf", file.add("Div", x, np.float32(2**0.5))), np.float32(1))
    return file.add("Mul", file.add("Mul", x, curve), np.float32(0.5))


def split(file, x):
    first, second = file.add("Split", x, axis=-1, num_outputs=2), f"{file.count}_second"
    file.nodes[-1].output.append(second)
    return file.add("Concat", second, first, axis=3)


def attended(file, x):
    """Attention over positions, as in CBAM: from the mean and the largest number over the channels."""
    mean, largest = (file.add(op, x, np.array([3]), keepdims=1) for op in ("ReduceMean", "ReduceMax"))
    gate = file.first("Conv", file.add("Concat", mean, largest, axis=3), numbers(1, 2, 1, 1), kernel_shape=[1, 1])
    return file.add("Mul", x, file.add("Sigmoid", gate))


def layer_normed(file, x):
    """A norm over the channels, in parts."""
    centred = file.add("Sub", x, file.add("ReduceMean", x, np.array([-1]), keepdims=1))
    variance = file.add("ReduceMean", file.add("Mul", centred, centred), np.array([-1]), keepdims=1)
    return file.add("Div", centred, file.add("Sqrt", file.add("Add", variance, np.float32(1e-3))))


def dense(file, x):
    """A Dense layer on a map, as Keras's tensordot."""
    rows = file.add("MatMul", file.add("Reshape", x, np.array([-1, 4])), numbers(4, 4))
    return file.add("Reshape", file.add("Add", rows, numbers(4)), np.array([-1, 8, 6, 4]))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (lambda file, x: file.add("Relu", x), ["relu"]),
        (attended, ["mean", "amax", "concat", "conv", "sigmoid", "mul"]),
        (layer_normed, ["layer_norm"]),
        (dense, ["conv"]),
        (lambda file, x: file.add("Add", x, file.conv(file.add("Relu", x), 4, 4)), ["relu", "conv", "add"]),
        (lambda file, x: file.add("Concat", x, file.conv(x, 4, 2), x, axis=-1), ["conv", "concat"]),
        (lambda file, x: file.first("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), ["max_pool"]),
        (excited, ["global_avg_pool", "flatten", "linear", "sigmoid", "reshape", "mul"]),
        (normed, []),
        (gelu, ["gelu"]),
        (split, ["split", "concat"]),
        (lambda file, x: file.add("PRelu", x, numbers(1, 1, 4)), ["prelu"]),
        (lambda file, x: file.add("Softmax", x, axis=-1), ["softmax"]),
        (lambda file, x: file.add("Mul", x, file.add("ReduceMax", x, np.array([3]), keepdims=1)), ["amax", "mul"]),
        (lambda file, x: file.add("Pad", x, np.array([0, 1, 2, 0, 0, 1, 0, 0]), np.float32(2)), ["pad"]),
    ],
)
def test_nodes_move_before_the_transposes(more, expected, tmp_path):
    file = File()
    x = more(file, file.conv("image", 3, 4))
    channels = 8 + 2 if "concat" in expected and {"split", "sigmoid"}.isdisjoint(expected) else 4
    path = file.saved(tmp_path / "net.onnx", pooled(file, file.conv(x, channels, 5)), ("N", 5))
    imported = read(path)
    assert ops(imported) == ["conv", *expected, "conv", "global_avg_pool", "flatten"]
    assert imported.spec["input"] == {"image": [3, 8, 6]}
    require_same(imported, path)


def test_the_weight_after_a_flattened_map_is_put_in_order(tmp_path):
    file = File()
    flat = file.add("Reshape", file.add("Relu", file.conv("image", 3, 4)), np.array([-1, 8 * 6 * 4]))
    path = file.saved(tmp_path / "net.onnx", file.add("MatMul", flat, numbers(192, 5)), ("N", 5))
    imported = read(path)
    assert ops(imported) == ["conv", "relu", "flatten", "linear"]
    require_same(imported, path)


def test_a_product_with_a_value_that_others_take_stays(tmp_path):
    file = File()
    x = file.conv("image", 3, 4)
    path = file.saved(tmp_path / "net.onnx", file.add("Add", normed(file, x), x), ("N", 8, 6, 4))
    imported = read(path)
    assert ops(imported).count("conv") == 1
    assert ops(imported)[-1] == "permute"  # the output has its channels last
    require_same(imported, path)


def test_an_input_that_something_else_takes_stays_as_it_is(tmp_path):
    file = File()
    x = file.add("Add", file.conv("image", 3, 3), file.add("Relu", "image"))
    path = file.saved(tmp_path / "net.onnx", x, ("N", 8, 6, 3))
    imported = read(path)
    assert imported.spec["input"] == {"image": [8, 6, 3]}
    require_same(imported, path)


def test_the_height_and_width_may_be_open_also_behind_a_normalisation(tmp_path):
    file = File()
    scaled = file.add("Mul", file.add("Sub", "image", np.float32(127.5)), np.float32(1 / 127.5))
    padded = file.add("Pad", scaled, np.array([0, 1, 1, 0, 0, 0, 0, 0]))
    image = ("N", None, None, 3)
    path = file.saved(tmp_path / "net.onnx", pooled(file, file.conv(padded, 3, 4)), ("N", 4), image=image)
    imported = read(path)
    assert imported.spec["input"] == {"image": [3, None, None]}
    assert ops(imported) == ["affine", "conv", "global_avg_pool", "flatten"]
    require_same(imported, path)


def test_the_help_has_the_axes_in_the_order_of_the_file(tmp_path):
    file = File()
    path = file.saved(tmp_path / "net.onnx", pooled(file, file.conv("image", 3, 4)), ("N", 4), image=("N", 8, 6, None))
    with pytest.raises(CnncError) as caught:
        read(path)
    assert caught.value.diagnostics[0].help == "set them with --input-size, as in `--input-size 224,224,3`"


def test_the_command_says_which_input_has_its_channels_first(tmp_path):
    file = File()
    path = file.saved(
        tmp_path / "net.onnx", pooled(file, file.conv("image", 3, 4)), ("N", 4), image=("N", None, None, 3)
    )
    done = run_command("import", path, "-o", tmp_path / "net.yaml", "--mean", "0.5,0.5,0.5", "--input-size", "8,6,3")
    assert done.exit_code == 0, done.stderr
    assert "`image` is channels first in the spec, 3×8×6, and channels last in the file" in done.stderr
    assert load(tmp_path / "net.yaml").inputs[0].picture.mean == (0.5, 0.5, 0.5)
