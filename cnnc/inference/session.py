"""A model loaded by onnxruntime in this process, with onnxruntime's habits kept in check.

In: a `ModelFile` and the wanted provider. Out: a `Session`. Weights in other files are not followed unless told; a
provider that gives up falls back only where the user left the choice to us; errors are one line, logs are off.
"""

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnc.diagnostics import CnncError, Code
from cnnc.files.onnx_header import ModelFile
from cnnc.inference.providers import Choice, cannot_run, choose, fall_back, hushed

if TYPE_CHECKING:
    import onnxruntime

_FATAL = 4
_LONGEST = 300
# onnxruntime looks for external data below this folder; a place that cannot exist makes every such file missing
_NOWHERE = os.path.join(os.devnull, "nowhere")
_FOLDER = "session.model_external_initializers_file_folder_path"
_MISSING = re.compile(r'External data path does not exist: "(.+)"')
_NOISE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |^Load model from .+? failed: ?"
    r"|^\S+\.(?:cc|h|cpp):\d+ .*?\)(?: const)? (?=[A-Z])"
)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a model: name, onnxruntime's type (`tensor(float)`), shape; None for an unknown side."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class Runner(Protocol):
    """A loaded model, in this process or in a child."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    choice: Choice

    def run(self, array: NDArray[np.float32], source: str, target: str) -> tuple[NDArray[Any], float]:
        """Output `target` for `array` at input `source`, and the milliseconds; raises CnncError (E507)."""

    def close(self) -> None:
        """Give back what the model holds."""


class Session:
    """A Runner in this process."""

    def __init__(self, model: ModelFile, wanted: str = "auto", *, allow_external: bool = False) -> None:
        """Load; raises CnncError: E502 where onnxruntime cannot run the model, E506 where `wanted` cannot run here."""
        self._session, self.choice = _create(model, choose(wanted), allow_external)
        self.inputs = tuple(map(_port, self._session.get_inputs()))
        self.outputs = tuple(map(_port, self._session.get_outputs()))

    def run(self, array: NDArray[np.float32], source: str, target: str) -> tuple[NDArray[Any], float]:
        """Output `target` for `array` at input `source`, and the milliseconds; raises CnncError (E507)."""
        started = time.perf_counter()
        try:
            output = self._session.run([target], {source: array})[0]
        except Exception as error:  # onnxruntime's own exceptions have no common base of their own
            raise CnncError.of(Code.MODEL_FAILED, f"onnxruntime could not run the model: {_plain(error)}") from error
        return np.asarray(output), (time.perf_counter() - started) * 1000

    def close(self) -> None:
        """Nothing to do: the session goes with this object."""


def _create(model: ModelFile, choice: Choice, allow_external: bool) -> "tuple[onnxruntime.InferenceSession, Choice]":
    import onnxruntime  # noqa: F401 - where it is not installed, that is not the model's fault

    try:
        with hushed():
            session = _open(model, choice, allow_external)
    except Exception as error:  # as above
        if choice.name == "cpu":
            raise _unsuited(model, error, allow_external) from error
        fault = _plain(error)
    else:
        if choice.providers[0] in session.get_providers():
            return session, choice
        fault = f"onnxruntime cannot load its {choice.providers[0]} (are CUDA and cuDNN there?)"
    # the CPU tells whether the provider or the model is to blame: where it fails too, the model is
    session, on_cpu = _create(model, fall_back(fault), allow_external)
    if choice.asked:
        raise cannot_run(choice.name, fault)
    return session, on_cpu


def _open(model: ModelFile, choice: Choice, allow_external: bool) -> "onnxruntime.InferenceSession":
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    if not allow_external:
        options.add_session_config_entry(_FOLDER, _NOWHERE)
    return onnxruntime.InferenceSession(model.path, options, providers=list(choice.providers), enable_fallback=0)


def _port(node: Any) -> Port:
    return Port(node.name, node.type, tuple(side if isinstance(side, int) else None for side in node.shape))


def _plain(error: Exception) -> str:
    """Give onnxruntime's message without its prefixes and C++ signatures, in one line of bounded length."""
    text = " ".join(str(error).split())
    while (shorter := _NOISE.sub("", text)) != text:
        text = shorter
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _unsuited(model: ModelFile, error: Exception, allow_external: bool) -> CnncError:
    text = _plain(error)
    if missing := _MISSING.search(text):
        name = os.path.basename(missing[1])
        told = f"keeps weights in another file, {name}"
        return CnncError.of(
            Code.MODEL_UNSUITED,
            f"the model {model.path} {told}{', which is not there' if allow_external else ''}",
            help=f"put {name} beside the model"
            if allow_external
            else "infer follows no such file unless told (--allow-external), and then none outside the model's folder",
        )
    if text.startswith("External data path"):
        return CnncError.of(
            Code.MODEL_UNSUITED,
            f"the model {model.path} keeps weights in another file: {text}",
            help="infer follows no such file unless told (--allow-external), and then none outside the model's folder",
        )
    code = Code.MODEL_UNREADABLE if "protobuf parsing failed" in text.lower() else Code.MODEL_UNSUITED
    return CnncError.of(code, f"onnxruntime cannot load the model {model.path}: {text}")
