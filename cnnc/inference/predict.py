"""Pictures to predictions: what `cnnc infer` does.

In: an ONNX file, and pictures. Out: a `Result` a picture. A model that carries our contract runs in this process,
because every picture is held against the contract first; any other model needs one float32 input (N, 1 or 3, H, W),
runs in a child process, and gets pictures scaled to 0..1. Imports neither torch, onnx, networkx nor pydantic.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.artifacts.contract import CONTRACT, Contract, InputContract
from cnnc.columns import left, widest
from cnnc.data.pictures import SUFFIXES, open_picture, prepare
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.missing_packages import named
from cnnc.diagnostics.render import as_json, visible
from cnnc.inference.integrity import OpenModel, open_model
from cnnc.inference.providers import TIMEOUT
from cnnc.inference.session import Port, Runner, Session
from cnnc.ops.types import MODES

_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A class (its index, and its label where the model has labels) and its score, a probability."""

    index: int
    label: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Result:
    """What the model says of one picture: the best classes first, the provider, the time of the run alone, remarks."""

    image: str
    predictions: tuple[Prediction, ...]
    provider: str
    milliseconds: float
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `json` takes them."""
        return asdict(self)

    def as_text(self) -> str:
        """The picture, and a line a class: its rank, its label or index, its score."""
        names = [visible(each.label or f"class {each.index}") for each in self.predictions]
        width = widest(names)
        lines = [
            f"{rank:3}. {left(name, width)}  {each.score:7.2%}"
            for rank, (name, each) in enumerate(zip(names, self.predictions, strict=True), 1)
        ]
        notes = [f"  note: {visible(note)}" for note in self.notes]
        return "\n".join([f"{visible(self.image)} ({self.provider}, {self.milliseconds:.1f} ms)", *notes, *lines])


@dataclass(frozen=True, slots=True)
class Failed:
    """A picture, or a folder of them, that came to nothing."""

    image: str
    error: CnncError

    def as_json(self) -> dict[str, Any]:
        """A result's keys without an answer, and why."""
        unanswered = asdict(Result(self.image, (), "", 0.0))
        diagnostics = [as_json(each) for each in self.error.diagnostics]
        return {**unanswered, "provider": None, "milliseconds": None, "diagnostics": diagnostics}


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model. `notes` holds what the user should know once, such as why the GPU is not used."""

    path: str
    contract: Contract
    runner: Runner
    notes: tuple[str, ...] = ()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.close()


@named("infer", "running a model")
def load_model(
    model: str | os.PathLike[str] | OpenModel,
    provider: str = "auto",
    *,
    allow_external: bool = False,
    accept_changed: bool = False,
    timeout: float = TIMEOUT,
) -> Model:
    """Load an ONNX file, by its path or open. Use as a context manager.

    Raises CnncError: E501 not an ONNX model, or not as cnnc wrote it, E502 one that takes no picture or ranks no
    classes, E506 the provider cannot run here, E507 onnxruntime dies of it. `allow_external` follows weights in other
    files of the model's folder, `accept_changed` takes a file of ours that has been damaged or rewritten. `timeout` is
    the most seconds that a model without our metadata may take to be loaded, and to run: E507 where it takes longer.
    `provider` is `auto`, `cpu`, `cuda` or `tensorrt`.
    """
    opened = model if isinstance(model, OpenModel) else open_model(model, accept_changed=accept_changed)
    try:
        return _load(opened, provider, allow_external=allow_external, timeout=timeout)
    finally:
        opened.require_whole()  # in the place of whatever else is wrong


def _load(opened: OpenModel, provider: str, *, allow_external: bool, timeout: float) -> Model:
    file = opened.file
    text = file.metadata.get(CONTRACT)
    contract = Contract.from_json(text) if text is not None else None
    if contract is not None and contract.input.mode is None:
        raise _unsuited(file.path, f"its input {contract.input.name!r} {list(contract.input.shape)} is not a picture")
    runner: Runner
    if contract is not None:
        runner = Session(file, provider, allow_external=allow_external or opened.data is not None)
    else:
        from cnnc.inference.child import Child

        runner = Child(file.path, provider, allow_external=allow_external, timeout=timeout)
    try:
        notes = [] if runner.choice.asked else [f"provider {runner.choice.name}: {runner.choice.reason}"]
        if contract is None:
            contract = _guess(file.path, runner)
            notes.append("the model carries no cnnc contract: pictures are scaled to 0..1 and not normalised")
        _check_ports(file.path, contract, runner)
    except CnncError:
        runner.close()
        raise
    return Model(file.path, contract, runner, tuple(notes))


def infer(model: Model, picture: str | os.PathLike[str], top_k: int = 5) -> Result:
    """The `top_k` best classes for one picture, at least one.

    Raises CnncError: E503 to E505 for the picture, E507 where the run fails, E502 where the output ranks no classes.
    """
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}, at least one class must be asked for")
    opened = open_picture(picture)
    array = prepare(opened, model.contract.input)[None]
    output, milliseconds = model.runner.run(array, model.contract.input.name, model.contract.outputs[0])
    scores = _scores(_vector(model, output), model.contract.scores)
    labels = model.contract.labels
    if labels is not None and len(labels) != len(scores):
        raise _unsuited(model.path, f"its contract names {len(labels)} classes, its output has {len(scores)}")
    best = np.argsort(-scores, kind="stable")[:top_k]
    predictions = tuple(Prediction(int(i), labels[i] if labels else None, float(scores[i])) for i in best)
    return Result(opened.path, predictions, model.runner.choice.name, milliseconds, opened.notes)


def infer_many(model: Model, paths: Iterable[str | os.PathLike[str]], top_k: int = 5) -> Iterator[Result | Failed]:
    """Infer each picture of `paths`, in order; a folder stands for its pictures. An error ends only its picture."""
    for path in paths:
        try:
            for picture in _expand(os.fspath(path)):
                yield _attempt(model, picture, top_k)
        except CnncError as error:
            yield Failed(os.fspath(path), error)


def _attempt(model: Model, picture: str, top_k: int) -> Result | Failed:
    try:
        return infer(model, picture, top_k)
    except CnncError as error:
        return Failed(picture, error)


def _expand(path: str) -> list[str]:
    """The path itself, or for a folder the pictures right in it, by name; hidden files are none."""
    if not os.path.isdir(path):
        return [path]
    try:
        names = sorted(name for name in os.listdir(path) if os.path.splitext(name)[1].lower() in SUFFIXES)
    except OSError as error:
        raise CnncError.of(Code.PICTURE_UNREADABLE, f"cannot read the folder {path}: {error.strerror}") from error
    pictures = [os.path.join(path, name) for name in names if not name.startswith(".")]
    pictures = [each for each in pictures if not os.path.isdir(each)]
    if not pictures:
        raise CnncError.of(
            Code.PICTURE_UNREADABLE,
            f"the folder {path} holds no pictures",
            help=f"it is searched for files that end in {', '.join(sorted(SUFFIXES))}; folders inside it are not",
        )
    return pictures


def _guess(path: str, runner: Runner) -> Contract:
    """What can be known of a model that says nothing: one input that must look like a picture's."""
    if len(runner.inputs) != 1:
        names = ", ".join(port.name for port in runner.inputs)
        raise _unsuited(path, f"it has {len(runner.inputs)} inputs ({names})")
    if not runner.outputs:
        raise _unsuited(path, "it has no outputs")
    port = runner.inputs[0]
    mode = MODES.get(port.shape[1] or 0) if len(port.shape) == 4 else None
    if mode is None:
        raise _unsuited(path, f"its input {_show(port)} is not a picture")
    about = InputContract(name=port.name, shape=port.shape[1:], mode=mode)
    return Contract(input=about, outputs=tuple(port.name for port in runner.outputs), scores=None)


