"""The pydantic models of the parts of a spec file, and the frozen dataclasses that the rest of the compiler uses.

The models check keys and plain values; parts that may contain expressions or nodes stay a `Value`.
`cnnc.language.parse` reads nodes one by one, so that every error has its own place.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cnnc.diagnostics import Allow, Source, Span
from cnnc.text.value import Value

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _count(value: Any) -> Any:
    """Convert 12M or 2G to an integer."""
    return _amount(value, "", "12M, 2G") if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    """Convert 64M or 64MB to an integer."""
    return _amount(value, "B?", "64M, 64MB") if isinstance(value, str) else value


def _amount(text: str, ending: str, examples: str) -> int:
    match = re.fullmatch(rf"(\d{{1,15}}(?:\.\d{{1,15}})?)\s*([KMGT]?){ending}", text.strip())
    if not match:
        raise ValueError(f"must be an integer, or a number with a unit: {examples}")
    return round(float(match[1]) * UNITS[match[2]])


_Whole = Annotated[int, Field(ge=0, le=2**62)]
_Text = Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*[KMGT]?B?\s*$")]
Count = Annotated[int, BeforeValidator(_count, json_schema_input_type=_Whole | _Text), Field(ge=0, le=2**62)]
Bytes = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=_Whole | _Text), Field(ge=0, le=2**62)]


Pattern = Annotated[str, Field(min_length=1, max_length=256)]
"""A pattern of weights; see `cnnc.weights.patterns`."""


def _word(value: Any) -> Any:
    """Convert an integer to a string: `precision: 32` means "32"."""
    return str(value) if type(value) is int else value


class Part(BaseModel):
    """The base of all parts: strict, frozen, and without unknown keys."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True, defer_build=True
    )


class Budget(Part):
    """The limits on the cost of a network that `cnnc check` enforces."""

    params: Count | None = None
    macs: Count | None = None
    activations: Bytes | None = Field(None, description="bytes alive at once at batch 1 in float32")


