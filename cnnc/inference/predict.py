"""Run an ONNX model on pictures: the implementation of `cnnc infer`.

Takes an ONNX file and pictures, and yields a `Result` per picture: classes, masks, pictures, vectors or plain numbers.
A picture takes three steps, which may run on different threads: `read_picture`, `run_batch`, `answer`. Imports neither
torch, onnx, networkx nor pydantic.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.data.pictures import open_picture, prepare
from cnnc.data.placement import Framing, place
from cnnc.diagnostics import CnncError
from cnnc.inference.model import Model, load_model
from cnnc.inference.output_folder import OutputFolder, file_names
from cnnc.inference.pipeline import in_order
from cnnc.inference.ports import unsuited
from cnnc.inference.results import Classes, Drawing, Failed, Mask, OutputResult, Prediction, Result, Values
from cnnc.inference.shown import npz, png, show
from cnnc.inference.sources import find_pictures

__all__ = [
    "GIVEN",
    "Model",
    "Prepared",
    "answer",
    "infer",
    "infer_found",
    "infer_given",
    "infer_many",
    "load_model",
    "read_picture",
    "run_batch",
]

GIVEN = "output"  # in place of a picture's path, for a model that takes none


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as the model takes it: float32 (C, H, W), or uint8 (H, W, C).

    `placed` undoes `resize` and `crop`. `notes` are about its conversion.
    """

    path: str
    array: NDArray[Any]
    placed: Framing | None = None
    notes: tuple[str, ...] = ()


Row = Mapping[str, NDArray[Any]]  # the outputs of one picture by name, each with a batch axis of 1


def infer(model: Model, picture: str | os.PathLike[str], top_k: int = 5, folder: OutputFolder | None = None) -> Result:
    """Return what the model shows for one picture, and write masks, pictures and arrays to `folder`.

    `top_k`, at least 1, is the number of classes. Raises CnncError: E503 to E505 for the picture, E507 if the run
    fails, E502 if an output is not what the contract says, E405 if a file cannot be written.
    """
    _require_positive(top_k=top_k)
    return _infer(model, read_picture(model, picture), top_k, folder)


def infer_given(model: Model, top_k: int = 5, folder: OutputFolder | None = None) -> Result:
    """Return what a model without a `source` shows for the values of its inputs; otherwise as `infer`."""
    return _infer(model, Prepared(GIVEN, np.empty(0, np.float32)), top_k, folder)


def _infer(model: Model, prepared: Prepared, top_k: int, folder: OutputFolder | None) -> Result:
    [row], milliseconds = run_batch(model, [prepared])
    return answer(model, prepared, row, milliseconds, top_k, folder)


def read_picture(model: Model, picture: str | os.PathLike[str]) -> Prepared:
    """Decode a picture and prepare it for the model, on any thread; raises CnncError (E503 to E505)."""
    if model.source is None:
        raise unsuited(model.path, "all its inputs have values already, so it takes no picture")
    opened = open_picture(picture)
    placed = place((opened.image.height, opened.image.width), model.source)
    return Prepared(opened.path, prepare(opened, model.source), placed, opened.notes)


def run_batch(model: Model, pictures: Sequence[Prepared]) -> tuple[list[Row], float]:
    """Run the model on pictures of one size, as one batch; return the outputs of each, and the milliseconds.

    Raises CnncError: E507 if the run fails, E502 if an output does not have a row for each picture.
    """
    count = len(pictures)
    feeds = {name: np.repeat(array, count, axis=0) if array.ndim else array for name, array in model.given.items()}
    if model.source is not None:
        feeds[model.source.name] = np.stack([each.array for each in pictures])
    outputs, milliseconds = model.runner.run(feeds, model.contract.outputs)
    if count == 1:
        return [outputs], milliseconds
    for name, output in outputs.items():
        if output.shape[:1] != (count,):
            raise unsuited(model.path, f"its output {name!r} is {list(output.shape)} for a batch of {count}")
    rows: list[Row] = [{name: output[at : at + 1] for name, output in outputs.items()} for at in range(count)]
    return rows, milliseconds


