"""Models of ours must be as cnnc wrote them: most flipped bits would only make other predictions.

In: a path. Out: an `OpenModel`. A file that was damaged, or rewritten by another tool, is E501; one without a seal,
which is of other makers or of an earlier cnnc, passes. A model of more than 2 GiB has its weights in a file beside it,
whose hash is in its metadata. Hashes are computed in threads, while numpy is imported and onnxruntime loads the model:
of 6,000 graphs with flipped bits and runs of zeros none has killed it before it ran.
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
    """A model's file, the file beside it that holds its weights, if there is one, and the hashes in the making."""

    file: ModelFile
    data: str | None
    hashing: "tuple[_Hashing, ...]"

    def require_whole(self) -> None:
        """Wait for the hashes; raises CnncError (E501) where a file is not as cnnc wrote it."""
        for each in self.hashing:
            each.finish()


def open_model(path: str | os.PathLike[str], *, accept_changed: bool = False) -> OpenModel:
    """Read what the ONNX file at `path` says of itself, and begin to hash it, unless `accept_changed`.

    Raises CnncError (E501) where it is no model, or seen to be rewritten without a hash.
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
    hashing.finish()  # the file is a small one, and what it says of the other shall be true
    data = _data_beside(file)
    assert data is not None
    _require_beside(file, data[0])
    return OpenModel(file, data[0], (_Hashing(data[0], 0, data[1]),))


def _data_beside(model: ModelFile) -> tuple[str, str] | None:
    """The path of the file beside the model that cnnc wrote its weights into, and its SHA-256; raises CnncError (E501).

    None where there is no such file.
    """
    if onnx_seal.DATA not in model.metadata:
        return None
    try:
        said = json.loads(model.metadata[onnx_seal.DATA])
        name, digest = str(said["name"]), str(said["sha256"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise unreadable(model.path, f"its {onnx_seal.DATA} metadata cannot be understood") from error
    if os.path.basename(name) != name:
        raise unreadable(model.path, f"its weights lie in {name!r}, which is no file beside it")
    return os.path.join(os.path.dirname(model.path), name), digest


def _require_beside(model: ModelFile, path: str) -> None:
    try:
        require_file(path, Code.MODEL_UNREADABLE, "file")
    except CnncError as error:
        raise CnncError.of(
            Code.MODEL_UNREADABLE,
            f"the weights of the model {model.path} lie in a file beside it: {error.diagnostics[0].message}",
            help=f"keep {os.path.basename(path)} beside it",
        ) from error


class _Hashing:
    """A file's hash in the making, from its byte `start` on."""

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
        """Wait for it; raises CnncError (E501)."""
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
        help="take another copy of it, or build it again; `--accept-changed` runs it as it is",
    )
