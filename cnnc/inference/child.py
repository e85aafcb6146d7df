"""A model in a process of its own, which may die of it: `Child` is the parent's end, `main` the child's.

Some models kill the process that runs them (a picture of 1×1 is enough for a valid one), and some never come to an end,
so those that carry no contract of ours run here, each load and each run for a limited time. Over the child's stdin and
stdout go lines of JSON and behind each the bytes of an array, which may be empty. Nothing is pickled: what a hostile
model's process answers is data.
"""

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.diagnostics.missing_packages import not_installed
from cnnc.files.onnx_header import read_model
from cnnc.inference.providers import TIMEOUT, Choice
from cnnc.inference.session import Port, Session
from cnnc.inference.time_limit import stopped_after

_Message = tuple[dict[str, Any], NDArray[Any]]  # a line of JSON, and the array behind it
_NOTHING = np.empty(0, np.float32)


class Child:
    """A Runner in a process of its own; after a crash the next run starts a new one."""

    def __init__(
        self, path: str, wanted: str = "auto", *, allow_external: bool = False, timeout: float = TIMEOUT
    ) -> None:
        """Start the process and load the model there; raises what `Session` raises, and E507 where it dies of that.

        `timeout` is the most seconds that loading, and each run, may take.
        """
        self._job = {"path": path, "wanted": wanted, "allow_external": allow_external}
        self._timeout = timeout
        self._process = self._start()

    def run(self, array: NDArray[np.float32], source: str, target: str) -> tuple[NDArray[Any], float]:
        """Output `target` for `array` at input `source`, and the milliseconds; raises CnncError (E507)."""
        if self._process.poll() is not None:
            self._process = self._start()
        doing = f"running the model on a picture of {array.shape[-2]} × {array.shape[-1]} (height × width)"
        answer, output = self._ask(self._process, doing, {"source": source, "target": target}, array)
        return output, answer["milliseconds"]

    def close(self) -> None:
        """End the process: it stops when its stdin does."""
        _end(self._process)

    def _start(self) -> "subprocess.Popen[bytes]":
        folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cnnc.inference.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))},
        )
        try:
            answer, _ = self._ask(process, "loading the model", self._job)
        except CnncError:
            _end(process)
            raise
        self.inputs, self.outputs = (
            tuple(Port(name, kind, tuple(shape)) for name, kind, shape in answer[end]) for end in ("inputs", "outputs")
        )
        name, providers, reason, asked = answer["choice"]
        self.choice = Choice(name, tuple(providers), reason, asked)
        return process

    def _ask(
        self,
        process: "subprocess.Popen[bytes]",
        doing: str,
        request: dict[str, Any],
        array: NDArray[Any] = _NOTHING,
    ) -> _Message:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        with stopped_after(self._timeout, process) as stopped:
            try:
                _send(process.stdin, request, array)
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
    ):  # leaving it closes the pipes and waits; what a dead child did not read is lost
        pass


def _too_slow(path: str, timeout: float, doing: str) -> CnncError:
    return CnncError.of(
        Code.MODEL_FAILED,
        f"{path}: onnxruntime was stopped after {timeout:g} s of {doing}",
        help="a model that is only slow gets more time with --timeout SECONDS; one with an endless loop can't be used",
    )


def _died(path: str, status: int, doing: str) -> CnncError:
    how = f"was killed by {_signal(-status)}" if status < 0 else f"ended with status {status}"
    return CnncError.of(
        Code.MODEL_FAILED,
        f"{path}: onnxruntime {how} while {doing}",
        help="the model cannot take this picture, or its file is damaged; models from `cnnc build` say what they take",
    )


def _signal(number: int) -> str:
    """The signal's name; those between SIGRTMIN and SIGRTMAX have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _send(stream: IO[bytes], line: dict[str, Any], array: NDArray[Any] = _NOTHING) -> None:
    stream.write(json.dumps({**line, "shape": array.shape, "type": array.dtype.name}).encode() + b"\n")
    stream.write(array.tobytes())
    stream.flush()


def _receive(stream: IO[bytes]) -> _Message | None:
    """What `_send` sent; None where the stream ends before that does."""
    text = stream.readline()
    if not text.endswith(b"\n"):
        return None
    line = json.loads(text)
    kind = np.dtype(line["type"])
    data = stream.read(math.prod(line["shape"]) * kind.itemsize)
    if len(data) < math.prod(line["shape"]) * kind.itemsize:
        return None
    return line, np.frombuffer(data, kind).reshape(line["shape"])


def _load(job: dict[str, Any]) -> tuple[Session, dict[str, Any]]:
    session = Session(read_model(job["path"]), job["wanted"], allow_external=job["allow_external"])
    ports = {
        kind: [(port.name, port.type, port.shape) for port in ports]
        for kind, ports in (("inputs", session.inputs), ("outputs", session.outputs))
    }
    choice = session.choice
    return session, {**ports, "choice": (choice.name, choice.providers, choice.reason, choice.asked)}


def _read(requests: IO[bytes], into: "SimpleQueue[_Message]") -> None:
    """Take in requests while a model is loaded or runs. When the parent is gone, so is this process, in mid-run too."""
    while (message := _receive(requests)) is not None:
        into.put(message)
    os._exit(0)


def _serve(requests: "SimpleQueue[_Message]", answers: IO[bytes]) -> NoReturn:
    session, ports = _load(requests.get()[0])
    _send(answers, ports)
    while True:
        request, array = requests.get()
        try:
            output, milliseconds = session.run(array, request["source"], request["target"])
        except CnncError as error:
            _send(answers, _errors(error))
        else:
            _send(answers, {"milliseconds": milliseconds}, output)


def _errors(error: CnncError) -> dict[str, Any]:
    return {"errors": [(one.code.value, one.message, one.help) for one in error.diagnostics]}


def main() -> None:
    """Serve one parent until it closes our stdin. Whatever else prints goes to stderr: stdout is the protocol's."""
    requests: SimpleQueue[_Message] = SimpleQueue()
    Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