def answer(
    model: Model,
    picture: Prepared,
    row: Row,
    milliseconds: float,
    top_k: int = 5,
    folder: OutputFolder | None = None,
) -> Result:
    """Return what the outputs of a picture show, and write files to `folder`, on any thread.

    Raises CnncError: E502 if an output is not what the contract says, E507 if it is not finite, E405 for a file.
    """
    outputs: dict[str, OutputResult] = {}
    predictions: tuple[Prediction, ...] | None = None
    labels, named = model.contract.labels, False
    for about in model.contract.described:
        shown = show(model.path, about, row[about.name], picture.placed, labels, top_k, strict=not named)
        if isinstance(shown, Classes) and predictions is None:
            predictions = shown.predictions
        else:
            outputs[about.name] = shown
        named = named or isinstance(shown, Classes | Mask)
    files = _write(folder, picture.path, outputs, row) if folder else {}
    provider = model.runner.choice.name
    return Result(picture.path, predictions or (), provider, milliseconds, picture.notes, outputs, files)


def _write(folder: OutputFolder, picture: str, outputs: Mapping[str, OutputResult], row: Row) -> dict[str, str]:
    """Write a PNG for each mask and picture, and an .npz with all outputs if one is a vector or raw."""
    names = file_names(tuple(outputs))
    files = {
        name: folder.write(picture, f".{names[name]}.png", png(shown))
        for name, shown in outputs.items()
        if isinstance(shown, Mask | Drawing)
    }
    numbers = [name for name, shown in outputs.items() if isinstance(shown, Values)]
    return files | dict.fromkeys(numbers, folder.write(picture, ".npz", npz(row)) if numbers else "")


def infer_many(
    model: Model,
    paths: Iterable[str | os.PathLike[str]],
    top_k: int = 5,
    *,
    recursive: bool = False,
    batch: int = 1,
    workers: int = 1,
    folder: OutputFolder | None = None,
) -> Iterator[Result | Failed]:
    """Yield the result of each picture of `paths`, and of folders in `paths`, in order; an error is its result.

    `recursive` searches the subfolders too. `workers` threads decode pictures and run the model on them, `batch`
    pictures at a time (1 if the model takes no more); a batch with an error runs again picture by picture. On the CPU,
    several workers with a model that was loaded with `threads=1` are faster than batches. `folder` takes the files.
    """
    found = find_pictures(paths, recursive=recursive)
    return infer_found(model, found, top_k, batch=batch, workers=workers, folder=folder)


def infer_found(
    model: Model,
    pictures: Iterable[str | Failed],
    top_k: int = 5,
    *,
    batch: int = 1,
    workers: int = 1,
    folder: OutputFolder | None = None,
) -> Iterator[Result | Failed]:
    """Yield the result of each of `pictures`, which `find_pictures` has found; otherwise as `infer_many`."""
    _require_positive(top_k=top_k, batch=batch, workers=workers)
    work = partial(_infer_batch, model, top_k, folder)
    batch = 1 if model.single else batch
    return in_order(pictures, work, batch=batch, workers=workers)


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def _infer_batch(
    model: Model, top_k: int, folder: OutputFolder | None, pictures: Sequence[str | Failed]
) -> list[Result | Failed]:
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
        done.update(zip(same, _attempt(model, [*same.values()], top_k, folder), strict=True))
    return [done[index] for index in range(len(pictures))]


def _attempt(
    model: Model, pictures: Sequence[Prepared], top_k: int, folder: OutputFolder | None
) -> list[Result | Failed]:
    """Run one batch; if that fails, each picture alone, so that only those at fault fail."""
    try:
        rows, milliseconds = run_batch(model, pictures)
    except CnncError as error:
        if len(pictures) == 1:
            return [Failed(pictures[0].path, error)]
        return [each for picture in pictures for each in _attempt(model, [picture], top_k, folder)]
    share = milliseconds / len(pictures)
    return [_answered(model, picture, row, share, top_k, folder) for picture, row in zip(pictures, rows, strict=True)]


def _answered(
    model: Model, picture: Prepared, row: Row, milliseconds: float, top_k: int, folder: OutputFolder | None
) -> Result | Failed:
    try:
        return answer(model, picture, row, milliseconds, top_k, folder)
    except CnncError as error:
        return Failed(picture.path, error)
