"""Multi-head attention, written as matrix products, a softmax and reshapes: the op `attention`.

The match starts at the projection after the product of scores and values, and goes back to the projections of the
queries, keys and values. Reshapes and transposes between them split heads in the usual order; they are not checked
here, because the import is proved by running it.
"""

from math import isclose, sqrt
from typing import Any, NamedTuple

import numpy as np

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.values import ConstantArray, GraphTensor, NewNode, ShapeStep
from cnnc.importing.views import evaluate


class _Projection(NamedTuple):
    """A projection: the layer, which third of its outputs it is (None: all of them), and a factor."""

    layer: NewNode
    third: int | None
    factor: float


def attended(net: FlatNetwork, x: GraphTensor, out: "dict[str, ConstantArray]") -> GraphTensor | None:
    """Return the attention that a projection with the weights `out` completes; None if it completes none."""
    product, size = x.made, x.sizes[-1]
    if (
        not isinstance(size, int)
        or product.op != "_matmul"
        or product.inputs[0].op != "_softmax"
        or out["weight"].array.shape[0] != size
    ):
        return None
    scores, factor = _scaled(product.inputs[0].made.inputs[0])
    if scores.made.op != "_matmul":
        return None
    found = [source for each in (*scores.made.inputs, product.inputs[1]) if (source := _source(each)) is not None]
    heads = _heads(product, size)
    weights = _weights(found, size) if len(found) == 3 else None
    if weights is None or heads is None:
        return None
    if not isclose(factor * found[0].factor * found[1].factor, sqrt(heads / size), rel_tol=1e-4):
        return None
    return _add(net, x, found, {"heads": heads}, weights, out)


def _scaled(value: GraphTensor) -> tuple[GraphTensor, float]:
    if value.made.op in ("_affine", "affine") and "shift" not in value.made.attributes:
        inner = value.made.inputs[0]
        return GraphTensor(inner.made, inner.port, (*inner.steps, *value.steps)), value.made.attributes["scale"]
    return value, 1.0


def _source(value: GraphTensor) -> _Projection | None:
    """Return the projection that a value is part of."""
    factor, third = 1.0, None
    made, port = value.made, value.port
    while made.op in ("affine", "_affine", "split", "slice", "permute", "reshape", "flatten", "_third"):
        if made.op.endswith("affine"):
            if "shift" in made.attributes:
                return None
            factor *= made.attributes["scale"]
        elif made.op == "split":
            third = port
        elif made.op == "_third":
            third = made.attributes["index"]
        elif made.op == "slice":
            third = _third(made)
        port, made = made.inputs[0].port, made.inputs[0].made
    return _Projection(made, third, factor) if made.op == "linear" else None


def _third(made: NewNode) -> int | None:
    """Return which third of its input a slice takes."""
    axis = made.attributes.get("axis", 0) + 1
    size, start = made.inputs[0].sizes[axis], made.attributes.get("start", 0)
    return start * 3 // size if isinstance(size, int) else None


def _heads(product: NewNode, size: Any) -> int | None:
    """Return the number of heads, from the size of a head: the last axis of the product."""
    part = product.sizes[0][-1]
    return size // part if isinstance(part, int) and isinstance(size, int) and size % part == 0 else None


def _weights(sources: list[_Projection], size: Any) -> dict[str, Any] | None:
    """Return the weights of the projections as those of torch.nn.MultiheadAttention."""
    parts: dict[str, list[Any]] = {"weight": [], "bias": []}
    for place, source in enumerate(sources):
        rows = source.layer.weights["weight"].shape[0]
        if rows == size:
            part = slice(None)
        elif rows == 3 * size and source.third == place:
            part = slice(place * size, (place + 1) * size)
        else:
            return None
        parts["weight"].append(source.layer.weights["weight"][part])
        bias = source.layer.weights.get("bias")
        parts["bias"].append(np.zeros(size, np.float32) if bias is None else bias[part])
    return {name: np.concatenate(each) for name, each in parts.items()}


def _add(
    net: FlatNetwork,
    x: GraphTensor,
    sources: list[_Projection],
    attributes: Any,
    weights: Any,
    out: "dict[str, ConstantArray]",
) -> GraphTensor:
    inputs = [source.layer.inputs[0] for source in sources]
    biased = "bias" in out or any("bias" in each.layer.weights for each in sources)
    given = {
        "in_proj_weight": ConstantArray(weights["weight"]),
        "out_proj.weight": ConstantArray(out["weight"].array, out["weight"].name),
    }
    if biased:
        given["in_proj_bias"] = ConstantArray(weights["bias"])
        given["out_proj.bias"] = out.get("bias", ConstantArray(np.zeros_like(out["weight"].array[:, 0])))
    unique = inputs[:1] if all(each.same(inputs[0]) for each in inputs) else inputs
    unique = unique[:2] if len(unique) == 3 and unique[1].same(unique[2]) else unique
    made = net.add("attention", unique, attributes if biased else {**attributes, "bias": False}, weights=given)
    return GraphTensor(made.made, 0, _order(x, made))


def _order(x: GraphTensor, made: GraphTensor) -> tuple[ShapeStep, ...]:
    """Return the steps from (batch, tokens, features) to the shape of the projection's input."""
    batch, tokens, features = made.sizes
    _, result = evaluate(x)
    head = x.base[-1]
    first = result.reshape(-1, result.shape[-1])[:, 0] // (head if isinstance(head, int) else 1)
    in_order = bool(np.all(np.diff(first) > 0))
    steps: tuple[ShapeStep, ...] = () if in_order else (ShapeStep((1, 0, 2), (tokens, batch, features)),)
    now = steps[-1].sizes if steps else made.sizes
    return steps if now == x.sizes else (*steps, ShapeStep(None, x.sizes))
