"""ONNX's ops that move elements: reshapes, transposes, slices, joins and resizes.

Reshapes and transposes become steps of a value (`cnnc.importing.views`), and the others ops. Each function takes the
network and an ONNX node, and returns the outputs; raises Unsupported.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from cnnc.importing.arithmetic import parameter
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.gathered_rows import adaptive_windows, nearest_like, nearest_rows
from cnnc.importing.grouped_maps import stacked
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import (
    ConstantArray,
    Content,
    GraphTensor,
    ShapeStep,
    Size,
    Sizes,
    Symbol,
    SymbolicRange,
    Unsupported,
    elements,
    place_of,
)
from cnnc.importing.views import settle


def third(net: FlatNetwork, x: GraphTensor, axis: int, index: int) -> GraphTensor | None:
    """Return one of three parts of a projection, as a part of attention; None if it is none of three."""
    if x.sizes[axis] != 3 or not x.steps or x.made.op != "linear":
        return None
    return net.part("_third", [x], tuple(1 if k == axis else size for k, size in enumerate(x.sizes)), index=index)


def axis_of(value: GraphTensor, axis: int) -> int:
    """Return an axis of ONNX, which counts the batch, as one of a spec; raises Unsupported for the batch."""
    place = place_of(axis, len(value.sizes))
    if place == 0:
        raise Unsupported("it works along the batch")
    return place - 1


def reshaped(x: GraphTensor, sizes: Sizes, origin: Any = None) -> GraphTensor:
    """Return a value in another shape."""
    return x.through(ShapeStep(None, sizes, origin))


def reshape(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Reshape to constant sizes, to sizes of other values, or to both."""
    x = node.value()
    wanted = node.attr("shape") or node.numbers(1, "the new shape")
    if not node.attr("allowzero", 0):
        wanted = [x.sizes[k] if _is(size, 0) and k < len(x.sizes) else size for k, size in enumerate(wanted)]
    return reshaped(x, _completed(x, wanted), net.origin)


def _is(size: Any, number: int) -> bool:
    return not isinstance(size, Symbol) and size == number


def _completed(x: GraphTensor, wanted: list[Any]) -> Sizes:
    """Return the sizes with the number for -1."""
    open = [k for k, size in enumerate(wanted) if _is(size, -1)]
    fixed = [_whole(size) for k, size in enumerate(wanted) if k not in open]
    if len(open) > 1 or any(_is(size, 0) for size in fixed):
        raise Unsupported(f"it reshapes {shown(x.sizes)} to {shown(wanted)}")
    if not open:
        return tuple(fixed)
    rest: Any = elements(x.sizes) / elements(tuple(fixed)) if _divisible(x.sizes, fixed) else None
    if rest is None:
        raise Unsupported(f"it reshapes {shown(x.sizes)} to {shown(wanted)}")
    fixed.insert(open[0], _whole(rest))
    return tuple(fixed)


def _divisible(sizes: Sizes, by: list[Size]) -> bool:
    whole, part = elements(sizes), elements(tuple(by))
    if isinstance(whole, Symbol) or isinstance(part, Symbol):
        return True
    return part > 0 and whole % part == 0


def _whole(size: Any) -> Size:
    if isinstance(size, Symbol):
        return size
    if size != int(size):
        raise Unsupported(f"a size of its shape is {size}")
    return int(size)


def shown(sizes: Any) -> str:
    """Return a shape as messages show it; `?` is an open size."""
    return "[" + ", ".join("?" if isinstance(each, Symbol) else str(each) for each in sizes) + "]"


