"""Classify pictures with an ONNX model: the implementation of `cnnc infer`.

Takes an ONNX file and pictures, and yields a `Result` per picture. A model with a cnnc contract runs in this process,
because every picture is checked against the contract first. Any other model must have one float32 input (N, 1 or 3, H,
W); it runs in a child process, and gets pictures scaled to 0..1. A picture takes three steps, which may run on
different threads: `read_picture`, `run_batch`, `answer`. Imports neither torch, onnx, networkx nor pydantic.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.artifacts.contract import CONTRACT, Contract, InputContract
from cnnc.data.pictures import open_picture, prepare
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.missing_packages import named
from cnnc.inference.integrity import OpenModel, open_model
from cnnc.inference.pipeline import in_order
from cnnc.inference.providers import TIMEOUT
from cnnc.inference.results import Failed, Prediction, Result
from cnnc.inference.session import Port, Runner, Session
from cnnc.inference.sources import find_pictures
from cnnc.ops.types import MODES

_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model. `notes` are messages to show once, such as why the GPU is not used."""

    path: str
    contract: Contract
    runner: Runner
    notes: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        """Whether the model takes only one picture at a time."""
        return any(port.shape[:1] == (1,) for port in self.runner.inputs)

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
    threads: int | None = None,
) -> Model:
    """Load an ONNX file, from its path or an OpenModel. Use as a context manager.

    `provider` is `auto`, `cpu`, `cuda` or `tensorrt`. `allow_external` reads weights in other files of the model's
    folder, `accept_changed` accepts a file of cnnc that was damaged or rewritten. `timeout` is the limit in seconds for
    loading, and for each run, of a model without cnnc's metadata. `threads` is the number of threads of each run on the
    CPU, by default one per core.
    Raises CnncError: E501 if it is not an ONNX model or not as cnnc wrote it, E502 if it takes no picture or ranks no
    classes, E506 if the provider cannot run here, E507 if onnxruntime crashes or exceeds the timeout.
    """
    opened = model if isinstance(model, OpenModel) else open_model(model, accept_changed=accept_changed)
    try:
        return _load(opened, provider, allow_external=allow_external, timeout=timeout, threads=threads)
    finally:
        opened.require_intact()  # damage is the likely cause of any other error, so it replaces that error


