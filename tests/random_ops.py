"""Random nodes of every op: which attributes to give an op that takes a value of some type, and what comes out.

The attributes are those of the ops' own classes: one that is new has to be given values here, or nothing is drawn.
What an op refuses is asked of the op; that it accepts too much is for the agreement test to find.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from hypothesis import strategies as st

from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.base import Op, Refusal
from cnnc.ops.types import TensorType
from tests.agreement.rows import TABLE

Attributes = dict[str, Any]
Sizes = tuple[TensorType, ...]  # a value's type; where it has open sizes, also its types at some that are not

SAMPLES = ((40, 33), (35, 54))  # heights and widths at which an open network is tried
LARGEST = 3000  # elements of a value
JOINS = tuple(name for name in registry.names() if registry.get(name).least_inputs > 1)
SOURCES = tuple(filter(registry.is_source, registry.names()))
LIKES = tuple(filter(registry.takes_like, registry.names()))
SINGLE = tuple(name for name in registry.names() if name not in JOINS + SOURCES)
BY_RANK = {  # the ops that have a row in the agreement test for a value of so many axes
    rank: tuple(name for name in SINGLE if any(len(shapes[0]) == rank for _, *shapes in TABLE[name]))
    for rank in (1, 2, 3)
}
ONE_OF = {
    "split": ("parts", "sizes"),
    "upsample": ("factor", "size"),
    "clip": ("min", "max"),
    "affine": ("scale", "shift"),
}


def divisors(size: int) -> list[int]:
    return [each for each in range(1, size + 1) if size % each == 0]


def pair(least: int, most: int) -> st.SearchStrategy:
    """An integer, or one for each axis."""
    number = st.integers(least, most)
    return number | st.tuples(number, number).map(list)


def sides(most: int) -> st.SearchStrategy:
    """An integer, [height, width] or [top, left, bottom, right]."""
    number = st.integers(0, most)
    return pair(0, most) | st.tuples(number, number, number, number).map(list)


def one(*values: Any) -> Callable[[TensorType, Attributes], st.SearchStrategy]:
    return lambda x, given: st.sampled_from(values)


def of_kind(attribute: str, *values: Any) -> Callable[[TensorType, Attributes], st.SearchStrategy]:
    """Values for an attribute of `activation`, if its kind has it."""
    return lambda x, given: st.sampled_from(
        values if attribute in registry.get(given["kind"]).model_fields else (None,)
    )


def axis(x: TensorType, given: Attributes) -> st.SearchStrategy:
    return st.integers(-len(x.shape), len(x.shape) - 1)


def parts(x: TensorType, given: Attributes) -> st.SearchStrategy:
    return st.sampled_from(divisors(x.shape[given.get("axis", 0)] or 1)[:4])


def cuts(x: TensorType, given: Attributes) -> st.SearchStrategy:
    size = x.shape[given.get("axis", 0)] or 1
    places = st.sets(st.integers(1, max(size - 1, 1)), max_size=min(2, size - 1)).map(lambda at: [0, *sorted(at), size])
    return places.map(lambda at: [b - a for a, b in pairwise(at)])


@st.composite
def shapes(draw: st.DrawFn, elements: int) -> list[int]:
    """A shape of so many elements, with or without a -1."""
    sizes = []
    for _ in range(draw(st.integers(0, 3))):
        sizes.append(draw(st.sampled_from(divisors(elements))))
        elements //= sizes[-1]
    sizes.append(elements)
    sizes = draw(st.permutations(sizes))
    return draw(st.sampled_from([sizes, [-1, *sizes[1:]], [*sizes[:-1], -1]]))


# An attribute's values by its name, or by its op's and its own; those of booleans and choices stand in the class.
Values = dict[str, Callable[[TensorType, Attributes], st.SearchStrategy]]
VALUES: Values = {
    "out": lambda x, given: st.integers(1, max(1, 8 // given.get("groups", 1))).map(
        lambda out: out * given.get("groups", 1)
    ),
    "kernel": lambda x, given: pair(1, 4),
    "stride": lambda x, given: pair(1, 3),
    "dilation": lambda x, given: pair(1, 3),
    "padding": lambda x, given: sides(3) | st.sampled_from(["same", "same_lower", "valid"]),
    "output_padding": lambda x, given: pair(0, 2),
    "groups": lambda x, given: st.sampled_from(divisors(x.channels)),
    "adaptive_avg_pool.size": lambda x, given: pair(1, 5),
    "adaptive_max_pool.size": lambda x, given: pair(1, 5),
    "crop.size": lambda x, given: pair(1, 5),
    "pixel_shuffle.factor": one(1, 2),
    "pixel_unshuffle.factor": one(1, 2, 3),
    "p": one(1, 2, 3),
    "upsample.size": lambda x, given: pair(1, 9),
    "upsample.factor": lambda x, given: pair(1, 3),
    "local_response_norm.size": one(1, 3, 5, 7, 9),
    "local_response_norm.alpha": one(1e-4, 0.5, 2),
    "beta": one(0.75, 0.5, 1),
    "k": one(1, 2.0, 0.5),
    "conv.eps": lambda x, given: one(*[1e-5, 1e-3, 0.1] if given.get("standardize") else [1e-5])(x, given),
    "eps": one(1e-5, 1e-3, 0.1),
    "momentum": one(0.1, 0, 0.5, 1, None),
    "init": one(1, 0.5, 1e-6),
    "rate": one(0.5, 0.2, 0),
    "activation.axis": of_kind("axis", -1, 0),
    "activation.slope": of_kind("slope", 0.2, -0.5),
    "activation.alpha": of_kind("alpha", 0.3, 2.0),
    "activation.beta": of_kind("beta", 0.5, 2.0),
    "activation.min": of_kind("min", -0.5, 0),
    "activation.max": of_kind("max", 0.5, 6),
    "activation.per_channel": of_kind("per_channel", True, False),
    "activation.approximate": of_kind("approximate", "none", "tanh"),
    "slope": one(0.01, 0.2, -0.5, 1),
    "alpha": one(1, 0.3, 2.0),
    "kind": one(*ACTIVATIONS),
    "axis": axis,
    "permute.axes": lambda x, given: st.permutations(range(len(x.shape))).map(list),
    "axes": lambda x, given: axis(x, given) | st.sets(st.integers(0, len(x.shape) - 1), min_size=1).map(sorted),
    "start": one(0, 1, -1, -3, 2),
    "stop": one(None, 1, 4, -1, 100),
    "step": one(1, 2, 3),
    "like": one(None),
    "over": lambda x, given: st.sampled_from(["channels", "all"] if x.is_map else ["channels", "features", "all"]),
    "deviation": one(0, 0.5),
    "parameter.shape": one([1, 1, 1], [2, 4], [3, 1, 1], [5]),
    "constant.shape": lambda x, given: (
        st.just([2, 3, 4]) if given.get("coordinates") else one([3], [2, 2, 3])(x, given)
    ),
    "constant.value": lambda x, given: st.just(0) if given.get("coordinates") else one(0, 1.5, -2)(x, given),
    "heads": lambda x, given: st.sampled_from(divisors(x.shape[-1] or 1)),
    "height": lambda x, given: st.sampled_from(divisors(x.shape[0] or 1)),
    "width": lambda x, given: st.just((x.shape[0] or 1) // given.get("height", 1)),
    "dropout": one(0, 0.1),
    "min": one(-1, -0.5, 0),
    "max": one(0.5, 1, 6),
    "scale": one(0.5, -1, 2.0, 1),
    "shift": one(1, -0.5, 3.0),
    "shape": lambda x, given: shapes(x.elements) if x.elements else st.sampled_from([[x.channels, -1], [1, 1, -1]]),
    "parts": parts,
    "sizes": cuts,
    "pad.padding": lambda x, given: sides(3) | sides(8),
    "value": one(0, -1.5, 2),
}
FIRST = ("groups", "axis", "height", "kind", "coordinates")  # on which others depend


def values(op: str, name: str, x: TensorType, given: Attributes) -> st.SearchStrategy:
    """The values of an attribute, beside those already given."""
    annotation = registry.get(op).model_fields[name].annotation
    if annotation is bool:
        return st.booleans()
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    key = f"{op}.{name}"
    return VALUES[key if key in VALUES else name](x, given)


@st.composite
def attributes(draw: st.DrawFn, op: str, x: TensorType) -> Attributes:
    """Attributes of an op over `x`, most of them legal."""
    fields = registry.get(op).model_fields
    given: Attributes = {}
    needed = {name for name, field in fields.items() if field.is_required()}
    if op in ONE_OF:
        needed.add(draw(st.sampled_from(ONE_OF[op])))
    for name in sorted(fields, key=lambda name: name not in FIRST):
        if name in needed or (name not in ONE_OF.get(op, ()) and draw(st.booleans())):
            given[name] = draw(values(op, name, x, given))
    return given


def results(op: str, given: Attributes, inputs: Sequence[Sizes]) -> list[Sizes] | None:
    """The outputs of an op, or None where it refuses its inputs or makes too much of them."""
    node = registry.get(op).model_validate(given)
    try:
        found = [_outputs(node, types) for types in zip(*inputs, strict=True)]
    except Refusal:
        return None
    if any((each.elements or 0) > LARGEST for outputs in found for each in outputs):
        return None
    return list(zip(*found, strict=True))


def _outputs(node: Op, types: Sequence[TensorType]) -> tuple[TensorType, ...]:
    result = node.infer(*types)
    return result if isinstance(result, tuple) else (result,)


@st.composite
def nodes(draw: st.DrawFn, x: Sizes, *, chained: bool = False) -> tuple[str, Attributes, list[Sizes]]:
    """An op that takes `x`, its attributes and what it gives; `chained`: one whose output goes by its own name."""
    names = BY_RANK.get(len(x[0].shape), SINGLE)
    for _ in range(6):
        op = draw(st.sampled_from(names))
        given = draw(attributes(op, x[0]))
        found = results(op, given, [x])
        if found is not None and not (chained and op == "split"):
            return op, given, found
    return "leaky_relu", {}, [x]
