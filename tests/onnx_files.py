"""Small ONNX files, built node by node: what the tests of `infer` load."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cnnc.artifacts.contract import Contract, InputContract

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)


def contract(shape=(1, 2, 2), mode="grey", labels=("boot", "bag", "coat"), scores="logits", **rest):
    return Contract(
        input=InputContract(name="image", shape=shape, mode=mode, **rest), outputs=("y",), labels=labels, scores=scores
    )


def network_of(*nodes, inputs, outputs, weights=None, kinds=(TensorProto.FLOAT, TensorProto.FLOAT)):
    """A model with any inputs and outputs: their shapes by name, and the kinds of both."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, kinds[0], shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kinds[1], shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def model_of(*nodes, image=("N", 1, 2, 2), output=("N", 3), **rest):
    return network_of(*nodes, inputs={"image": image}, outputs={"y": output}, **rest)


def linear(weights=WEIGHTS, **rest):
    """Three classes of a 2 × 2 grey picture."""
    flatten, gemm = helper.make_node("Flatten", ["image"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)
    return model_of(flatten, gemm, weights={"w": weights}, **rest)


def means(channels=3, **rest):
    """One class a channel, of a picture of any size: the channel's mean."""
    pool, flatten = helper.make_node("GlobalAveragePool", ["image"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])
    return model_of(pool, flatten, **{"image": ("N", channels, "H", "W"), "output": ("N", channels), **rest})


RELU = helper.make_node("Relu", ["image"], ["y"])


def dies_of_white():
    """For white -2^31 / -1, which the processor answers with a signal; black is fine."""
    nodes = [
        helper.make_node("ReduceMax", ["image", "axes"], ["max"], keepdims=0),
        helper.make_node("Cast", ["max"], ["white"], to=TensorProto.INT32),
        helper.make_node("Sub", ["one", "white"], ["less"]),
        helper.make_node("Sub", ["less", "white"], ["divisor"]),
        helper.make_node("Div", ["lows", "divisor"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["y"], to=TensorProto.FLOAT),
    ]
    lows, one = np.array([[1, 2, -(2**31)]], np.int32), np.array([1], np.int32)
    return model_of(*nodes, weights={"axes": np.array([1, 2, 3]), "lows": lows, "one": one})