def _check_ports(path: str, contract: Contract, runner: Runner) -> None:
    """The graph's own ports must be what the contract says, or the check of a picture's size would check nothing."""
    source = next((port for port in runner.inputs if port.name == contract.input.name), None)
    target = next((port for port in runner.outputs if port.name == contract.outputs[0]), None)
    if source is None or target is None:
        missing = contract.input.name if source is None else contract.outputs[0]
        raise _unsuited(path, f"its graph lacks {missing!r}, which its contract names")
    if len(runner.inputs) != 1:
        raise _unsuited(path, f"it has {len(runner.inputs)} inputs")
    if source.type != "tensor(float)" or (source.shape and source.shape[0] not in (None, 1)):
        raise _unsuited(path, f"its input {_show(source)} does not take one float32 picture")
    if source.shape[1:] != contract.input.shape:
        raise _unsuited(path, f"its input {_show(source)} is not what its contract says: {list(contract.input.shape)}")
    if target.type not in _FLOATS or not target.shape or sum(side not in (1, None) for side in target.shape[1:]) > 1:
        raise _unsuited(path, f"its output {_show(target)} is not one score a class")


def _show(port: Port) -> str:
    sides = ", ".join("?" if side is None else str(side) for side in port.shape)
    return f"{port.name!r} {port.type} [{sides}]"


def _unsuited(path: str, reason: str) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNSUITED,
        f"infer cannot use the model {path}: {reason}",
        help="infer takes a model with one float32 input [N, 1 or 3, height, width] and an output of one score a class",
    )


def _vector(model: Model, output: NDArray[Any]) -> NDArray[np.float64]:
    """The output without its batch and its sides of 1; it must be one finite number a class."""
    values = np.asarray(output, np.float64).reshape(-1)
    if values.size == 0 or values.size != max(output.shape, default=1):
        raise _unsuited(model.path, f"its output came as {list(output.shape)}, which is not one score a class")
    if not np.isfinite(values).all():
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{model.path}: {int((~np.isfinite(values)).sum())} of the output's {values.size} numbers are not finite",
            help="the weights are damaged or the training diverged: `cnnc build` refuses weights that are not finite",
        )
    return values


def _scores(values: NDArray[np.float64], kind: str | None) -> NDArray[np.float64]:
    """Probabilities. Where nobody said what the numbers are, what looks like probabilities is taken for them."""
    if kind is None:
        inside = bool(((values >= 0) & (values <= 1)).all())
        kind = "probabilities" if inside and (values.size == 1 or abs(values.sum() - 1) <= 1e-3) else "logits"
    if kind == "probabilities":
        return values
    if kind == "log_probabilities":
        return np.exp(values)
    if values.size == 1:  # one logit is a yes or no; softmax would call it certain
        return np.asarray(0.5 * (1 + np.tanh(values / 2)))
    odds = np.exp(values - values.max())
    return np.asarray(odds / odds.sum())