class Train(Part):
    """The training recipe. `batch`, and everything counted in steps, applies to the whole run on all devices."""

    data: str | None = Field(None, description="a data set's name, or a path")
    batch: int = Field(128, ge=1, le=2**20, description="examples per batch")
    epochs: int = Field(10, ge=1, le=10**6, description="passes over the training set")
    optimizer: Literal["sgd", "adamw", "rmsprop"] = Field("sgd", description="the optimizer")
    lr: float = Field(0.1, gt=0, le=1e6, description="the learning rate, before its schedule")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd and rmsprop")
    nesterov: bool = Field(False, description="Nesterov momentum, for sgd")
    weight_decay: float = Field(0.0, ge=0, le=1e6, description="weight decay of all parameters; decoupled in adamw")
    schedule: Literal["constant", "step", "cosine"] = Field(
        "constant", description="how the learning rate changes from epoch to epoch"
    )
    step_size: int = Field(30, ge=1, le=10**6, description="epochs between the drops of `schedule: step`")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of the learning rate at each drop")
    warmup: int = Field(0, ge=0, le=10**6, description="epochs of linear warm-up")
    init: Literal["default", "xavier", "kaiming"] = Field(
        "default", description="initialization of the weights of conv and linear"
    )
    augment: list[Literal["flip", "crop", "color"]] = Field([], description="random changes to each picture")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="the part of the target spread over all classes")
    clip: float | None = Field(None, gt=0, le=1e9, description="the largest norm of the gradient")
    accumulate: int = Field(1, ge=1, le=2**16, description="batches per optimizer step")
    aux_weight: float = Field(0.3, ge=0, le=1e6, description="loss weight of train-only outputs without `weight`")
    seed: int | None = Field(None, ge=0, lt=2**63, description="random seed; also selects deterministic kernels")
    limit: int | None = Field(None, ge=1, le=2**40, description="use only this many examples, the first ones")
    val_split: float | None = Field(None, gt=0, lt=1, description="test on this fraction of the training set")
    skip_unreadable: bool = Field(False, description="leave out pictures that cannot be read")
    precision: Annotated[
        Literal["32", "bf16", "16", "auto"],
        BeforeValidator(_word, json_schema_input_type=Literal["32", "bf16", "16", "auto", 32, 16]),
        Field(description="precision of the forward and backward pass; auto: bf16 if the hardware has it"),
    ] = "32"
    tf32: bool = Field(False, description="multiply float32 with 10-bit mantissas, on GPUs that support it")
    channels_last: bool | None = Field(None, description="channels-last memory format; default: if it is faster")
    compile: bool = Field(False, description="train through `torch.compile`")
    fresh: list[Pattern] = Field([], description="weights to draw anew, although a run starts from `--weights`")
    freeze: list[Pattern] = Field([], description="weights that are not trained, with the statistics of batch norms")
    lr_scale: dict[Pattern, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        {}, description="factors of the learning rate by weights; the last that matches counts"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Train":
        if self.momentum and self.optimizer == "adamw":
            raise ValueError("has `momentum`, which adamw does not take")
        if self.nesterov and not (self.momentum and self.optimizer == "sgd"):
            raise ValueError("has `nesterov`, which needs `optimizer: sgd` and a `momentum`")
        return self


class Header(Part):
    """The top level of a spec. `cnnc.language.parse` checks required keys, so that one error does not hide another."""

    cnnc: Value | None = None
    name: str | None = None
    description: str | None = None
    params: Value | None = None
    input: Value | None = None
    inputs: Value | None = None
    outputs: Value | None = None
    blocks: Value | None = None
    nodes: Value | None = None
    use: Value | None = None
    labels: list[Annotated[str, Field(max_length=200)]] | None = None
    budget: Value | None = None
    train: Value | None = None
    allow: Value | None = None


class Library(Part):
    """The top level of a file that `use` names: only blocks."""

    cnnc: Value | None = None
    name: str | None = None
    description: str | None = None
    blocks: Value | None = None
    use: Value | None = None
    allow: Value | None = None


class BlockPart(Part):
    """A block's definition."""

    description: str | None = None
    params: Value | None = None
    inputs: list[str] | None = Field(None, min_length=1)
    outputs: Value | None = None
    names: Literal["index"] | None = None
    nodes: Value | None = None
    allow: Value | None = None


def _whole(given: Any) -> Any:
    """Refuse 1.0 and true, which equal 1."""
    if type(given) is not int:
        raise ValueError("must be 1 or 255")
    return given


class InputPart(Part):
    """The long form of an input: its shape, and how a picture is converted to it."""

    shape: Value
    mode: Literal["grey", "rgb", "bgr"] | None = None
    scale: Annotated[Literal[1, 255], BeforeValidator(_whole)] | None = None
    mean: list[Annotated[float, Field(ge=-1e6, le=1e6)]] | None = None
    std: list[Annotated[float, Field(gt=0, le=1e6)]] | None = None
    resize: Value | None = None
    crop: Value | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None


class OutputPart(Part):
    """The long form of an output. `weight` is the weight of its loss in training, `kind` is what it holds."""

    source: str = Field(alias="from")
    kind: Literal["classes", "probabilities", "segmentation", "picture", "vector", "raw"] | None = Field(
        None, alias="as"
    )
    only: Literal["train"] | None = None
    weight: Annotated[float | None, Field(ge=0, le=1e6)] = None

    @model_validator(mode="after")
    def _fits_together(self) -> "OutputPart":
        if self.weight is not None and self.only is None:
            raise ValueError("has a `weight`, which only outputs with `only: train` take")
        if self.kind is not None and self.only is not None:
            raise ValueError("has an `as`, which outputs with `only: train` do not take")
        return self


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Item:
    """One entry of a list of nodes: an op, an instance of a block, a `group` or an `each`.

    `attributes` holds all attributes except `name`, `from`, `when`, `repeat`, `share` and `allow`. A group or an `each`
    has a `body`. An item that could not be read is `broken`: its outputs are unknown. `bare` is a value that was given
    instead of a mapping of attributes.
    """

    op: str
    span: Span
    attributes: Value
    name: Value | None = None
    source: Value | None = None
    when: Value | None = None
    repeat: Value | None = None
    share: Value | None = None
    body: "Block | None" = None
    broken: bool = False
    bare: Value | None = None
    allow: tuple[Allow, ...] = ()


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Block:
    """A parsed block. A param whose default is null must be set by each instance."""

    name: str
    span: Span
    items: tuple[Item, ...]
    params: dict[str, Value] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("input",)
    outputs: dict[str, Value] | None = None
    index_names: bool = False
    text: Value | None = None  # the definition as written
    allow: tuple[Allow, ...] = ()


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Spec:
    """A parsed spec: the text is well-formed, and the names of all ops, attributes and blocks are known.

    A library is a file with only blocks: it has no inputs and no items, and gives no graph.
    """

    source: Source
    root: Value
    name: str
    description: str | None
    params: dict[str, Value]
    inputs: Value | None
    outputs: Value | None
    blocks: dict[str, Block]
    items: tuple[Item, ...]
    labels: tuple[str, ...] | None
    budget: Budget | None
    train: Train | None
    library: bool = False
    allow: tuple[Allow, ...] = ()
