"""ONNX's ops that move elements: reshapes, transposes, slices, joins and resizes.

Reshapes and transposes become steps of a value (`cnnc.importing.views`), and the others ops. Each function takes the
network and an ONNX node, and returns the outputs; raises Unsupported.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from cnnc.importing.arithmetic import parameter
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import Content, Known, Size, Sizes, Step, Symbol, Unsupported, Value, elements
from cnnc.importing.views import settle
from cnnc.importing.windows import pair


def axis_of(value: Value, axis: int) -> int:
    """Return an axis of ONNX, which counts the batch, as one of a spec; raises Unsupported for the batch."""
    rank = len(value.sizes)
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} is out of range for a value of {rank} axes")
    if axis % rank == 0:
        raise Unsupported("it works along the batch")
    return axis % rank - 1


def reshaped(x: Value, sizes: Sizes) -> Value:
    """Return a value in another shape."""
    return x.through(Step(None, sizes))


def reshape(net: FlatNetwork, node: OnnxNode) -> Value:
    """Reshape to constant sizes, to sizes of other values, or to both."""
    x = node.value()
    wanted = node.attr("shape") or node.numbers(1, "the new shape")
    if not node.attr("allowzero", 0):
        wanted = [x.sizes[k] if _is(size, 0) and k < len(x.sizes) else size for k, size in enumerate(wanted)]
    return reshaped(x, _completed(x, wanted))


def _is(size: Any, number: int) -> bool:
    return not isinstance(size, Symbol) and size == number


def _completed(x: Value, wanted: list[Any]) -> Sizes:
    """Return the sizes with the number for -1."""
    open = [k for k, size in enumerate(wanted) if _is(size, -1)]
    fixed = [_whole(size) for k, size in enumerate(wanted) if k not in open]
    if len(open) > 1 or any(_is(size, 0) for size in fixed):
        raise Unsupported(f"it reshapes {_shown(x.sizes)} to {_shown(wanted)}")
    if not open:
        return tuple(fixed)
    rest: Any = elements(x.sizes) / elements(tuple(fixed)) if _divisible(x.sizes, fixed) else None
    if rest is None:
        raise Unsupported(f"it reshapes {_shown(x.sizes)} to {_shown(wanted)}")
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


def _shown(sizes: Any) -> str:
    return "[" + ", ".join("?" if isinstance(each, Symbol) else str(each) for each in sizes) + "]"


def flatten(net: FlatNetwork, node: OnnxNode) -> Value:
    """Flatten to two axes."""
    x, axis = node.value(), node.attr("axis", 1)
    axis = axis % (len(x.sizes) + 1) if axis < 0 else axis
    return reshaped(x, (elements(x.sizes[:axis]), elements(x.sizes[axis:])))


def transpose(net: FlatNetwork, node: OnnxNode) -> Value:
    """Transpose."""
    x = node.value()
    perm = tuple(node.attr("perm") or reversed(range(len(x.sizes))))
    if sorted(perm) != [*range(len(x.sizes))]:
        raise Unsupported(f"its perm is {[*perm]} for a value of {len(x.sizes)} axes")
    return x.through(Step(perm, tuple(x.sizes[axis] for axis in perm)))


def squeeze(net: FlatNetwork, node: OnnxNode) -> Value:
    """Squeeze axes of size 1."""
    x, axes = node.value(), node.listed("axes", 1, "the axes")
    rank = len(x.sizes)
    gone = {axis % rank for axis in axes} if axes is not None else {k for k in range(1, rank) if x.sizes[k] == 1}
    if any(x.sizes[axis] != 1 for axis in gone):
        raise Unsupported(f"it squeezes axes {sorted(gone)} of {_shown(x.sizes)}, which are not 1")
    return reshaped(x, tuple(size for axis, size in enumerate(x.sizes) if axis not in gone))


def unsqueeze(net: FlatNetwork, node: OnnxNode) -> Value:
    """Add axes of size 1."""
    x, axes = node.value(), node.listed("axes", 1, "the axes") or []
    rank = len(x.sizes) + len(axes)
    new, rest = {axis % rank for axis in axes}, iter(x.sizes)
    if len(new) != len(axes):
        raise Unsupported(f"its axes are {axes}")
    return reshaped(x, tuple(1 if axis in new else next(rest) for axis in range(rank)))


def expand(net: FlatNetwork, node: OnnxNode) -> Content:
    """Expand a constant for each sample of the batch; of a value, only what arithmetic would broadcast anyway."""
    given, sizes = node.inputs[0], node.numbers(1, "the new shape")
    if isinstance(given, Value):
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
    return parameter(net, Known(np.broadcast_to(padded[0], wide).copy(), "" if single else known.name, known.whole))


def concat(net: FlatNetwork, node: OnnxNode) -> Value:
    """Concat; a constant part becomes a parameter."""
    first = next((each for each in node.inputs if isinstance(each, Value)), None)
    if first is None:
        raise Unsupported("its inputs are constant")
    axis = axis_of(first, node.attr("axis", 1))
    values = [_part(net, each, first) for each in node.inputs]
    if len(values) == 1:
        return values[0]
    return net.add("concat", values, {"axis": axis} if axis else {})


def _part(net: FlatNetwork, given: Any, like: Value) -> Value:
    if isinstance(given, Value):
        return settle(net, given)
    array = given.array
    if array.ndim != len(like.sizes) or array.shape[0] != 1 or array.dtype == object:
        raise Unsupported(f"it joins a constant of shape {[*array.shape]}, which is not the same for each sample")
    made = parameter(net, Known(array[0], given.name, given.whole))
    if made.op == "parameter":
        made.made.attributes["batch"] = True
        made.made.weights[""] = array
    return made


def split(net: FlatNetwork, node: OnnxNode) -> list[Value]:
    """Split into parts along an axis."""
    x = settle(net, node.value())
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
    return [Value(made.made, port) for port in range(count)]


def slice_(net: FlatNetwork, node: OnnxNode) -> Value:
    """Slice along several axes, with positive steps."""
    x = node.value()
    starts, stops = node.listed("starts", 1, "the starts"), node.listed("ends", 2, "the ends")
    if starts is None or stops is None:
        raise Unsupported("its bounds are missing")
    axes = node.listed("axes", 3, "the axes") or [*range(len(starts))]
    steps = node.ints(4, "the steps") if node.has(4) else [1] * len(starts)
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        x = _sliced(net, x, start, stop, axis % len(x.sizes), step)
    return x


def _sliced(net: FlatNetwork, x: Value, start: int, stop: int, axis: int, step: int) -> Value:
    size = x.sizes[axis]
    whole = 2**31 - 1
    if step < 1:
        raise Unsupported(f"its step is {step}")
    last = None if stop >= (whole if isinstance(size, Symbol) else min(size, whole)) else stop
    first = start if isinstance(size, Symbol) or start >= -size else 0
    if step == 1 and last is None and (first == 0 or (not isinstance(size, Symbol) and first == -size)):
        return x
    if axis == 0:
        raise Unsupported("it slices the batch")
    given = {"axis": axis - 1, "start": first, "stop": last, "step": step}
    defaults = {"axis": 0, "start": 0, "stop": None, "step": 1}
    return net.add("slice", [x], {name: each for name, each in given.items() if each != defaults[name]})


def gather(net: FlatNetwork, node: OnnxNode) -> Value:
    """Gather by constant indices at equal distances, which is a slice; one index drops the axis."""
    x, known = node.value(), node.known(1, "the indices")
    axis = node.attr("axis", 0) % len(x.sizes)
    index = [int(each) for each in known.array.ravel()]
    size = x.sizes[axis]
    if axis == 0 or known.array.ndim > 1:
        raise Unsupported("it gathers along the batch" if axis == 0 else "its indices are a matrix")
    if isinstance(size, Symbol):
        raise Unsupported("it gathers along an open height or width")
    index = [each % size if -size <= each < size else each for each in index]
    steps = {b - a for a, b in pairwise(index)} or {1}
    if not index or min(index) < 0 or max(index) >= size:
        raise Unsupported(f"its indices {index[:8]} are out of range for {size}")
    if len(steps) != 1 or min(steps) < 1:
        return _nearest(net, x, index, axis)
    taken = x
    if index != [*range(size)]:
        taken = _sliced(net, x, index[0], index[-1] + 1, axis, steps.pop())
    if known.array.ndim:
        return taken
    return reshaped(taken, tuple(each for k, each in enumerate(taken.sizes) if k != axis))


def _nearest(net: FlatNetwork, x: Value, index: list[int], axis: int) -> Value:
    """Return the resize of one axis to the nearest rows."""
    before, after = x.sizes[axis], len(index)
    space = [*x.sizes[2:]]
    places = np.floor(np.arange(after, dtype=np.float32) * (np.float32(before) / np.float32(after)))
    if len(x.sizes) != 4 or axis < 2 or [*places] != index or any(isinstance(each, Symbol) for each in space):
        raise Unsupported("its indices are not at equal distances")
    space[axis - 2] = after
    if x.op == "upsample" and "size" in x.made.attributes:
        x = x.made.inputs[0]
    return net.add("upsample", [x], {"size": space})


def depth_to_space(net: FlatNetwork, node: OnnxNode) -> Value:
    """DepthToSpace: `pixel_shuffle` if the mode is CRD; otherwise with the channels reordered first."""
    x, factor = node.value(), node.attr("blocksize")
    if node.attr("mode", "DCR") != "CRD":
        channels = x.sizes[1]
        if isinstance(channels, Symbol) or channels % factor**2:
            raise Unsupported(f"{channels} channels are no multiple of {factor}²")
        x = net.add("channel_shuffle", [x], {"groups": factor**2})
    return net.add("pixel_shuffle", [x], {"factor": factor})


def space_to_depth(net: FlatNetwork, node: OnnxNode) -> Value:
    """SpaceToDepth: `pixel_unshuffle` with its channels reordered."""
    x, factor = node.value(), node.attr("blocksize")
    y = net.add("pixel_unshuffle", [x], {"factor": factor})
    channels = x.sizes[1]
    return net.add("channel_shuffle", [y], {"groups": channels}) if channels != 1 else y


MODES = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic", "bilinear": "bilinear"}


def resize(net: FlatNetwork, node: OnnxNode) -> Value:
    """Resize (and Upsample of opset 9) of a map's height and width."""
    x = settle(net, node.value())
    scales, sizes = _scales(node), None
    if not scales and node.op == "Resize" and node.has(3):
        sizes = node.numbers(3, "the sizes")
    axes = node.attr("axes")
    if len(x.sizes) != 4:
        raise Unsupported(f"it resizes a value of {len(x.sizes)} axes")
    if axes is not None and [axis % 4 for axis in axes] != [2, 3]:
        raise Unsupported(f"it resizes the axes {[*axes]}")
    given = {**_mode(node, x), **_wanted(x, scales, sizes, whole=axes is None)}
    like = given.pop("like", None)
    return net.add("upsample", [x], given, like=like)


