"""What an op is: one class that holds its attributes, its types, its cost and its two lowerings.

An op's attributes are the fields of a frozen, strict pydantic model. `infer` takes the types of the inputs and gives
those of the outputs, or raises a `Refusal`; all else may assume that `infer` has passed. Ops never see files, spans or
a whole graph: they speak to a `TorchBuilder` and an `OnnxBuilder`, each made for one node.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict

from cnnc.diagnostics import Code
from cnnc.ops.reach import LOCAL, Reaches
from cnnc.ops.types import TensorType, Types


class Cost(NamedTuple):
    """What a node costs. MACs, per sample, are the multiply-adds of conv and linear; None while a size is unknown."""

    params: int = 0
    buffers: int = 0
    macs: int | None = 0


class Refusal(Exception):
    """An op's objection to the types it is given.

    `attribute` is the attribute to blame (None: the whole node); `inputs` are the positions of the inputs whose shapes
    the reader should see explained. Where the input is too small along an axis (0: the height), `lacking` holds the
    axis and the least size that would do.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        attribute: str | None = None,
        inputs: tuple[int, ...] = (0,),
        label: str | None = None,
        help: str | None = None,
        lacking: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.attribute, self.inputs = code, message, attribute, inputs
        self.label, self.help, self.lacking = label, help, lacking


class Remark(NamedTuple):
    """What an op has to say of legal inputs: a warning, and what to do about it."""

    code: Code
    message: str
    help: str


class TorchBuilder(Protocol):
    """Adds one node's computation to a torch.fx graph. Values are fx nodes."""

    inputs: Types
    outputs: Types

    def module(self, kind: str, x: Any, /, **arguments: Any) -> Any:
        """Apply `torch.nn.<kind>(**arguments)`, which lives at the node's own path, to `x`; once a node at most."""
        ...

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Apply a function given by its dotted name: `torch.cat`, `torch.nn.functional.pad`, `operator.add`."""
        ...

    def parameter(self, name: str, shape: tuple[int, ...], fill: float) -> Any:
        """A learned tensor, `PATH.name` in the state_dict, that starts as `fill`; without `module` only."""
        ...


class OnnxBuilder(Protocol):
    """Adds one node's computation to an ONNX graph. Values are names; the batch is axis 0."""

    inputs: Types
    outputs: Types
    opset: int

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node with one output and give the output's name; an input left out is the empty string."""
        ...

    def ops(self, op_type: str, outputs: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Add an ONNX node with several outputs."""
        ...

    def weight(self, name: str) -> str:
        """The initializer that holds the node's own `PATH.name` of the state_dict."""
        ...

    def constant(self, value: "list[int] | list[float] | list[list[float]] | int | float") -> str:
        """An initializer of int64 (ints) or float32 (floats): a scalar, a vector or a matrix."""
        ...


Saves = Literal["inputs", "inputs and indices", "output", "nothing"]


class Op(BaseModel):
    """The base of every op. A subclass that lacks a row of the table cannot be instantiated."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    name: ClassVar[str]
    least_inputs: ClassVar[int] = 1
    most_inputs: ClassVar[int] = 1
    _saves: ClassVar[Saves] = "inputs"

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of the outputs; the only output of an ordinary op has the empty name."""
        return ("",)

    @property
    def saves(self) -> Saves:
        """What torch keeps from the forward pass to compute the gradient."""
        return self._saves

    # These take as many inputs as the op has. `*args: Any, **kwargs: Any` is how mypy lets a subclass name them.

    @abstractmethod
    def infer(self, *args: Any, **kwargs: Any) -> TensorType | Types:
        """The types of the outputs from those of the inputs; raises Refusal where the inputs do not fit."""

    def cost(self, *args: Any, **kwargs: Any) -> Cost:
        """Parameters, running statistics and MACs, given the types of inputs that `infer` accepts."""
        return Cost()

    def reach(self, *args: Any, **kwargs: Any) -> Reaches:
        """Which rows and columns of its inputs, which are maps, an output position sees."""
        return LOCAL

    def between(self, *args: Any, **kwargs: Any) -> Types:
        """What torch may hold on the way from inputs of known sizes to the outputs, beside both."""
        return ()

    def remarks(self, *args: Any, **kwargs: Any) -> Iterable[Remark]:
        """Warnings about inputs that `infer` accepts."""
        return ()

    @abstractmethod
    def to_torch(self, t: TorchBuilder, *args: Any, **kwargs: Any) -> Any:
        """Build the node in torch over the inputs' values; gives the output, of several ports a tuple."""

    @abstractmethod
    def to_onnx(self, o: OnnxBuilder, *args: Any, **kwargs: Any) -> str | tuple[str, ...]:
        """Build the node in ONNX over the inputs' names; gives the output's, of several ports a tuple."""


def impossible(op: Op, problem: str, attribute: str | None, way_out: str) -> NoReturn:
    """Refuse an attribute whose value no input of this type, or no other attribute, goes with."""
    raise Refusal(Code.IMPOSSIBLE_ATTRIBUTE, f"{op.name}: {problem}", attribute=attribute, help=way_out)


def require_map(op: Op, x: TensorType) -> None:
    """Refuse anything but a feature map."""
    if not x.is_map:
        raise Refusal(
            Code.WRONG_RANK,
            f"{op.name} wants a feature map (C, H, W), got {'a vector of ' * x.is_vector}{x}",
            label=f"gets {x}",
            help="put it before the `flatten`, or `reshape` the vector into a map first",
        )


def require_known(op: Op, x: TensorType, why: str) -> None:
    """Refuse a map of unknown height or width, for the reason given."""
    if not x.known:
        raise Refusal(
            Code.UNKNOWN_SIZE,
            f"{op.name} {why}, but its input is {x}",
            label=f"gets {x}",
            help="give the input a fixed height and width, or put `global_avg_pool` before it",
        )


def require_divides(op: Op, size: int, parts: int, what: str, attribute: str = "groups") -> None:
    """Refuse a number of groups (or parts) that does not divide `size`."""
    if size % parts:
        fits = [each for each in range(1, min(size, 4096) + 1) if size % each == 0]
        raise Refusal(
            Code.INDIVISIBLE,
            f"{op.name}: {parts} {attribute} do not divide {size} {what}",
            attribute=attribute,
            label=f"{size} % {parts} = {size % parts}",
            help=f"{attribute} that divide {size}: {', '.join(map(str, fits[:8]))}{' …' if len(fits) > 8 else ''}",
        )


def position(op: Op, x: TensorType, axis: int) -> int:
    """The axis, counted from 0 without the batch, that `axis` means (from the end where negative); refuses others."""
    rank = len(x.shape)
    if not -rank <= axis < rank:
        way_out = f"axes count from 0 and never count the batch: 0 to {rank - 1} here" if rank > 1 else "`axis: 0`"
        impossible(op, f"there is no axis {axis} in {x}", "axis", way_out)
    return axis % rank
