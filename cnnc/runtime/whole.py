"""Models of ours must be as cnnc wrote them: most flipped bits would only make other predictions.

In: a `ModelFile`. A file that was damaged, or rewritten by another tool, is E501; one without a seal, which is of other
makers or of an earlier cnnc, passes. Hashes are computed in threads, while onnxruntime is imported. Damage in a small
file is known before onnxruntime sees it, which might die of it; of a large one, which is weights all but a few bytes,
when onnxruntime has loaded it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from cnnc.diagnostics import CnncError, Code
from cnnc.runtime.model_file import ModelFile, unreadable
from cnnc.targets import seal

LARGE = 2**26


@contextmanager
def required_whole(model: ModelFile) -> Iterator[None]:
    """Load the model in the body; raises CnncError (E501) where a file of it is not as cnnc wrote it.

    That is told in the place of whatever the body raises.
    """
    try:
        expected = seal.sealed_digest(model.head, model.metadata)
    except seal.Changed as error:
        raise _changed(model.path, error) from error
    if expected is None:
        yield
        return
    hashing = _Hashing(model.path, expected)
    if os.path.getsize(model.path) < LARGE:
        import onnxruntime  # noqa: F401 - which takes longer than the hash

        hashing.finish()
        yield
        return
    try:
        yield
    finally:
        hashing.finish()


class _Hashing:
    """A file's hash in the making."""

    def __init__(self, path: str, expected: str) -> None:
        self._path, self._expected = path, expected
        self._found: str | OSError = ""
        self._thread = Thread(target=self._hash, daemon=True)
        self._thread.start()

    def _hash(self) -> None:
        try:
            self._found = seal.digest_behind(self._path)
        except OSError as error:
            self._found = error

    def finish(self) -> None:
        """Wait for it; raises CnncError (E501)."""
        self._thread.join()
        if isinstance(self._found, OSError):
            raise unreadable(self._path, (self._found.strerror or str(self._found)).lower()) from self._found
        try:
            seal.require_digest(self._found, self._expected)
        except seal.Changed as error:
            raise _changed(self._path, error) from error


def _changed(path: str, error: seal.Changed) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        f"the model {path} is {error}",
        help="take another copy of it, or build it again; `--accept-changed` runs it as it is",
    )
