"""Read the structure of an ONNX file without onnx or onnxruntime: nodes, inputs, outputs, sizes of the weights.

Takes a path and returns a `Structure`. The contents of the weights are skipped. Bytes that are no message are E501. The
field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from typing import IO

from cnnc.files.onnx_header import unreadable
from cnnc.files.protobuf import Span, fields, number, part

_TYPES = {  # of onnx.TensorProto.DataType: its name, and the bits of an element
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("string", 0),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    16: ("bfloat16", 16),
    21: ("uint4", 4),
    22: ("int4", 4),
}


@dataclass(frozen=True, slots=True)
class GraphValue:
    """An input or output: its name, the type of its elements, and its shape, with a name or None for an open side."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node: its name and op, and the names of its inputs and outputs."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(slots=True)
class Structure:
    """The structure of a file. `elements` has the number of weights of each type; `bytes` is their size."""

    ir: int = 0
    producer: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: list[GraphValue] = field(default_factory=list)
    outputs: list[GraphValue] = field(default_factory=list)
    nodes: list[GraphNode] = field(default_factory=list)
    elements: Counter[str] = field(default_factory=Counter)
    bytes: int = 0


def read_structure(path: str | os.PathLike[str]) -> Structure:
    """Read the structure of the ONNX file at `path`; raises CnncError (E501) if it is damaged."""
    name, found = os.fspath(path), Structure()
    try:
        with open(name, "rb") as file:
            _read_model(file, (0, os.fstat(file.fileno()).st_size), found)
    except OSError as error:
        raise unreadable(name, (error.strerror or str(error)).lower()) from error
    except (EOFError, ValueError) as error:
        raise unreadable(name, f"its graph is damaged: {error}") from error
    return found


def _read_model(file: IO[bytes], span: Span, into: Structure) -> None:
    producer = {2: "", 3: ""}
    for key, _, content in fields(file, *span):
        if key == 1:
            into.ir = number(file, content)
        elif key in producer:
            producer[key] = _text(file, content)
        elif key == 7:
            _read_graph(file, content, into)
        elif key == 8:
            about = dict(_each(file, content))
            into.opsets[_text(file, about.get(1))] = number(file, about[2]) if 2 in about else 0
    into.producer = " ".join(filter(None, producer.values()))


def _read_graph(file: IO[bytes], span: Span, into: Structure) -> None:
    weights = set()
    for key, content in _each(file, span):
        if key == 1:
            into.nodes.append(_node(file, content))
        elif key == 5:
            weights.add(_add_weight(file, content, into))
        elif key == 11:
            into.inputs.append(_value(file, content))
        elif key == 12:
            into.outputs.append(_value(file, content))
    into.inputs = [each for each in into.inputs if each.name not in weights]


def _node(file: IO[bytes], span: Span) -> GraphNode:
    texts: Mapping[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for key, content in _each(file, span):
        if key in texts:
            texts[key].append(_text(file, content))
    inputs, outputs, names, ops = texts.values()
    return GraphNode("".join(names[-1:]), "".join(ops[-1:]), tuple(inputs), tuple(outputs))


def _add_weight(file: IO[bytes], span: Span, into: Structure) -> str:
    """Count an initializer, and return its name."""
    name, sides, type = "", list[int](), 0
    for key, content in _each(file, span):
        if key == 1:
            sides += _numbers(file, content)
        elif key == 2:
            type = number(file, content)
        elif key == 8:
            name = _text(file, content)
    shown, bits = _TYPES.get(type, (f"type {type}", 0))
    into.elements[shown] += prod(sides)
    into.bytes += (prod(sides) * bits + 7) // 8
    return name


def _value(file: IO[bytes], span: Span) -> GraphValue:
    about = dict(_each(file, span))
    tensor = _inside(file, about.get(2), 1)
    type = number(file, tensor[1]) if 1 in tensor else 0
    sides = [dict(_each(file, side)) for key, side in _each(file, tensor.get(2, (0, 0))) if key == 1]
    shape = tuple(number(file, side[1]) if 1 in side else _text(file, side.get(2)) or None for side in sides)
    return GraphValue(_text(file, about.get(1)), _TYPES.get(type, (f"type {type}", 0))[0], shape)


def _inside(file: IO[bytes], span: Span | None, key: int) -> dict[int, Span]:
    """Return the fields of the message in field `key` of the message in `span`."""
    outer = dict(_each(file, span or (0, 0)))
    return dict(_each(file, outer.get(key, (0, 0))))


def _each(file: IO[bytes], span: Span) -> Iterator[tuple[int, Span]]:
    for key, _, content in fields(file, *span):
        yield key, content


def _text(file: IO[bytes], span: Span | None) -> str:
    return "" if span is None else str(part(file, span), "utf-8")


def _numbers(file: IO[bytes], span: Span) -> list[int]:
    """Return the numbers of a repeated field, which are one to a field, or packed into one."""
    content = BytesIO(part(file, span))
    found, end = [], span[1] - span[0]
    while content.tell() < end:
        found.append(number(content, (content.tell(), end)))
    return found
