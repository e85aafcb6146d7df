"""Turn reshapes and transposes of an ONNX graph into ops of the spec.

A value seen through steps is evaluated on the numbers 0, 1, 2 … in place of its elements. Where each of them ends up
shows which op it is (`flatten`, `tokens`, `channel_shuffle`, `permute` …), however the exporter has written it down. If
there is no such op, the steps become ops one by one, which requires that each leaves the batch in front.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.importing.values import (
    BATCH,
    ROUNDINGS,
    Base,
    GraphTensor,
    GrowingNetwork,
    OpenSide,
    Rounded,
    ShapeStep,
    Size,
    Sizes,
    Symbol,
    Unsupported,
)

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

MOST = 2**26  # elements of a value that is evaluated
SAMPLES = 2


class SampleSizes:
    """Small numbers in place of open sizes, a different one for each."""

    def __init__(self) -> None:
        self.found: dict[Base, int] = {BATCH: SAMPLES}

    def size(self, given: Size) -> int:
        """Return the number for a size."""
        if not isinstance(given, Symbol):
            return given
        number = self._value(given)
        if number.denominator != 1:
            raise Unsupported("it needs a size that is not a whole number")
        return int(number)

    def _value(self, given: Symbol) -> Fraction:
        number = given.factor
        for each in given.over:
            number *= self._number(each)
        for each in given.under:
            number /= self._number(each)
        return number

    def _number(self, base: Base) -> int:
        if isinstance(base, Rounded):
            return ROUNDINGS[base.how](self._value(base.of))
        # a multiple of many numbers, so that halves and quarters are whole; different along each axis
        return self.found.setdefault(base, 24 * (base.axis if isinstance(base, OpenSide) else 1))


def evaluate(value: GraphTensor) -> "tuple[Array, Array]":
    """Return the elements' numbers before and after the steps of a value, with the batch."""
    samples = SampleSizes()
    before = [samples.size(each) for each in value.base]
    if np.prod(before, dtype=float) > MOST:
        raise Unsupported("it reorders a value of too many elements")
    start = np.arange(int(np.prod(before)), dtype=np.int64).reshape(before)
    result = start
    for step in value.steps:
        try:
            result = result.transpose(step.perm) if step.perm else result.reshape([*map(samples.size, step.sizes)])
        except ValueError as error:
            raise Unsupported(f"its shape does not fit: {error}") from error
    return start, result


def settle(net: GrowingNetwork, value: GraphTensor) -> GraphTensor:
    """Return the value without steps, adding the ops that they are; raises Unsupported if they move the batch."""
    if not value.steps:
        if value.sizes[0] != net.batch:
            raise Unsupported("the first axis of its input is not the batch")
        return value
    key = (value.made, value.port, value.steps)
    if key not in net.settled:
        before, net.origin = net.origin, value.steps[-1].origin
        try:
            net.settled[key] = _settle(net, value)
        finally:
            net.origin = before
    return net.settled[key]


def _settle(net: GrowingNetwork, value: GraphTensor) -> GraphTensor:
    if value.sizes[0] != net.batch or len(value.sizes) < 2 or value.base[0] != net.batch:
        raise Unsupported("it moves the batch from the first axis, or merges it with another")
    start, result = evaluate(value)
    one, made = start[0], result[0]
    if made.max() > one.max():
        raise Unsupported("it mixes the samples of a batch")
    bare = GraphTensor(value.made, value.port)
    if np.array_equal(made.ravel(), one.ravel()):
        return _reshaped(net, bare, value.sizes)
    for op, attributes, candidate in _candidates(one, made, value.sizes):
        if candidate.shape == made.shape and np.array_equal(candidate, made):
            return net.add(op, [bare], attributes)
    return _mixed(net, bare, one, made, value) or _by_steps(net, bare, value)


def _reshaped(net: GrowingNetwork, bare: GraphTensor, sizes: Sizes) -> GraphTensor:
    """Return a value whose elements keep their order in another shape."""
    if bare.sizes == sizes:
        return bare
    if len(sizes) == 2:
        return net.add("flatten", [bare])
    return net.add("reshape", [bare], {"shape": _shape(sizes)})