def _scales(node: OnnxNode) -> list[float]:
    if "scales" in node.attributes:
        return [*node.attributes["scales"]]
    place = 1 if node.op == "Upsample" or node.opset < 11 else 2
    return node.numbers(place, "the scales") if node.has(place) else []


def _mode(node: OnnxNode, x: Value) -> dict[str, Any]:
    mode = MODES.get(node.attr("mode", "nearest"))
    first = "asymmetric" if node.op == "Upsample" or node.opset < 11 else "half_pixel"
    where = node.attr("coordinate_transformation_mode", first)
    if mode is None or node.attr("antialias", 0) or node.attr("exclude_outside", 0):
        raise Unsupported("its mode, antialias or exclude_outside has no counterpart")
    if node.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("it keeps the aspect ratio")
    if mode == "nearest":
        # by a whole factor, all of these take the same rows
        return {}
    if mode == "bicubic" and abs(node.attr("cubic_coeff_a", -0.75) + 0.75) > 1e-6:
        raise Unsupported(f"cubic_coeff_a is {node.attr('cubic_coeff_a')}; cnnc's bicubic has -0.75")
    if where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise Unsupported(f"coordinate_transformation_mode {where} has no counterpart with mode {mode}")
    return {"mode": mode, **({"align_corners": True} if where == "align_corners" else {})}


