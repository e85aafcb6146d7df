"""A node of an ONNX graph as the rules of the import see it: inputs as values, attributes by name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.importing.values import ConstantArray, Content, GraphTensor, Symbol, Unsupported

if TYPE_CHECKING:
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node with its inputs; `attributes` are plain Python values, tensors are arrays. `used` are outputs in use."""

    proto: "onnx.NodeProto"
    op: str
    inputs: Sequence[Content | None]
    attributes: dict[str, Any]
    opset: int
    used: Collection[str]

    def require_one_output(self, other: str) -> None:
        """Raise Unsupported if an output after the first, which is `other`, is used."""
        if any(name in self.used for name in self.proto.output[1:]):
            raise Unsupported(f"its second output, {other}, is used")

    def attr(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default."""
        return self.attributes.get(name, default)

    def has(self, place: int) -> bool:
        """Whether the optional input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def value(self, place: int = 0) -> GraphTensor:
        """Return an input that depends on the network's input; raises Unsupported for a constant."""
        given = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(given, GraphTensor):
            raise Unsupported(f"input {place} must depend on the network's input")
        return given

    def known(self, place: int, what: str) -> ConstantArray:
        """Return an input that is a constant; raises Unsupported, which calls it `what`, if it is computed."""
        given = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(given, ConstantArray):
            raise Unsupported(f"{what} must be constant, but {'is missing' if given is None else 'is computed'}")
        return given

    def numbers(self, place: int, what: str) -> list[Any]:
        """Return a constant input as a flat list of numbers or symbols."""
        array = self.known(place, what).array
        return [
            each if isinstance(each, Symbol) else each.item() if hasattr(each, "item") else each
            for each in array.ravel()
        ]

    def ints(self, place: int, what: str) -> list[int]:
        """Return a constant input of fixed integers; raises Unsupported for open sizes."""
        found = self.numbers(place, what)
        if any(isinstance(each, Symbol) or each != int(each) for each in found):
            raise Unsupported(f"{what} depends on the batch, or on an open height or width")
        return [int(each) for each in found]

    def scalar(self, place: int, default: float | None = None) -> float | None:
        """Return an optional constant input of one number."""
        if not self.has(place):
            return default
        found = self.numbers(place, f"input {place}")
        if len(found) != 1 or isinstance(found[0], Symbol):
            raise Unsupported(f"input {place} must be one number")
        return float(found[0])

    def listed(self, name: str, place: int, what: str) -> list[int] | None:
        """Return integers that are an attribute in earlier opsets and an input in later ones; None if left out."""
        if name in self.attributes:
            return [*self.attributes[name]]
        return self.ints(place, what) if self.has(place) else None


def short(number: float) -> float | int:
    """Return a float32 number in the fewest digits that float32 tells apart, as a person would write it."""
    if not np.isfinite(number):
        raise Unsupported(f"an attribute is {number}")
    return float(str(np.float32(number)))


def is_scalar(content: Content | None) -> bool:
    """Whether it is a constant of one number."""
    return isinstance(content, ConstantArray) and content.array.size == 1 and content.array.dtype != object