def _shape(sizes: Sizes) -> list[int]:
    return [each if isinstance(each, int) else -1 for each in sizes[1:]]


def _candidates(one: "Array", made: "Array", sizes: Sizes) -> "Iterator[tuple[str, dict[str, Any], Array]]":
    """Yield ops that may turn the elements of a sample, `one`, into `made`, and what they turn them into."""
    if one.ndim == 3 and made.ndim == 2:
        yield "tokens", {}, one.reshape(one.shape[0], -1).T
    if one.ndim == 2 and made.ndim == 3 and all(isinstance(each, int) for each in sizes[2:]):
        yield "untokens", {"height": sizes[2], "width": sizes[3]}, one.T.reshape(made.shape)
    if one.ndim == made.ndim <= 4:
        for perm in permutations(range(one.ndim)):
            yield "permute", {"axes": [*perm]}, one.transpose(perm)
    if one.ndim == made.ndim == 3:
        yield from _of_channels(one, made)


def _of_channels(one: "Array", made: "Array") -> "Iterator[tuple[str, dict[str, Any], Array]]":
    channels, height, width = one.shape
    if made.shape == one.shape and channels > 1:
        step = int(made.ravel()[height * width]) // (height * width)
        if 0 < step < channels and channels % step == 0:
            groups = channels // step
            split = one.reshape(groups, step, height, width)
            yield "channel_shuffle", {"groups": groups}, split.transpose(1, 0, 2, 3).reshape(one.shape)
    factor = made.shape[1] // height
    if factor > 1 and channels % factor**2 == 0:
        split = one.reshape(-1, factor, factor, height, width).transpose(0, 3, 1, 4, 2)
        yield "pixel_shuffle", {"factor": factor}, split.reshape(-1, height * factor, width * factor)
    factor = height // made.shape[1]
    if factor > 1 and height % factor == width % factor == 0:
        split = one.reshape(channels, height // factor, factor, width // factor, factor).transpose(0, 2, 4, 1, 3)
        yield "pixel_unshuffle", {"factor": factor}, split.reshape(-1, height // factor, width // factor)


def _mixed(
    net: GrowingNetwork, bare: GraphTensor, one: "Array", made: "Array", value: GraphTensor
) -> GraphTensor | None:
    """Return a permutation with a reshape after it, if that is what the steps are."""
    if one.ndim > 4:
        return None
    for perm in permutations(range(one.ndim)):
        if np.array_equal(one.transpose(perm).ravel(), made.ravel()):
            try:
                turned = net.add("permute", [bare], {"axes": [*perm]})
                return _reshaped(net, turned, value.sizes)
            except Unsupported:
                return None
    return None


def _by_steps(net: GrowingNetwork, bare: GraphTensor, value: GraphTensor) -> GraphTensor:
    for step in value.steps:
        if step.sizes[0] != net.batch or (step.perm is not None and step.perm[0] != 0):
            raise Unsupported("it moves the batch from the first axis, or merges it with another")
        if step.perm is not None:
            bare = net.add("permute", [bare], {"axes": [axis - 1 for axis in step.perm[1:]]})
        else:
            bare = _reshaped(net, bare, step.sizes)
    return bare


def along_last(value: GraphTensor) -> bool:
    """Whether the steps keep the elements along the last axis together and in order."""
    if not value.steps:
        return True
    if value.base[-1] != value.sizes[-1]:
        return False
    _, result = evaluate(value)
    length = result.shape[-1]
    rows = result.reshape(-1, length)
    return bool(np.all(rows[:, 0] % length == 0) and np.all(rows - rows[:, :1] == np.arange(length)))


def with_last(value: GraphTensor, made: GraphTensor, size: Size) -> GraphTensor:
    """Return `made`, of the shape of `value` before its steps but for the last axis, through the same steps."""
    result, axis = made, len(value.base) - 1
    for step in value.steps:
        axis = len(step.sizes) - 1 if step.perm is None else step.perm.index(axis)
        sizes = tuple(size if place == axis else each for place, each in enumerate(step.sizes))
        result = GraphTensor(result.made, result.port, (*result.steps, ShapeStep(step.perm, sizes, step.origin)))
    return result
