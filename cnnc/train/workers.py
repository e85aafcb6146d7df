"""Start and stop the worker processes that read pictures for a run.

A worker serves one parent process. It ignores signals that reach both (Ctrl-C in a terminal, a batch system that ends a
job), and exits silently when the parent has ended, however it ended.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import connection, get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, TypeVar

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.processes import end_after
from cnnc.train.interrupt import SIGNALS

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def context(preload: Sequence[str]) -> BaseContext:
    """Return the start method of workers: a fork server with the modules `preload`, or else spawn.

    A fork of this process could hang on a lock that another thread (of gloo, say) held.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    server = get_context("forkserver")
    server.set_forkserver_preload([*preload, __name__])
    _start_server()
    return server


def follow_parent(_: int) -> None:
    """Set up a worker: ignore signals, exit when the parent has ended, print nothing.

    The worker returns errors of pictures as data, and the parent reports a worker that has died.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    parent = parent_process()
    assert parent is not None  # only workers come here
    end_after(partial(connection.wait, [parent.sentinel]))


def shared(*tensors: "Tensor") -> "tuple[Tensor, ...] | tuple[Diagnostic]":
    """Move tensors to shared memory and return them, or the diagnostic if that fails.

    The DataLoader's queue would do so later, on a thread, and hang if it fails.
    """
    try:
        return tuple(tensor.share_memory_() for tensor in tensors)  # type: ignore[no-untyped-call]
    except RuntimeError as error:  # how torch reports that the system refuses
        message = f"a worker process that reads pictures has no shared memory for a batch: {error}"
        return (Diagnostic(Code.RANK_DIED, message, help="enlarge /dev/shm (`docker run --shm-size`)"),)


def served(batches: Iterable[T]) -> Iterator[T]:
    """Yield the batches of a DataLoader; raises E515 if one of its workers has died."""
    try:
        yield from batches
    except (EOFError, OSError) as error:  # from the connection to the worker
        raise _died() from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):  # an exception of the worker's code
            raise
        raise _died() from error


def _died() -> CnncError:
    return CnncError.of(
        Code.RANK_DIED,
        "a worker process that reads pictures for this run has died or was killed",
        help="if memory ran out, provide more of it; `--resume` continues from the last checkpoint",
    )


def _start_server() -> None:
    """Start the fork server, if it does not run yet, with signals blocked, which the workers inherit."""
    from multiprocessing.forkserver import ensure_running
    from multiprocessing.resource_tracker import ensure_running as ensure_tracker

    # the tracker outlives a killed run; this option keeps it from printing warnings about leaked semaphores
    options, sys.warnoptions = sys.warnoptions, [*sys.warnoptions, "ignore:resource_tracker:UserWarning"]
    try:
        ensure_tracker()
    finally:
        sys.warnoptions = options
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
