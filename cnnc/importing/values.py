"""The values of an ONNX graph during an import: constants, symbolic sizes, and tensors of the network under way.

A `ConstantArray` does not depend on the network's input; sizes that depend on the batch, or on an open height or width,
are `Symbol`s in it. A `GraphTensor` is an output of a `NewNode`, possibly seen through reshapes and transposes that are
not yet ops (`cnnc.importing.views` turns them into ops).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor, prod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

DOMAIN = "cnnc"
"""The domain of nodes that `torch_markers` writes into the file of a traced module."""


class OpenSide(NamedTuple):
    """An open size: axis `axis` (with the batch as axis 0) of the output `port` of a node or input; see `NewNode`."""

    made: "NewNode"
    port: int
    axis: int


class Rounded(NamedTuple):
    """A product of open sizes that is not always whole, rounded with `floor`, `ceil` or `round`."""

    how: str
    of: "Symbol"


BATCH = "batch"
Base = str | OpenSide | Rounded
ROUNDINGS: dict[str, Callable[[Fraction], int]] = {"floor": floor, "ceil": ceil, "round": round}
MOST_TERMS, MOST_BITS = 64, 256


class Symbol:
    """A product of open sizes and a number, such as 2·batch or height / 2. Supports the arithmetic of shapes.

    A `real` symbol is a floating-point number, for which `//` divides without rounding, as ONNX's Div does. Raises
    Unsupported if it would have more than MOST_TERMS sizes, because their number may double with each operation.
    """

    def __init__(
        self,
        over: tuple[Base, ...],
        factor: Fraction = Fraction(1),
        under: tuple[Base, ...] = (),
        real: bool = False,
    ) -> None:
        self.over, self.factor, self.under, self.real = over, factor, under, real
        self.terms: int = sum(each.of.terms if isinstance(each, Rounded) else 1 for each in (*over, *under))
        bits = max(factor.numerator.bit_length(), factor.denominator.bit_length())
        if self.terms > MOST_TERMS or bits > MOST_BITS:
            raise Unsupported("it computes a size from too many other sizes")

    def __repr__(self) -> str:
        return repr(self.key)

    @property
    def whole(self) -> bool:
        """Whether it is an integer for all sizes."""
        return self.factor.denominator == 1 and not self.under

    def rounded(self, how: str) -> "Symbol":
        """Return it rounded, as an integer; `how` is one of ROUNDINGS."""
        if self.whole:
            return Symbol(self.over, self.factor, real=False)
        return Symbol((Rounded(how, Symbol(self.over, self.factor, self.under)),))

    def as_real(self) -> "Symbol":
        """Return it as a floating-point number."""
        return Symbol(self.over, self.factor, self.under, real=True)

    @property
    def side(self) -> OpenSide | None:
        """The open height or width that this is, if it is exactly one."""
        plain = self.factor == 1 and not self.under and len(self.over) == 1
        return self.over[0] if plain and isinstance(self.over[0], OpenSide) else None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal symbols have equal keys."""
        return tuple(sorted(map(repr, self.over))), self.factor, tuple(sorted(map(repr, self.under)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbol) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Symbol):
            over, under = [*self.over, *other.over], [*self.under, *other.under]
            return _simple(over, self.factor * other.factor, under, self.real or other.real)
        return _simple([*self.over], self.factor * Fraction(float(other)), [*self.under], self._real_with(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Symbol):
            over, under = [*self.over, *other.under], [*self.under, *other.over]
            return _simple(over, self.factor / other.factor, under, self.real or other.real)
        return _simple([*self.over], self.factor / Fraction(float(other)), [*self.under], self._real_with(other))

    def __floordiv__(self, other: Any) -> Any:
        return _floor(self / other, real=self._real_with(other))

    def __rtruediv__(self, other: Any) -> Any:
        return _simple([*self.under], Fraction(float(other)) / self.factor, [*self.over], self._real_with(other))

    def __rfloordiv__(self, other: Any) -> Any:
        return _floor(other / self, real=self._real_with(other))

    def _real_with(self, other: Any) -> bool:
        return self.real or (other.real if isinstance(other, Symbol) else isinstance(other, float))

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Symbol) and other == 0:
            return self
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return 0 if self == other else self + -other if not isinstance(other, Symbol) else NotImplemented


def _floor(quotient: Any, *, real: bool) -> Any:
    """Return the quotient of a division of integers, or of floating-point numbers if `real`."""
    if real:
        return quotient
    return quotient.rounded("floor") if isinstance(quotient, Symbol) else floor(quotient)


def _simple(over: list[Base], factor: Fraction, under: list[Base], real: bool) -> Any:
    """Return a symbol in lowest terms, or an integer if no open size is left."""
    for each in [*under]:
        if each in over:
            over.remove(each)
            under.remove(each)
    if not over and not under:
        return int(factor) if factor.denominator == 1 and not real else float(factor)
    return Symbol(tuple(over), factor, tuple(under), real)