def flatten(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Flatten to two axes."""
    x, axis = node.value(), node.attr("axis", 1)
    axis = axis % (len(x.sizes) + 1) if axis < 0 else axis
    return reshaped(x, (elements(x.sizes[:axis]), elements(x.sizes[axis:])), net.origin)


def transpose(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Transpose."""
    x = node.value()
    perm = tuple(node.attr("perm") or reversed(range(len(x.sizes))))
    if sorted(perm) != [*range(len(x.sizes))]:
        raise Unsupported(f"its perm is {[*perm]} for a value of {len(x.sizes)} axes")
    return x.through(ShapeStep(perm, tuple(x.sizes[axis] for axis in perm), net.origin))


def squeeze(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Squeeze axes of size 1."""
    x, axes = node.value(), node.listed("axes", 1, "the axes")
    rank = len(x.sizes)
    gone = (
        {place_of(axis, rank) for axis in axes} if axes is not None else {k for k in range(1, rank) if x.sizes[k] == 1}
    )
    if any(x.sizes[axis] != 1 for axis in gone):
        raise Unsupported(f"it squeezes axes {sorted(gone)} of {shown(x.sizes)}, which are not 1")
    return reshaped(x, tuple(size for axis, size in enumerate(x.sizes) if axis not in gone), net.origin)


def unsqueeze(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Add axes of size 1."""
    x, axes = node.value(), node.listed("axes", 1, "the axes") or []
    rank = len(x.sizes) + len(axes)
    new, rest = {place_of(axis, rank) for axis in axes}, iter(x.sizes)
    if len(new) != len(axes):
        raise Unsupported(f"its axes are {axes}")
    return reshaped(x, tuple(1 if axis in new else next(rest) for axis in range(rank)), net.origin)


def expand(net: FlatNetwork, node: OnnxNode) -> Content:
    """Expand a constant for each sample of the batch; of a value, only what arithmetic would broadcast anyway."""
    given, sizes = node.inputs[0], node.numbers(1, "the new shape")
    if isinstance(given, GraphTensor):
        return given
    known = node.known(0, "its input")
    shape = known.array.shape
    if not sizes or not (isinstance(sizes[0], Symbol) or sizes[0] == net.batch):
        raise Unsupported("it repeats a constant, but not for each sample of the batch")
    if any(isinstance(each, Symbol) for each in sizes[1:]):
        raise Unsupported("it repeats a constant over an open height or width")
    padded = known.array.reshape((1,) * (len(sizes) - len(shape)) + shape)
    if padded.ndim != len(sizes) or padded.shape[0] != 1:
        raise Unsupported(f"it repeats a constant of shape {[*shape]} along the batch")
    wide = [int(each) if own == 1 else own for own, each in zip(padded.shape[1:], sizes[1:], strict=True)]
    single = known.array.size == 1
    return parameter(
        net, ConstantArray(np.broadcast_to(padded[0], wide).copy(), "" if single else known.name, known.whole)
    )


def concat(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Concat; a constant part becomes a parameter."""
    first = next((each for each in node.inputs if isinstance(each, GraphTensor)), None)
    if first is None:
        raise Unsupported("its inputs are constant")
    axis = axis_of(first, node.attr("axis", 1))
    stack = stacked(net, node)
    if stack is not None:
        return stack
    values = [_part(net, each, first) for each in node.inputs]
    if len(values) == 1:
        return values[0]
    return net.add("concat", values, {"axis": axis} if axis else {})


def _part(net: FlatNetwork, given: Any, like: GraphTensor) -> GraphTensor:
    if isinstance(given, GraphTensor):
        return settle(net, given)
    array = given.array
    if array.ndim != len(like.sizes) or array.shape[0] != 1 or array.dtype == object:
        raise Unsupported(f"it joins a constant of shape {[*array.shape]}, which is not the same for each sample")
    made = parameter(net, ConstantArray(array[0], given.name, given.whole))
    if made.op == "parameter":
        made.made.attributes["batch"] = True
        made.made.weights[""] = array
    return made


def split(net: FlatNetwork, node: OnnxNode) -> list[GraphTensor]:
    """Split into parts along an axis."""
    x, count = node.value(), len(node.proto.output)
    thirds = (
        [third(net, x, place_of(node.attr("axis", 0), len(x.sizes)), k) for k in range(3)] if count == 3 else [None]
    )
    if None not in thirds:
        return [each for each in thirds if each is not None]
    x = settle(net, x)
    axis = axis_of(x, node.attr("axis", 0))
    count, size = len(node.proto.output), x.sizes[axis + 1]
    sizes = node.listed("split", 1, "the sizes of the parts")
    if isinstance(size, Symbol):
        raise Unsupported("it splits an open height or width")
    if sizes is None:
        part = -(-size // count)
        sizes = [min(part, size - part * k) for k in range(count)]
    if len(sizes) != count or min(sizes) < 1:
        raise Unsupported(f"it splits {size} into {count} parts of {sizes}")
    if count == 1:
        return [x]
    equal = len(set(sizes)) == 1
    given = {"parts": count} if equal else {"sizes": sizes}
    made = net.add("split", [x], {**given, **({"axis": axis} if axis else {})})
    return [GraphTensor(made.made, port) for port in range(count)]


def slice_(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Slice along several axes, with positive steps."""
    x = node.value()
    starts, stops = node.listed("starts", 1, "the starts"), node.listed("ends", 2, "the ends")
    if starts is None or stops is None:
        raise Unsupported("its bounds are missing")
    axes = node.listed("axes", 3, "the axes") or [*range(len(starts))]
    steps = node.ints(4, "the steps") if node.has(4) else [1] * len(starts)
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        x = _sliced(net, x, start, stop, place_of(axis, len(x.sizes)), step)
    return x


def _sliced(net: FlatNetwork, x: GraphTensor, start: int, stop: int, axis: int, step: int) -> GraphTensor:
    size = x.sizes[axis]
    whole = 2**31 - 1
    if step < 1:
        raise Unsupported(f"its step is {step}")
    last = None if stop >= (whole if isinstance(size, Symbol) else min(size, whole)) else stop
    first = start if isinstance(size, Symbol) or start >= -size else 0
    if step == 1 and last is None and (first == 0 or (not isinstance(size, Symbol) and first == -size)):
        return x
    if last in (first + 1, None) and (part := third(net, x, axis, first)) is not None:
        return part
    if axis == 0:
        raise Unsupported("it slices the batch")
    given = {"axis": axis - 1, "start": first, "stop": last, "step": step}
    defaults = {"axis": 0, "start": 0, "stop": None, "step": 1}
    return net.add("slice", [x], {name: each for name, each in given.items() if each != defaults[name]})


def gather(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Gather by constant indices at equal distances, which is a slice; one index drops the axis."""
    x, known = node.value(), node.known(1, "the indices")
    axis = place_of(node.attr("axis", 0), len(x.sizes))
    if known.array.size == 1 and isinstance(rows := known.array.ravel()[0], SymbolicRange):
        return nearest_like(net, x, rows, axis)
    index = [int(each) for each in known.array.ravel()]
    size = x.sizes[axis]
    if len(index) == 1 and known.array.ndim == 0 and (part := third(net, x, axis, index[0])) is not None:
        return reshaped(part, tuple(each for k, each in enumerate(part.sizes) if k != axis))
    windows = adaptive_windows(x, known.array, axis)
    if windows is not None:
        return net.part("_windows", [x], (*x.sizes[:axis], *known.array.shape, *x.sizes[axis + 1 :]), axis=axis)
    if axis == 0 or known.array.ndim > 1:
        raise Unsupported("it gathers along the batch" if axis == 0 else "its indices are a matrix")
    if isinstance(size, Symbol):
        raise Unsupported("it gathers along an open height or width")
    index = [each % size if -size <= each < size else each for each in index]
    steps = {b - a for a, b in pairwise(index)} or {1}
    if not index or min(index) < 0 or max(index) >= size:
        raise Unsupported(f"its indices {index[:8]} are out of range for {size}")
    if len(steps) != 1 or min(steps) < 1:
        return nearest_rows(net, x, index, axis)
    taken = x
    if index != [*range(size)]:
        taken = _sliced(net, x, index[0], index[-1] + 1, axis, steps.pop())
    if known.array.ndim:
        return taken
    return reshaped(taken, tuple(each for k, each in enumerate(taken.sizes) if k != axis))


def shape(net: FlatNetwork, node: OnnxNode) -> ConstantArray:
    """Shape of a value, with symbols for open sizes."""
    sizes = node.value().sizes[node.attr("start", 0) : node.attr("end")]
    if not any(isinstance(each, Symbol) for each in sizes):
        return ConstantArray(np.asarray(sizes, np.int64))
    found = np.empty(len(sizes), object)
    found[:] = sizes
    return ConstantArray(found)


def size(net: FlatNetwork, node: OnnxNode) -> ConstantArray:
    """Number of elements of a value."""
    found = np.empty((), object)
    found[()] = elements(node.value().sizes)
    return ConstantArray(found)
