"""Run a model in a child process, which may crash: `Child` is the parent's side, `main` the child's.

Some models crash the process that runs them (even a valid model can, with a 1×1 picture), and some never finish. So
models without a cnnc contract run here, with a time limit for loading and for each run. The child's stdin and stdout
carry lines of JSON, each followed by the bytes of the arrays that it lists. Nothing is pickled, so the answers of a
hostile model's process are only data.
"""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock
from types import MappingProxyType
from typing import IO, Any, NoReturn

import numpy as np

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.diagnostics.missing_packages import not_installed
from cnnc.files.onnx_header import read_model
from cnnc.inference.providers import TIMEOUT, Choice
from cnnc.inference.session import Feeds, Outputs, Port, Session
from cnnc.processes import end_after, reserve_stdout, start, stopped_after

_Message = tuple[dict[str, Any], Outputs]  # a line of JSON, and the arrays that follow it, by name


class Child:
    """A Runner in a child process; after a crash the next run starts a new process."""

    def __init__(
        self,
        path: str,
        wanted: str = "auto",
        *,
        allow_external: bool = False,
        timeout: float = TIMEOUT,
        threads: int | None = None,
    ) -> None:
        """Start the process and load the model there; raises the errors of `Session`, and E507 if the process dies.

        `timeout` is the limit in seconds for loading and for each run; `threads` as for `Session`.
        """
        self._job = {"path": path, "wanted": wanted, "allow_external": allow_external, "threads": threads}
        self._turn = Lock()
        self._timeout = timeout
        self._process = self._start()

    def run(self, feeds: Feeds, targets: Sequence[str]) -> tuple[Outputs, float]:
        """Return the outputs `targets` for arrays of any batch, and the milliseconds; raises CnncError (E507)."""
        with self._turn:  # a crash is then that of one run
            if self._process.poll() is not None:
                self._process = self._start()
            answer, outputs = self._request(self._process, _running(feeds), {"targets": list(targets)}, feeds)
        return outputs, answer["milliseconds"]

    def close(self) -> None:
        """End the process: it exits when its stdin closes."""
        _end(self._process)

    def _start(self) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        process = start("cnnc.inference.child", stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        try:
            answer, _ = self._request(process, "loading the model", self._job)
        except CnncError:
            _end(process)
            raise
        self.inputs, self.outputs = (
            tuple(Port(name, kind, tuple(shape)) for name, kind, shape in answer[end]) for end in ("inputs", "outputs")
        )
        name, providers, reason, asked = answer["choice"]
        self.choice = Choice(name, tuple(providers), reason, asked)
        return process

    def _request(
        self,
        process: "subprocess.Popen[bytes]",
        doing: str,
        request: dict[str, Any],
        feeds: Feeds = MappingProxyType({}),
    ) -> _Message:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        with stopped_after(self._timeout, process) as stopped:
            try:
                _send(process.stdin, request, feeds)
                message = _receive(process.stdout)
            except BrokenPipeError:
                message = None
        if message is None:
            _end(process)
            path = str(self._job["path"])
            raise _too_slow(path, self._timeout, doing) if stopped.is_set() else _died(path, process.returncode, doing)
        if "errors" in message[0]:
            raise CnncError(Diagnostic(Code(code), text, help=help) for code, text, help in message[0]["errors"])
        return message


def _end(process: "subprocess.Popen[bytes]") -> None:
    with (
        suppress(BrokenPipeError),
        process,
    ):  # leaving the context closes the pipes and waits; data that a dead child has not read is lost
        pass


def _running(feeds: Feeds) -> str:
    """Return what the process does, for messages: the size of the first picture, and the batch if it has several."""
    shape = next((each.shape for each in feeds.values() if each.ndim == 4), None)
    if shape is None:
        return "running the model"
    many = "a picture" if shape[0] == 1 else f"{shape[0]} pictures"
    return f"running the model on {many} of {shape[-2]} × {shape[-1]} (height × width)"


def _too_slow(path: str, timeout: float, doing: str) -> CnncError:
    return CnncError.of(
        Code.MODEL_FAILED,
        f"{path}: onnxruntime did not finish {doing} within {timeout:g} s",
        help="if the model is only slow, raise --timeout SECONDS; a model with an endless loop cannot be used",
    )


def _died(path: str, status: int, doing: str) -> CnncError:
    how = f"was killed by {_signal(-status)}" if status < 0 else f"ended with status {status}"
    return CnncError.of(
        Code.MODEL_FAILED,
        f"{path}: onnxruntime {how} while {doing}",
        help="use another picture, or another copy of the model; for models of `cnnc build` the size is checked first",
    )


def _signal(number: int) -> str:
    """Return the signal's name, or its number if it has none (between SIGRTMIN and SIGRTMAX)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _send(stream: IO[bytes], line: dict[str, Any], arrays: Feeds = MappingProxyType({})) -> None:
    listed = [(name, each.shape, each.dtype.name) for name, each in arrays.items()]
    stream.write(json.dumps({**line, "arrays": listed}).encode() + b"\n")
    for each in arrays.values():
        stream.write(each.tobytes())
    stream.flush()


def _receive(stream: IO[bytes]) -> _Message | None:
    """Receive a message of `_send`; None if the stream ends before the message does."""
    text = stream.readline()
    if not text.endswith(b"\n"):
        return None
    line = json.loads(text)
    arrays = {}
    for name, shape, kind in line["arrays"]:
        type = np.dtype(kind)
        size = math.prod(shape) * type.itemsize
        data = stream.read(size)
        if len(data) < size:
            return None
        arrays[name] = np.frombuffer(data, type).reshape(shape)
    return line, arrays


def _load(job: dict[str, Any]) -> tuple[Session, dict[str, Any]]:
    model = read_model(job["path"])
    session = Session(model, job["wanted"], allow_external=job["allow_external"], threads=job["threads"])
    ports = {
        kind: [(port.name, port.type, port.shape) for port in ports]
        for kind, ports in (("inputs", session.inputs), ("outputs", session.outputs))
    }
    choice = session.choice
    return session, {**ports, "choice": (choice.name, choice.providers, choice.reason, choice.asked)}


def _read(requests: IO[bytes], into: "SimpleQueue[_Message]") -> None:
    """Read requests, while a model is loaded or runs, until the parent closes the stream."""
    while (message := _receive(requests)) is not None:
        into.put(message)


def _serve(requests: "SimpleQueue[_Message]", answers: IO[bytes]) -> NoReturn:
    session, ports = _load(requests.get()[0])
    _send(answers, ports)
    while True:
        request, feeds = requests.get()
        try:
            outputs, milliseconds = session.run(feeds, request["targets"])
        except CnncError as error:
            _send(answers, _errors(error))
        else:
            _send(answers, {"milliseconds": milliseconds}, outputs)


def _errors(error: CnncError) -> dict[str, Any]:
    return {"errors": [(one.code.value, one.message, one.help) for one in error.diagnostics]}


def main() -> None:
    """Serve the parent until it closes stdin. Other output goes to stderr, because stdout carries the protocol."""
    requests: SimpleQueue[_Message] = SimpleQueue()
    end_after(partial(_read, sys.stdin.buffer, requests))
    answers = reserve_stdout()
    try:
        _serve(requests, answers)
    except ModuleNotFoundError as error:
        if (missing := not_installed(error, "infer", "running a model")) is None:
            raise
        _send(answers, _errors(missing))
    except CnncError as error:
        _send(answers, _errors(error))


if __name__ == "__main__":
    main()