def _wanted(x: Value, scales: list[float], sizes: list[Any] | None, *, whole: bool) -> dict[str, Any]:
    if scales:
        if whole and any(each != 1 for each in scales[:2]):
            raise Unsupported(f"it resizes the batch or the channels: its scales are {scales}")
        factors = scales[-2:]
        if all(each == int(each) and each >= 1 for each in factors):
            return {"factor": pair([int(each) for each in factors])}
        if any(isinstance(each, Symbol) for each in x.sizes[2:]):
            raise Unsupported(f"its scales are {factors}, and the height or width is open")
        return {"size": pair([int(size * factor) for size, factor in zip(x.sizes[2:], factors, strict=True)])}  # type: ignore[operator]
    if sizes is None:
        raise Unsupported("it has neither scales nor sizes")
    return _to_sizes(x, sizes[-2:])


def _to_sizes(x: Value, wanted: list[Any]) -> dict[str, Any]:
    if not any(isinstance(each, Symbol) for each in wanted):
        return {"size": pair([int(each) for each in wanted])}
    factors = [each / own if isinstance(each, Symbol) else None for each, own in zip(wanted, x.sizes[2:], strict=True)]
    if all(isinstance(each, int) for each in factors):
        return {"factor": pair(factors)}
    sides = [each.side if isinstance(each, Symbol) else None for each in wanted]
    if sides[0] is None or sides[1] is None or sides[0].made is not sides[1].made:
        raise Unsupported("its sizes depend on an open height or width")
    return {"like": Value(sides[0].made, sides[0].port)}


def shape(net: FlatNetwork, node: OnnxNode) -> Known:
    """Shape of a value, with symbols for open sizes."""
    sizes = node.value().sizes[node.attr("start", 0) : node.attr("end")]
    if not any(isinstance(each, Symbol) for each in sizes):
        return Known(np.asarray(sizes, np.int64))
    found = np.empty(len(sizes), object)
    found[:] = sizes
    return Known(found)


def size(net: FlatNetwork, node: OnnxNode) -> Known:
    """Number of elements of a value."""
    found = np.empty((), object)
    found[()] = elements(node.value().sizes)
    return Known(found)