class SymbolicRange:
    """The numbers from 0 up to an open size, times `scale`: the rows that a resize takes."""

    def __init__(self, length: Symbol, scale: Any = 1) -> None:
        self.length, self.scale = length, scale

    def __mul__(self, other: Any) -> "SymbolicRange":
        return SymbolicRange(self.length, other * self.scale)

    __rmul__ = __mul__


Size = int | Symbol
Sizes = tuple[Size, ...]
N = Symbol((BATCH,))


@dataclass(frozen=True)
class ShapeStep:
    """A pending change of shape, by the ONNX node `origin`: a transpose by `perm`, or a reshape to `sizes`."""

    perm: tuple[int, ...] | None
    sizes: Sizes
    origin: Any = field(default=None, compare=False)


@dataclass(eq=False)
class NewNode:
    """A node of the spec under way. An op that begins with `_` is only part of a pattern, and none of the spec's.

    `sizes` are the shapes of its outputs with the batch. `weights` are arrays by the key in the node's part of the
    state_dict, and `names` the initializers that they are, if they are used as they stand.
    """

    op: str
    attributes: dict[str, Any]
    inputs: tuple["GraphTensor", ...]
    sizes: tuple[Sizes, ...]
    weights: "dict[str, Array]" = field(default_factory=dict)
    names: tuple[str, ...] = ()
    like: "GraphTensor | None" = None
    origin: Any = None  # the ONNX node
    values: dict[int, str] = field(default_factory=dict)  # the ONNX value that each output is, by port
    is_shared: bool = False  # whether several nodes of the file take an output

    def __repr__(self) -> str:
        return f"<{self.op} {id(self):x}>"


@dataclass(frozen=True, eq=False)
class GraphTensor:
    """Output `port` of a node, seen through `steps`."""

    made: NewNode
    port: int = 0
    steps: tuple[ShapeStep, ...] = ()

    @property
    def base(self) -> Sizes:
        """The shape, with the batch, before the steps."""
        return self.made.sizes[self.port]

    @property
    def sizes(self) -> Sizes:
        """The shape, with the batch."""
        return self.steps[-1].sizes if self.steps else self.base

    @property
    def op(self) -> str:
        """The op that computes it, or an empty string if a step lies between."""
        return "" if self.steps else self.made.op

    def same(self, other: "GraphTensor") -> bool:
        """Whether both are the same value."""
        return self.made is other.made and self.port == other.port and self.steps == other.steps

    def through(self, step: ShapeStep) -> "GraphTensor":
        """Return this value seen through one more step; two transposes become one."""
        last = self.steps[-1] if self.steps else None
        if step.perm is not None and last is not None and last.perm is not None:
            step = ShapeStep(tuple(last.perm[axis] for axis in step.perm), step.sizes, step.origin)
            return GraphTensor(self.made, self.port, (*self.steps[:-1], *_unless_idle(step)))
        if step.perm is None and last is not None and last.perm is None:
            before = GraphTensor(self.made, self.port, self.steps[:-1])
            return before if before.sizes == step.sizes else GraphTensor(self.made, self.port, (*before.steps, step))
        if step.perm is None and step.sizes == self.sizes:
            return self
        return GraphTensor(self.made, self.port, (*self.steps, *_unless_idle(step)))


def _unless_idle(step: ShapeStep) -> tuple[ShapeStep, ...]:
    return () if step.perm is not None and step.perm == tuple(range(len(step.perm))) else (step,)


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """A constant of the graph. `name` is the initializer that it is, or was made from."""

    array: "Array"
    name: str = ""
    whole: bool = False  # whether it is the initializer itself


def place_of(axis: int, rank: int) -> int:
    """Return an axis of ONNX as a number from 0 up; raises Unsupported if a value of `rank` axes has no such axis."""
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} is out of range for a value of {rank} axes")
    return axis % rank


class NotImported:
    """A value that cannot be imported; its users are not reported again."""


Content = GraphTensor | ConstantArray | NotImported


def elements(sizes: Sizes) -> Size:
    """Return the number of elements of a shape."""
    return prod(sizes, start=1)


class Unsupported(Exception):
    """The reason why a node cannot be imported, and what the user can do about it."""

    def __init__(self, why: str, help: str | None = None) -> None:
        super().__init__(why)
        self.why, self.help = why, help


class GrowingNetwork(Protocol):
    """The network under way, as its parts see it; see `cnnc.importing.flat_network`."""

    batch: Size
    settled: dict[Any, GraphTensor]
    origin: Any

    def add(self, op: str, inputs: Sequence[GraphTensor], attributes: Mapping[str, Any] | None = None) -> GraphTensor:
        """Add a node of the spec and return its first output."""
