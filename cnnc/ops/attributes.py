"""Annotated pydantic types for the attributes of ops.

Each validates plain data (ints, floats, strings, lists) strictly and normalises it: `3` becomes the pair (3, 3).
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema

from cnnc.ops.activation_names import ACTIVATIONS

LARGEST = 2**31 - 1
LARGEST_WINDOW = 2**20
MOST_AXES = 6


class Accepts:
    """The type that the JSON schema shows for a value that a `BeforeValidator` converts.

    Unlike the `json_schema_input_type` of pydantic's validators, it costs a check nothing: the models of `conv` and
    `max_pool` are built in half the time.
    """

    def __init__(self, written: Any) -> None:
        self.written = written

    def __get_pydantic_json_schema__(self, _: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        from pydantic import TypeAdapter  # slow to import; only the JSON schema needs it

        return TypeAdapter(self.written).json_schema()


Size = Annotated[int, Field(ge=1, le=LARGEST)]
Factor = Annotated[int, Field(ge=1, le=1024)]
Signed = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e30)]
Divisor = Annotated[float, Field(ge=1e-30, le=1e30)]  # not zero in float32
NonNegative = Annotated[float, Field(ge=0, le=1e30)]
Real = Annotated[float, Field(ge=-1e30, le=1e30)]

Pair = tuple[int, int]
_Extent = Annotated[int, Field(ge=1, le=LARGEST_WINDOW)]
_Pad = Annotated[int, Field(ge=0, le=LARGEST_WINDOW)]
_Pads = _Pad | tuple[_Pad, _Pad] | tuple[_Pad, _Pad, _Pad, _Pad]
Padding = tuple[int, int, int, int] | Literal["same", "same_lower", "valid"]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _ints(value: Any, least: int, lengths: tuple[int, ...], what: str) -> list[int]:
    items = [value] if _is_int(value) else value
    if not isinstance(items, list | tuple) or len(items) not in lengths or not all(map(_is_int, items)):
        raise ValueError(f"must be {what}")
    if any(not least <= item <= LARGEST_WINDOW for item in items):
        raise ValueError(f"must be at least {least}" if min(items) < least else f"must be at most {LARGEST_WINDOW}")
    return list(items)


def _pair(least: int) -> BeforeValidator:
    def read(value: Any) -> Any:
        items = _ints(value, least, (1, 2), "an integer or a pair [height, width]")
        return (items[0], items[-1])

    return BeforeValidator(read)


_SIDES = "an integer, [height, width] or [top, left, bottom, right]"
_RULES = ("same", "same_lower", "valid")


def _pads(value: Any, what: str = _SIDES) -> tuple[int, int, int, int]:
    items = _ints(value, 0, (1, 2, 4), what)
    top, left, bottom, right = items if len(items) == 4 else (items[0], items[-1], items[0], items[-1])
    return top, left, bottom, right


def _padding(value: Any) -> Any:
    if value in _RULES:
        return value
    return _pads(value, _SIDES.replace(" or", ",") + ", same, same_lower or valid")


SizePair = Annotated[tuple[int, int], _pair(1), Accepts(_Extent | tuple[_Extent, _Extent])]
IndexPair = Annotated[tuple[int, int], _pair(0), Accepts(_Pad | tuple[_Pad, _Pad])]
Sides = Annotated[tuple[int, int, int, int], BeforeValidator(_pads), Accepts(_Pads)]
PaddingAttribute = Annotated[
    Padding, BeforeValidator(_padding), Accepts(_Pads | Literal["same", "same_lower", "valid"])
]


def _int_list(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not value or not all(map(_is_int, value)):
        raise ValueError("must be a list of integers")
    if max(map(abs, value)) > LARGEST:
        raise ValueError(f"must be at most {LARGEST}")
    return tuple(value)


IntList = Annotated[tuple[int, ...], BeforeValidator(_int_list)]
AxesAttribute = Annotated[
    tuple[int, ...],
    BeforeValidator(lambda value: _int_list([value] if _is_int(value) else value)),
    Accepts(int | list[int]),
    Field(max_length=MOST_AXES),
]


def _activation(value: Any) -> Any:
    if value not in ACTIVATIONS:
        raise ValueError(f"must be one of {', '.join(ACTIVATIONS)}")
    return value


ActivationName = Annotated[
    str, BeforeValidator(_activation), WithJsonSchema({"type": "string", "enum": list(ACTIVATIONS)})
]


def _node(value: Any) -> Any:
    return str(value) if _is_int(value) else value


NodeName = Annotated[str, BeforeValidator(_node)]