def _load(opened: OpenModel, provider: str, *, allow_external: bool, timeout: float, threads: int | None) -> Model:
    file = opened.file
    text = file.metadata.get(CONTRACT)
    contract = Contract.from_json(text) if text is not None else None
    if contract is not None and contract.input.mode is None:
        raise _unsuited(file.path, f"its input {contract.input.name!r} {list(contract.input.shape)} is not a picture")
    runner: Runner
    if contract is not None:
        runner = Session(file, provider, allow_external=allow_external or opened.data is not None, threads=threads)
    else:
        from cnnc.inference.child import Child

        opened.require_intact()  # damage may have hidden the contract of a file of cnnc
        runner = Child(file.path, provider, allow_external=allow_external, timeout=timeout, threads=threads)
    try:
        notes = [] if runner.choice.asked else [f"provider {runner.choice.name}: {runner.choice.reason}"]
        if contract is None:
            contract = _guess(file.path, runner)
            notes.append("the model has no cnnc contract: pictures are scaled to 0..1 and not normalised")
        _check_ports(file.path, contract, runner)
    except CnncError:
        runner.close()
        raise
    return Model(file.path, contract, runner, tuple(notes))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as the model takes it: float32 (C, H, W).

    `size` is the picture's own height and width, before `resize` and `crop`. `notes` are about its conversion.
    """

    path: str
    array: NDArray[np.float32]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


Row = Mapping[str, NDArray[Any]]  # the outputs of one picture by name, each with a batch axis of 1


def infer(model: Model, picture: str | os.PathLike[str], top_k: int = 5) -> Result:
    """Return the `top_k` best classes for one picture; `top_k` must be at least 1.

    Raises CnncError: E503 to E505 for the picture, E507 if the run fails, E502 if the output ranks no classes.
    """
    _require_positive(top_k=top_k)
    prepared = read_picture(model, picture)
    [row], milliseconds = run_batch(model, [prepared])
    return answer(model, prepared, row, milliseconds, top_k)


def read_picture(model: Model, picture: str | os.PathLike[str]) -> Prepared:
    """Decode a picture and prepare it for the model, on any thread; raises CnncError (E503 to E505)."""
    opened = open_picture(picture)
    size = opened.image.height, opened.image.width
    return Prepared(opened.path, prepare(opened, model.contract.input), size, opened.notes)


def run_batch(model: Model, pictures: Sequence[Prepared]) -> tuple[list[Row], float]:
    """Run the model on pictures of one size, as one batch; return the outputs of each, and the milliseconds.

    Raises CnncError: E507 if the run fails, E502 if an output does not have a row for each picture.
    """
    feeds = {model.contract.input.name: np.stack([each.array for each in pictures])}
    outputs, milliseconds = model.runner.run(feeds, model.contract.outputs[:1])
    if len(pictures) == 1:
        return [outputs], milliseconds
    for name, output in outputs.items():
        if output.shape[:1] != (len(pictures),):
            reason = f"its output {name!r} is {list(output.shape)} for a batch of {len(pictures)}"
            raise _unsuited(model.path, reason)
    rows: list[Row] = [{name: output[at : at + 1] for name, output in outputs.items()} for at in range(len(pictures))]
    return rows, milliseconds


def answer(model: Model, picture: Prepared, row: Row, milliseconds: float, top_k: int = 5) -> Result:
    """Return the `top_k` best classes of a picture from its outputs, on any thread.

    Raises CnncError: E502 if the output ranks no classes, E507 if it is not finite.
    """
    scores = _scores(_vector(model, row[model.contract.outputs[0]]), model.contract.scores)
    labels = model.contract.labels
    if labels is not None and len(labels) != len(scores):
        raise _unsuited(model.path, f"its contract has {len(labels)} classes, but its output has {len(scores)}")
    best = np.argsort(-scores, kind="stable")[:top_k]
    predictions = tuple(Prediction(int(i), labels[i] if labels else None, float(scores[i])) for i in best)
    return Result(picture.path, predictions, model.runner.choice.name, milliseconds, picture.notes)


def infer_many(
    model: Model,
    paths: Iterable[str | os.PathLike[str]],
    top_k: int = 5,
    *,
    recursive: bool = False,
    batch: int = 1,
    workers: int = 1,
) -> Iterator[Result | Failed]:
    """Yield the result of each picture of `paths`, and of folders in `paths`, in order; an error is its result.

    `recursive` searches the subfolders too. `workers` threads decode pictures and run the model on them, `batch`
    pictures at a time (1 if the model takes no more); a batch with an error runs again picture by picture. On the CPU,
    several workers with a model that was loaded with `threads=1` are faster than batches.
    """
    _require_positive(top_k=top_k, batch=batch, workers=workers)
    work = partial(_infer_batch, model, top_k)
    batch = 1 if model.single else batch
    return in_order(find_pictures(paths, recursive=recursive), work, batch=batch, workers=workers)


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def _infer_batch(model: Model, top_k: int, pictures: Sequence[str | Failed]) -> list[Result | Failed]:
    """Return the results of pictures in their order; those that are prepared to one size run as one batch."""
    done: dict[int, Result | Failed] = {}
    sizes: dict[tuple[int, ...], dict[int, Prepared]] = {}
    for index, picture in enumerate(pictures):
        if isinstance(picture, Failed):
            done[index] = picture
            continue
        try:
            prepared = read_picture(model, picture)
        except CnncError as error:
            done[index] = Failed(picture, error)
        else:
            sizes.setdefault(prepared.array.shape, {})[index] = prepared
    for same in sizes.values():
        done.update(zip(same, _attempt(model, [*same.values()], top_k), strict=True))
    return [done[index] for index in range(len(pictures))]


def _attempt(model: Model, pictures: Sequence[Prepared], top_k: int) -> list[Result | Failed]:
    """Run one batch; if that fails, each picture alone, so that only those at fault fail."""
    try:
        rows, milliseconds = run_batch(model, pictures)
    except CnncError as error:
        if len(pictures) == 1:
            return [Failed(pictures[0].path, error)]
        return [each for picture in pictures for each in _attempt(model, [picture], top_k)]
    share = milliseconds / len(pictures)
    return [_answered(model, picture, row, share, top_k) for picture, row in zip(pictures, rows, strict=True)]


def _answered(model: Model, picture: Prepared, row: Row, milliseconds: float, top_k: int) -> Result | Failed:
    try:
        return answer(model, picture, row, milliseconds, top_k)
    except CnncError as error:
        return Failed(picture.path, error)


def _guess(path: str, runner: Runner) -> Contract:
    """Infer a contract for a model without one; raises CnncError (E502) unless its only input looks like a picture."""
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
    """Raise E502 unless the graph's inputs and outputs match the contract, against which pictures are checked."""
    source = next((port for port in runner.inputs if port.name == contract.input.name), None)
    target = next((port for port in runner.outputs if port.name == contract.outputs[0]), None)
    if source is None or target is None:
        missing = contract.input.name if source is None else contract.outputs[0]
        raise _unsuited(path, f"its contract names {missing!r}, which is not in its graph")
    if len(runner.inputs) != 1:
        raise _unsuited(path, f"it has {len(runner.inputs)} inputs")
    if source.type != "tensor(float)" or (source.shape and source.shape[0] not in (None, 1)):
        raise _unsuited(path, f"its input {_show(source)} does not take one float32 picture")
    if source.shape[1:] != contract.input.shape:
        raise _unsuited(path, f"its input is {_show(source)}, but its contract has {list(contract.input.shape)}")
    if target.type not in _FLOATS or not target.shape or sum(side not in (1, None) for side in target.shape[1:]) > 1:
        raise _unsuited(path, f"its output {_show(target)} is not one score per class")


def _show(port: Port) -> str:
    sides = ", ".join("?" if side is None else str(side) for side in port.shape)
    return f"{port.name!r} {port.type} [{sides}]"


def _unsuited(path: str, reason: str) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNSUITED,
        f"infer cannot use the model {path}: {reason}",
        help="use a model with one float32 input [N, 1 or 3, height, width] and an output of one score per class",
    )


def _vector(model: Model, output: NDArray[Any]) -> NDArray[np.float64]:
    """Return the output as a vector; raises CnncError unless it is one finite number per class."""
    values = np.asarray(output, np.float64).reshape(-1)
    if values.size == 0 or values.size != max(output.shape, default=1):
        raise _unsuited(model.path, f"its output is {list(output.shape)}, expected one score per class")
    if not np.isfinite(values).all():
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{model.path}: {int((~np.isfinite(values)).sum())} of the {values.size} output values are not finite",
            help="the weights are damaged or the training diverged: build the model again from an earlier checkpoint",
        )
    return values


def _scores(values: NDArray[np.float64], kind: str | None) -> NDArray[np.float64]:
    """Turn scores into probabilities. Without a kind, values that look like probabilities count as such."""
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
