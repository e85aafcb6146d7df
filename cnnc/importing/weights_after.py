"""Constants that are added to a layer, or multiply it, after it: they become the layer's bias, or a norm's weights."""

from dataclasses import replace
from typing import Any

import numpy as np

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.patterns import rows_of_map
from cnnc.importing.values import ConstantArray, GraphTensor
from cnnc.importing.views import along_last
from cnnc.ops import registry

LAYERS = ("conv", "conv_transpose", "linear")


def with_tensor(net: FlatNetwork, op: str, x: GraphTensor, known: ConstantArray) -> GraphTensor | None:
    """Return a layer whose weights take a product with, or the sum with, a tensor; None if there is none."""
    if x.steps:
        return _with_bias(net, x, known.array) if _is_bias(op, x, known) else None
    vector = _per_channel(x, known)
    if vector is None or op not in ("mul", "add"):
        return None
    made = x.made
    if made.op in ("batch_norm", "group_norm", "layer_norm", "instance_norm"):
        return _into_norm(net, op, x, vector, known)
    if op == "add" and made.op == "attention":
        return _with_bias(net, x, vector)
    is_computed = not (net.traced or made.is_shared) and (not known.whole or known.name.startswith("onnx::"))
    if op == "add" and made.op in LAYERS and (is_computed or not made.attributes.get("bias", True)):
        return _with_bias(net, x, vector)
    return _times(net, x, vector) if op == "mul" and is_computed and made.op in ("conv", "linear") else None


def _is_bias(op: str, x: GraphTensor, known: ConstantArray) -> bool:
    """Whether a tensor is the bias of a layer that is seen through steps which keep its features together."""
    bare = x.made.op == "attention" or (x.made.op in LAYERS and not x.made.attributes.get("bias", True))
    together = rows_of_map(x) if len(x.base) == 4 else along_last(x)
    return op == "add" and bare and known.array.shape == (x.sizes[-1],) and together


def _per_channel(x: GraphTensor, known: ConstantArray) -> Any:
    """Return a tensor as a vector, if it has one number for each channel of a map, or feature of a vector or tokens."""
    shape, sizes = known.array.shape, x.sizes
    shape = (1,) * (len(sizes) - len(shape)) + shape
    axis = 1 if len(sizes) == 4 else len(sizes) - 1
    if len(shape) != len(sizes) or any(size != 1 for place, size in enumerate(shape) if place != axis):
        return None
    return known.array.reshape(-1) if shape[axis] == sizes[axis] and known.array.size > 1 else None


def _into_norm(net: FlatNetwork, op: str, x: GraphTensor, vector: Any, known: ConstantArray) -> GraphTensor | None:
    """Return the norm with weights times, or bias plus, the vector."""
    made, attributes = x.made, dict(x.made.attributes)
    role = "weight" if op == "mul" else "bias"
    if made.op == "layer_norm" and attributes.get("over") not in (None, "channels", "features"):
        return None
    if net.traced and known.whole and any(name.rpartition(".")[2] == role for name in made.names):
        return None  # two tensors of a module, which are trained one by one
    default = registry.get(made.op).model_fields["affine"].default
    has = attributes.get("affine", default)
    weight = made.weights.get("weight", np.ones_like(vector)) if has else np.ones_like(vector)
    bias = made.weights.get("bias", np.zeros_like(vector)) if has else np.zeros_like(vector)
    weight, bias = (weight * vector, bias * vector) if op == "mul" else (weight, bias + vector)
    attributes.pop("affine", None)
    attributes.pop("bias", None)
    if not default:
        attributes["affine"] = True
    kept = {name: ConstantArray(each, "") for name, each in made.weights.items()}
    name = next(iter(made.names), known.name)
    weights = {
        **kept,
        "weight": ConstantArray(weight.astype(np.float32), name),
        "bias": ConstantArray(bias.astype(np.float32), name),
    }
    plain = net.add(made.op, made.inputs, attributes, weights=weights)
    plain.made.names = made.names or ((known.name,) if known.name else ())
    return GraphTensor(plain.made, plain.port, x.steps)


def _times(net: FlatNetwork, x: GraphTensor, vector: Any) -> GraphTensor:
    """Return the conv or linear layer with weights and a bias times the vector."""
    made = x.made
    weights = {
        name: ConstantArray((each * vector.reshape(-1, *(1,) * (each.ndim - 1))).astype(np.float32), "")
        for name, each in made.weights.items()
    }
    plain = net.add(made.op, made.inputs, made.attributes, weights=weights)
    plain.made.names = made.names
    return replace(x, made=plain.made)


def _with_bias(net: FlatNetwork, x: GraphTensor, vector: Any) -> GraphTensor:
    """Return the conv, linear layer or attention with a bias, or with a larger one."""
    made = x.made
    attributes = {name: each for name, each in made.attributes.items() if name != "bias"}
    weights = {name: ConstantArray(each, "") for name, each in made.weights.items()}
    if made.op == "attention":
        old = made.weights.get("out_proj.bias", np.zeros_like(vector))
        weights.setdefault("in_proj_bias", ConstantArray(np.zeros(3 * vector.size, np.float32)))
        weights["out_proj.bias"] = ConstantArray((old + vector).astype(np.float32))
    else:
        old = made.weights.get("bias", np.zeros_like(vector))
        weights["bias"] = ConstantArray((old + vector).astype(np.float32), "")
    plain = net.add(made.op, made.inputs, attributes, weights=weights)
    plain.made.names = made.names
    return replace(x, made=plain.made)
