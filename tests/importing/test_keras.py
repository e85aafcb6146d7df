"""A Keras 3 model with the torch backend becomes a spec through its ONNX export; skipped if Keras is not installed."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from cnnc.compiler import load
from cnnc.importing.importer import read, with_blocks
from cnnc.importing.proof import prove

# in a process of its own, because Keras chooses its backend when it is imported
EXPORT = """
import sys, keras, torch
from keras import layers
first = sys.argv[2] == "channels_first"
keras.config.set_image_data_format(sys.argv[2])
size = (3, 16, 16) if first else (16, 16, 3)
given = keras.Input(size)
x = layers.Conv2D(8, 3, padding="same", use_bias=False)(given)
x = layers.ReLU()(layers.BatchNormalization(axis=1 if first else -1)(x))
x = layers.ReLU()(layers.Add()([x, layers.Conv2D(8, 3, padding="same")(x)]))
x = layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x)))
model = keras.Model(given, x)
model(torch.zeros(1, *size))
model.export(sys.argv[1], format="onnx", verbose=False)
"""


@pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")
@pytest.mark.parametrize("order", ["channels_first", "channels_last"])
def test_a_keras_model_comes_back_through_its_onnx_export(order, tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    subprocess.run([sys.executable, "-c", EXPORT, path, order], check=True, capture_output=True)
    imported = with_blocks(read(path))
    assert prove(imported, path).largest < 1e-4
    graph = load(imported.spec, set={"classes": 3})
    assert graph.type_of(graph.outputs[0].ref).shape == (3,)
    assert sum(node.op.name == "conv" for node in graph.nodes) == 2
    assert not any(node.op.name == "permute" for node in graph.nodes)
    assert graph.inputs[0].type.shape == (3, 16, 16)
