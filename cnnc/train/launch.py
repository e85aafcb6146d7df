"""`--devices N`: run the same command as N processes, as torchrun does, and return one exit code.

Only the first process prints. The output of the others is kept, and printed if the first was killed or failed silently.
Signals are forwarded to all. If one process fails, the others get a grace period to report why, and are then killed.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Any

from cnnc.train.devices import SILENT_FAILURE
from cnnc.train.interrupt import SIGNALS, SUPERVISOR

GRACE = 20.0  # seconds for the others after one has failed


def started_by_launcher() -> bool:
    """Return whether this process is a rank; if so, suppress the C++ traces that torch would print."""
    rank = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    if rank:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return rank


def launch(arguments: Sequence[str], count: int) -> int:
    """Run `cnnc ARGUMENTS` as `count` ranks; returns the exit code of the first that fails, or 0."""
    with tempfile.TemporaryFile() as kept:
        port = os.environ.get("MASTER_PORT") or str(_free_port())
        ranks = [_start(arguments, rank, count, port, kept if rank else None) for rank in range(count)]
        before = {each: signal.signal(each, lambda number, frame: _send(ranks, number)) for each in SIGNALS}
        try:
            code = _wait(ranks)
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
            _send(ranks, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        if ranks[0].returncode < 0 or ranks[0].returncode == SILENT_FAILURE:
            kept.seek(0)
            sys.stderr.buffer.write(kept.read())
    return code


def _start(
    arguments: Sequence[str], rank: int, count: int, port: str, output: IO[bytes] | None
) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": "cnnc",  # tells lightning-fabric that the processes are already started
        SUPERVISOR: str(os.getpid()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count))),
    }
    # a session of its own: the rank gets only the signals that this process forwards
    session: dict[str, Any] = {} if sys.platform == "win32" else {"start_new_session": True}
    return subprocess.Popen(
        [sys.executable, "-m", "cnnc", *arguments], env=environment, stdout=output, stderr=output, **session
    )


def _wait(ranks: "list[subprocess.Popen[bytes]]") -> int:
    while True:
        codes = [rank.poll() for rank in ranks]
        failed = next((code for code in codes if code), None)
        if failed is not None or None not in codes:
            break
        time.sleep(0.05)
    until = time.monotonic() + GRACE
    while failed and None in [rank.poll() for rank in ranks] and time.monotonic() < until:
        time.sleep(0.05)
    codes = [rank.poll() for rank in ranks]
    code = next((code for code in codes if code and code != SILENT_FAILURE), failed) or 0
    return 1 if code < 0 or code == SILENT_FAILURE else code


def _send(ranks: "list[subprocess.Popen[bytes]]", number: int) -> None:
    for rank in ranks:
        if rank.poll() is None:
            rank.send_signal(number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
