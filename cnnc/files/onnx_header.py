"""Reads the metadata of an ONNX file without onnxruntime.

Takes a path and returns the strings in `metadata_props` and the first bytes, which may hold a seal. Only the fields of
the ModelProto itself are read (the graph is skipped), so this is cheap, and a model without a cnnc contract is never
loaded into this process. Empty, truncated, damaged and foreign files are E501.
"""

import os
from dataclasses import dataclass
from io import BytesIO

from cnnc.diagnostics import CnncError, Code
from cnnc.files import onnx_seal
from cnnc.files.checks import require_file, require_utf8
from cnnc.files.protobuf import fields, part

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")

_GRAPH, _METADATA, _KEY, _VALUE = 7, 14, 1, 2  # field numbers of ModelProto and StringStringEntryProto


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that looks like an ONNX model: its `metadata_props`, and its first bytes, which may be a seal."""

    path: str
    metadata: dict[str, str]
    head: bytes


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read the ONNX file at `path`; raises CnncError (E501) if it is not one."""
    name = os.fspath(path)
    require_utf8(name, Code.MODEL_UNREADABLE, "read the model")
    size = require_file(name, Code.MODEL_UNREADABLE, "model")
    head = b""
    try:
        with open(name, "rb") as file:
            head = file.read(onnx_seal.SIZE)
            found = [(number, content) for number, _, content in fields(file, 0, size)]
            metadata = dict(_entry(part(file, content)) for number, content in found if number == _METADATA)
    except OSError as error:
        raise unreadable(name, (error.strerror or str(error)).lower()) from error
    except EOFError as error:
        raise unreadable(name, f"the file is cut off, or {_not_a_model(head)}: {error}") from error
    except ValueError as error:
        raise unreadable(name, f"it is {_not_a_model(head)}") from error
    if not any(number == _GRAPH for number, _ in found):
        raise unreadable(name, f"it is {_not_a_model(head)}: it contains no graph")
    return ModelFile(name, metadata, head)


def _not_a_model(head: bytes) -> str:
    return "damaged" if onnx_seal.is_sealed(head) else "not an ONNX model"


def unreadable(path: str, reason: str) -> CnncError:
    """An E501 error with a reason."""
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        f"cannot read the model {path}: {reason}",
        help="it must be an .onnx file; for a checkpoint, build its spec with --weights, or import its torch module"
        if os.path.splitext(path)[1] in CHECKPOINTS
        else "give an .onnx file, such as one that `cnnc build` wrote",
    )


def _entry(body: bytes) -> tuple[str, str]:
    file = BytesIO(body)
    found = {number: part(file, content) for number, _, content in fields(file, 0, len(body))}
    return str(found.get(_KEY, b""), "utf-8"), str(found.get(_VALUE, b""), "utf-8")
