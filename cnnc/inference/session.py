"""Load and run a model with onnxruntime in this process.

Takes a `ModelFile` and a provider, and returns a `Session`. Weights in other files are read only if allowed. If a
provider fails, the CPU replaces it only if the user did not name the provider. Errors are one line, and logs are off.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnc.diagnostics import CnncError, Code
from cnnc.files.onnx_header import ModelFile
from cnnc.inference.providers import Choice, cannot_run, choose, fall_back, output_suppressed

if TYPE_CHECKING:
    import onnxruntime

Feeds = Mapping[str, NDArray[Any]]  # inputs by name
Outputs = dict[str, NDArray[Any]]  # outputs by name

_FATAL = 4
_LONGEST = 300
# onnxruntime looks for external data in this folder; it cannot exist, so that every such file is missing
_NOWHERE = os.path.join(os.devnull, "nowhere")
_FOLDER = "session.model_external_initializers_file_folder_path"
_SPINNING = "session.intra_op.allow_spinning"  # threads that wait for the next picture would use as much as the others
_PACKED = "session.disable_prepacking"  # a profile does not show weights that were packed
_EXTERNAL_HELP = "--allow-external lets `cnnc infer` read weights in other files of the model's folder"
_MISSING = re.compile(r'External data path does not exist: "(.+)"')
_NOISE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |^Load model from .+? failed: ?"
    r"|^\S+\.(?:cc|h|cpp):\d+ .*?\)(?: const)? (?=[A-Z])"
)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a model: name, onnxruntime's type (`tensor(float)`), shape, with None for open sides."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class Runner(Protocol):
    """A loaded model, in this process or in a child; any number of threads may run it."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    choice: Choice

    def run(self, feeds: Feeds, targets: Sequence[str]) -> tuple[Outputs, float]:
        """Return the outputs `targets` for arrays of any batch, and the milliseconds; raises CnncError (E507)."""

    def close(self) -> None:
        """Release the model's resources."""


class Session:
    """A Runner in this process."""

    def __init__(
        self,
        model: ModelFile,
        wanted: str = "auto",
        *,
        allow_external: bool = False,
        threads: int | None = None,
        profile: str | None = None,
        optimize: bool = True,
    ) -> None:
        """Load; raises CnncError: E502 if onnxruntime cannot run the model, E506 if `wanted` cannot run here.

        `threads` is the number of threads of each run on the CPU, by default one per core. `profile` is the start of
        the path of onnxruntime's profile, which `end_profile` writes. Without `optimize`, the nodes run as they are in
        the file.
        """
        options = _options(allow_external, threads, profile, optimize=optimize)
        self._session, self.choice = _create(model, choose(wanted), options, allow_external)
        # each thread that runs on a GPU at the same time would keep memory of its own there
        self._turn: AbstractContextManager[object] = nullcontext() if self.choice.name == "cpu" else Lock()
        self.inputs = tuple(map(_port, self._session.get_inputs()))
        self.outputs = tuple(map(_port, self._session.get_outputs()))

    def run(self, feeds: Feeds, targets: Sequence[str]) -> tuple[Outputs, float]:
        """Return the outputs `targets` for arrays of any batch, and the milliseconds; raises CnncError (E507)."""
        with self._turn:
            started = time.perf_counter()
            try:
                outputs = self._session.run(list(targets), dict(feeds))
            except Exception as error:  # onnxruntime's exceptions have no common base class
                message = f"onnxruntime could not run the model: {_plain(error)}"
                raise CnncError.of(Code.MODEL_FAILED, message) from error
            milliseconds = (time.perf_counter() - started) * 1000
        return {name: np.asarray(each) for name, each in zip(targets, outputs, strict=True)}, milliseconds

    def end_profile(self) -> str:
        """Write the profile of all runs so far, and return its path."""
        return str(self._session.end_profiling())

    def close(self) -> None:
        """Do nothing: the session is released with this object."""


def _options(
    allow_external: bool, threads: int | None, profile: str | None, *, optimize: bool
) -> "onnxruntime.SessionOptions":
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry(_SPINNING, "0")
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry(_PACKED, "1")
    if not allow_external:
        options.add_session_config_entry(_FOLDER, _NOWHERE)
    return options


def _create(
    model: ModelFile, choice: Choice, options: "onnxruntime.SessionOptions", allow_external: bool
) -> "tuple[onnxruntime.InferenceSession, Choice]":
    import onnxruntime

    try:
        with output_suppressed():
            session = onnxruntime.InferenceSession(
                model.path, options, providers=list(choice.providers), enable_fallback=0
            )
    except Exception as error:  # as above
        if choice.name == "cpu":
            raise _unsuited(model, error, allow_external) from error
        fault = _plain(error)
    else:
        if choice.providers[0] in session.get_providers():
            return session, choice
        fault = f"onnxruntime cannot load its {choice.providers[0]} (are CUDA and cuDNN installed?)"
    # if the CPU fails too, the model is at fault, not the provider
    session, on_cpu = _create(model, fall_back(fault), options, allow_external)
    if choice.asked:
        raise cannot_run(choice.name, fault)
    return session, on_cpu


def _port(node: Any) -> Port:
    return Port(node.name, node.type, tuple(side if isinstance(side, int) else None for side in node.shape))


def _plain(error: Exception) -> str:
    """Return onnxruntime's message without its prefixes and C++ signatures, as one line of limited length."""
    text = " ".join(str(error).split())
    while (shorter := _NOISE.sub("", text)) != text:
        text = shorter
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _unsuited(model: ModelFile, error: Exception, allow_external: bool) -> CnncError:
    text = _plain(error)
    if missing := _MISSING.search(text):
        name = os.path.basename(missing[1])
        missing_file = ", which is missing" if allow_external else ""
        return CnncError.of(
            Code.MODEL_UNSUITED,
            f"the model {model.path} has weights in another file, {name}{missing_file}",
            help=f"copy {name} to the model's folder" if allow_external else _EXTERNAL_HELP,
        )
    if text.startswith("External data path"):
        return CnncError.of(
            Code.MODEL_UNSUITED,
            f"the model {model.path} has weights in another file: {text}",
            help=_EXTERNAL_HELP,
        )
    code = Code.MODEL_UNREADABLE if "protobuf parsing failed" in text.lower() else Code.MODEL_UNSUITED
    return CnncError.of(code, f"onnxruntime cannot load the model {model.path}: {text}")
