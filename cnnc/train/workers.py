"""The processes that read pictures for a run: how they begin, and how they end without a word of their own.

A worker serves one process. Signals that reach both (Ctrl-C in a terminal, a batch system that ends a job) are for the
process that it works for, and when that one is gone, however it ended, the worker ends too.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import connection, get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.train.interrupt import SIGNALS

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def context(preload: Sequence[str]) -> BaseContext:
    """How workers begin: from a server that has one thread and has imported `preload`, or anew.

    A copy of this process would hang as soon as it wants a lock that one of the threads here (of gloo, say) held.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    server = get_context("forkserver")
    server.set_forkserver_preload([*preload, __name__])
    _start_server()
    return server


def follow_parent(_: int) -> None:
    """Begin as a worker: leave signals to the process that it works for, end when that has ended, and say nothing.

    What goes wrong with a picture is handed over as data, and a worker that has died is the other process's to tell.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    parent = parent_process()
    assert parent is not None  # only workers come here
    Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def shared(*tensors: "Tensor") -> "tuple[Tensor, ...] | tuple[Diagnostic]":
    """The tensors in memory that both processes see, or what is wrong with that memory.

    The queue between them would do it by itself, later and on a thread, and where it fails wait for ever.
    """
    try:
        return tuple(tensor.share_memory_() for tensor in tensors)  # type: ignore[no-untyped-call]
    except RuntimeError as error:  # torch's way to say that the system refuses
        message = f"a process that reads pictures has no room for a batch in shared memory: {error}"
        return (Diagnostic(Code.RANK_DIED, message, help="give /dev/shm more room (`docker run --shm-size`)"),)


def served(batches: Iterable[T]) -> Iterator[T]:
    """The batches of a DataLoader; raises E515 where one of its workers has died."""
    try:
        yield from batches
    except (EOFError, OSError) as error:  # the connection over which a batch is fetched
        raise _died() from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):  # else an exception that it hands over
            raise
        raise _died() from error


def _died() -> CnncError:
    return CnncError.of(
        Code.RANK_DIED,
        "a process that reads pictures for this run has died, or was killed",
        help="give it more memory where that ran out; `--resume` goes on from the last checkpoint",
    )


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _start_server() -> None:
    """Start the server, unless it runs, with the signals blocked: it hands that down to the workers."""
    from multiprocessing.forkserver import ensure_running
    from multiprocessing.resource_tracker import ensure_running as ensure_tracker

    # by this option the tracker, which outlives a killed run, does not tell of the semaphores that were left behind
    options, sys.warnoptions = sys.warnoptions, [*sys.warnoptions, "ignore:resource_tracker:UserWarning"]
    ensure_tracker()
    sys.warnoptions = options
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
