"""The base class of ops: each op holds its attributes, shape inference, cost, and lowerings to torch and ONNX.

An op's attributes are the fields of a frozen, strict pydantic model. `infer` maps the input types to the output types,
or raises a `Refusal`; every other method may assume that `infer` has passed. Ops never see files, spans or a whole
graph. They lower themselves through a `TorchBuilder` and an `OnnxBuilder`, each made for a single node.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict

from cnnc.diagnostics import Code
from cnnc.ops.reach import LOCAL, Reaches
from cnnc.ops.types import TensorType, Types


class Cost(NamedTuple):
    """The cost of a node. `macs`: the multiply-adds of conv and linear per sample, None if a size is unknown."""

    params: int = 0
    buffers: int = 0
    macs: int | None = 0

    @property
    def shared(self) -> "Cost":
        """The cost of a node that has the parameters of another."""
        return Cost(macs=self.macs)


class Refusal(Exception):
    """The error of an op that cannot take its input types.

    `attribute` is the attribute at fault (None: the whole node). `inputs` are the positions of the inputs whose shapes
    the report explains. If the input is too small along an axis (0: the height), `lacking` holds the axis and the
    smallest size that fits.
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
    """A warning about valid inputs, and what to do about it."""

    code: Code
    message: str
    help: str


