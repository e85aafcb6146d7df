"""The pydantic models of the parts of a spec file, and the named tuples that the rest of the compiler uses.

The models check keys and plain values; parts that may contain expressions or nodes stay a `Value`.
`cnnc.language.parse` reads nodes one by one, so that every error has its own place.
"""

import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from cnnc.diagnostics import Allow, Source, Span
from cnnc.language.part import Part
from cnnc.language.recipe import Train
from cnnc.ops.attributes import Accepts
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
Count = Annotated[int, BeforeValidator(_count), Field(ge=0, le=2**62), Accepts(_Whole | _Text)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0, le=2**62), Accepts(_Whole | _Text)]


class Budget(Part):
    """The limits on the cost of a network that `cnnc check` enforces."""

    params: Count | None = None
    macs: Count | None = None
    activations: Bytes | None = Field(None, description="bytes alive at once at batch 1 in float32")


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


WORDS = ("name", "from", "when", "repeat", "share", "allow")  # of every node


class Item(NamedTuple):
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


class Block(NamedTuple):
    """A parsed block. A param whose default is null must be set by each instance."""

    name: str
    span: Span
    items: tuple[Item, ...]
    params: dict[str, Value]
    inputs: tuple[str, ...] = ("input",)
    outputs: dict[str, Value] | None = None
    index_names: bool = False
    text: Value | None = None  # the definition as written
    allow: tuple[Allow, ...] = ()


class Spec(NamedTuple):
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
