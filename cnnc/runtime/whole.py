"""Models of ours must be as cnnc wrote them: most flipped bits would only make other predictions.

In: a `ModelFile`. A file that was damaged, or rewritten by another tool, is E501; one without a seal, which is of other
makers or of an earlier cnnc, passes. The hash is computed in a thread, while the caller does something else.
"""

from collections.abc import Callable
from threading import Thread

from cnnc.diagnostics import CnncError, Code
from cnnc.runtime.model_file import ModelFile, unreadable
from cnnc.targets import seal


def begin_check(model: ModelFile) -> Callable[[], None] | None:
    """Begin to hash the model's file; what is given back waits for the end. None where there is nothing to check.

    Both raise CnncError (E501).
    """
    try:
        expected = seal.sealed_digest(model.head, model.metadata)
    except seal.Changed as error:
        raise _changed(model.path, error) from error
    if expected is None:
        return None
    found: list[str | OSError] = []
    thread = Thread(target=_hash, args=(model.path, found), daemon=True)
    thread.start()

    def finish() -> None:
        thread.join()
        (result,) = found
        if isinstance(result, OSError):
            raise unreadable(model.path, (result.strerror or str(result)).lower()) from result
        try:
            seal.require_digest(result, expected)
        except seal.Changed as error:
            raise _changed(model.path, error) from error

    return finish


def _hash(path: str, found: list[str | OSError]) -> None:
    try:
        found.append(seal.digest_behind(path))
    except OSError as error:
        found.append(error)


def _changed(path: str, error: seal.Changed) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        f"the model {path} is {error}",
        help="take another copy of it, or build it again; `--accept-changed` runs it as it is",
    )