class TorchBuilder(Protocol):
    """Adds one node's computation to a torch.fx graph. Values are fx nodes."""

    inputs: Types
    outputs: Types

    def module(self, kind: str, x: Any, /, **arguments: Any) -> Any:
        """Apply `torch.nn.<kind>(**arguments)`, registered at the node's path, to `x`; at most once per node."""
        ...

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Apply a function given by its dotted name: `torch.cat`, `torch.nn.functional.pad`, `operator.add`."""
        ...

    def parameter(self, name: str, shape: tuple[int, ...], fill: float, deviation: float = 0.0) -> Any:
        """Add a parameter, `PATH.name` in the state_dict, or `PATH` if the name is empty; not in a node with `module`.

        It is initialised to `fill`, or to a normal distribution around it with this standard deviation.
        """
        ...

    def method(self, name: str, x: Any, *args: Any) -> Any:
        """Call a method of a tensor: `x.size(2)`."""
        ...

    def tensors(self, kind: str, names: Sequence[str], /, **arguments: Any) -> list[Any]:
        """Register `torch.nn.<kind>(**arguments)` at the node's path, without applying it, and return its tensors.

        `names` are their names in its state_dict. At most once per node, and not in one that uses `module`.
        """
        ...

    def training(self) -> Any:
        """Return whether the module is in training mode, a bool at run time."""
        ...


class OnnxBuilder(Protocol):
    """Adds one node's computation to an ONNX graph. Values are names; the batch is axis 0."""

    inputs: Types
    outputs: Types
    opset: int

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node with one output and return the output's name; the empty string stands for no input."""
        ...

    def ops(self, op_type: str, outputs: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Add an ONNX node with several outputs and return their names."""
        ...

    def weight(self, name: str) -> str:
        """Return the initializer of `PATH.name` of the state_dict, or of `PATH` if the name is empty."""
        ...

    def constant(self, value: "list[int] | list[float] | list[list[float]] | int | float") -> str:
        """Add an initializer of int64 (ints) or float32 (floats): a scalar, a vector or a matrix."""
        ...


Saves = Literal["inputs", "inputs and indices", "output", "nothing"]
Gives = Literal["logits", "probabilities", "log_probabilities", "input", "reordered input"]


class Op(BaseModel):
    """The base class of every op. A subclass without `infer`, `to_torch` and `to_onnx` cannot be instantiated."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    name: ClassVar[str]
    least_inputs: ClassVar[int] = 1
    most_inputs: ClassVar[int] = 1
    _saves: ClassVar[Saves] = "inputs"

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of the outputs; the output of an op with a single one has the empty name."""
        return ("",)

    normalises_channels: ClassVar[bool] = False
    """Whether the op subtracts each channel's mean and divides by its standard deviation."""
    drops: ClassVar[bool] = False
    """Whether the op sets values to 0 at random in training."""
    needs_multiples: ClassVar[bool] = False
    """Whether the op refuses heights or widths by their remainder when divided by the step of `reach`."""
    takes_act: ClassVar[bool] = False
    """Whether the op takes the attribute `act`, which adds an activation after it."""

    @property
    @abstractmethod
    def gives(self) -> Gives:
        """What the outputs hold in inference: the input's elements, or the kind of scores if they are an output."""

    @property
    def unread(self) -> tuple[int, ...]:
        """The positions of inputs whose sizes the op uses, but not their elements."""
        return ()

    @property
    def saves(self) -> Saves:
        """The tensors that torch keeps from the forward pass to compute the gradient."""
        return self._saves

    # Subclasses take one argument per input. mypy lets them do so under `*args: Any, **kwargs: Any`.

    @abstractmethod
    def infer(self, *args: Any, **kwargs: Any) -> TensorType | Types:
        """Return the output types for these input types; raises Refusal if the inputs do not fit."""

    def cost(self, *args: Any, **kwargs: Any) -> Cost:
        """Return the parameters, running statistics and MACs for input types that `infer` accepts."""
        return Cost()

    @abstractmethod
    def reach(self, *args: Any, **kwargs: Any) -> Reaches:
        """Return the rows and columns of the inputs, which are maps, that an output position depends on."""

    def between(self, *args: Any, **kwargs: Any) -> Types:
        """Return the types of intermediate tensors that torch may allocate, for inputs of known sizes."""
        return ()

    def remarks(self, *args: Any, **kwargs: Any) -> Iterable[Remark]:
        """Return warnings about inputs that `infer` accepts."""
        return ()

    @abstractmethod
    def to_torch(self, t: TorchBuilder, *args: Any, **kwargs: Any) -> Any:
        """Build the node in torch from the inputs' values; return the output, or a tuple if there are several."""

    @abstractmethod
    def to_onnx(self, o: OnnxBuilder, *args: Any, **kwargs: Any) -> str | tuple[str, ...]:
        """Build the node in ONNX from the inputs' names; return the output's name, or a tuple if there are several."""


class Local(Op):
    """An op whose outputs depend only on the same position of each input map."""

    def reach(self, *xs: TensorType) -> Reaches:
        return LOCAL


class Elementwise(Local):
    """An op that keeps the shape."""

    gives: ClassVar[Gives] = "logits"

    def infer(self, x: TensorType) -> TensorType:
        return x


def impossible(op: Op, problem: str, attribute: str | None, way_out: str) -> NoReturn:
    """Raise a Refusal of an attribute whose value does not fit the input or the other attributes."""
    raise Refusal(Code.IMPOSSIBLE_ATTRIBUTE, f"{op.name}: {problem}", attribute=attribute, help=way_out)


def require_map(op: Op, x: TensorType) -> None:
    """Raise a Refusal if `x` is not a feature map."""
    if not x.is_map:
        raise Refusal(
            Code.WRONG_RANK,
            f"{op.name} expects a feature map (C, H, W), got {x.described}",
            label=f"its input is {x}",
            help=_way_to_a_map(x),
        )


def _way_to_a_map(x: TensorType) -> str:
    if x.is_tokens:
        return "put `untokens` before it, or `reshape` its input to (C, H, W) first; a shape does not count the batch"
    if x.is_vector:
        return "put it before the `flatten`, or `reshape` the vector to a map first"
    return "`reshape` its input to (C, H, W) first; a shape does not count the batch"


def require_known(op: Op, x: TensorType, why: str) -> None:
    """Raise a Refusal, with the reason `why`, if the height or width of `x` is unknown."""
    if not x.known:
        raise Refusal(
            Code.UNKNOWN_SIZE,
            f"{op.name} {why}, but its input is {x}",
            label=f"its input is {x}",
            help="give the input a fixed height and width, or put `global_avg_pool` before it",
        )


def require_divides(op: Op, size: int, parts: int, what: str, attribute: str = "groups") -> None:
    """Raise a Refusal if `size` is not divisible by `parts`, the number of groups or parts."""
    if size % parts:
        fits = [str(each) for each in range(1, min(size, 4096) + 1) if size % each == 0]
        raise Refusal(
            Code.INDIVISIBLE,
            f"{op.name}: {size} {what} cannot be divided into {parts} equal {attribute}",
            attribute=attribute,
            label=f"{size} % {parts} = {size % parts}",
            help=f"{attribute} that divide {size}: {', '.join(fits[:8])}{' …' if len(fits) > 8 else ''}",
        )


def position(op: Op, x: TensorType, axis: int, attribute: str = "axis") -> int:
    """Return `axis` counted from 0 without the batch (a negative one counts from the end); raises Refusal if absent."""
    rank = len(x.shape)
    if not -rank <= axis < rank:
        way_out = f"use an axis from 0 to {rank - 1}; the batch is not counted" if rank > 1 else f"use `{attribute}: 0`"
        impossible(op, f"axis {axis} is out of range for an input of {x}", attribute, way_out)
    return axis % rank


def reduced(o: OnnxBuilder, op_type: str, x: str, axes: list[int], keep: bool = True, since: int = 18) -> str:
    """Add an ONNX reduction over axes, which count the batch; from opset `since` on they are an input of the node."""
    if o.opset >= since:
        return o.op(op_type, x, o.constant(axes), keepdims=int(keep))
    return o.op(op_type, x, axes=axes, keepdims=int(keep))
