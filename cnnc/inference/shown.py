"""What an output shows for one picture: classes with scores, a mask, a picture, or its numbers.

Takes the `OutputContract`, the output's array with a batch axis of 1, and the picture's `Framing`; returns one of the
values of `results`. An output whose kind is not known is read by its shape (`output_kinds.default_kind`).
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnc.artifacts.contract import OutputContract
from cnnc.data.placement import Framing
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.output_kinds import OUTSIDE, class_count, default_kind, misfit
from cnnc.inference.ports import unsuited
from cnnc.inference.results import Area, Classes, Drawing, Mask, OutputResult, Prediction, Values

Labels = tuple[str, ...] | None


def show(
    path: str,
    about: OutputContract,
    output: NDArray[Any],
    placed: Framing | None,
    labels: Labels,
    top_k: int,
    *,
    strict: bool,
) -> OutputResult:
    """Return what an output shows, at most `top_k` classes. `path` is the model's; a mask needs a placement.

    Unless `strict`, labels are dropped if there are more or fewer classes.

    Raises CnncError: E502 if the output is not what the contract says, E507 if its values are not finite.
    """
    array = output[0] if output.ndim and output.shape[0] == 1 else output
    kind = about.kind or _guess(array, len(labels or ()))
    if needed := misfit(kind, array.shape):
        raise unsuited(path, f"its output {about.name!r} is {list(output.shape)}, expected {needed}")
    if kind == "segmentation" and placed is None:
        kind = "raw"
    if kind == "raw":
        return Values(kind, array)
    if not array.size:
        raise unsuited(path, f"its output {about.name!r} is empty: {list(output.shape)}")
    _require_finite(path, array)
    if kind == "vector":
        return Values(kind, array)
    if kind == "picture":
        return Drawing(_pixels(array, about))
    count = class_count(kind, array.shape)
    if labels is not None and len(labels) != count:
        if strict:
            raise unsuited(path, f"its contract has {len(labels)} classes, but its output has {count}")
        labels = None
    if kind == "segmentation":
        assert placed is not None
        return _mask(array, about, placed, labels, top_k)
    scores = _scores(np.asarray(array, np.float64).reshape(-1), about.scores, kind)
    best = np.argsort(-scores, kind="stable")[:top_k]
    return Classes(kind, tuple(Prediction(int(i), labels[i] if labels else None, float(scores[i])) for i in best))


def _guess(array: NDArray[Any], labels: int) -> str:
    """Return the kind of an output of unknown kind; whole numbers and empty arrays are raw."""
    return default_kind(array.shape, labels) if array.dtype.kind == "f" and array.size else "raw"


def _require_finite(path: str, array: NDArray[Any]) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{path}: {int((~finite).sum())} of the {array.size} output values are not finite",
            help="the weights are damaged or the training diverged: build the model again from an earlier checkpoint",
        )


def _scores(values: NDArray[np.float64], scores: str | None, kind: str) -> NDArray[np.float64]:
    """Turn scores into probabilities. Scores of unknown kind that look like probabilities count as such."""
    if scores is None:
        inside = bool(((values >= 0) & (values <= 1)).all())
        looks_right = kind == "probabilities" or values.size == 1 or abs(values.sum() - 1) <= 1e-3
        scores = "probabilities" if inside and looks_right else "logits"
    if scores == "probabilities":
        return values
    if scores == "log_probabilities":
        return np.exp(values)
    if kind == "probabilities" or values.size == 1:  # one logit is a yes or no; softmax would call it certain
        return np.asarray(0.5 * (1 + np.tanh(values / 2)))
    odds = np.exp(values - values.max())
    return np.asarray(odds / odds.sum())


def winners(array: NDArray[Any], scores: str | None) -> NDArray[np.uint8]:
    """Return the class of each pixel, (H, W), of scores (K, H, W); of a single channel, whether it means yes."""
    if len(array) == 1:
        return np.asarray(array[0] > (0.5 if scores == "probabilities" else 0), np.uint8)
    return np.asarray(np.argmax(array, axis=0), np.uint8)


def spread(classes: NDArray[np.uint8], placed: Framing, stride: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return the class of each pixel of the picture, or OUTSIDE: the nearest of those that the network computes."""
    rows, columns = (placed.positions(axis, classes.shape[axis], stride[axis] if stride else None) for axis in (0, 1))
    mask: NDArray[np.uint8] = classes[np.ix_(rows, columns)]
    mask[rows < 0] = OUTSIDE
    mask[:, columns < 0] = OUTSIDE
    return mask


def _mask(array: NDArray[Any], about: OutputContract, placed: Framing, labels: Labels, top_k: int) -> Mask:
    mask = spread(winners(array, about.scores), placed, about.stride)
    counts = np.bincount(mask.reshape(-1), minlength=OUTSIDE + 1).tolist()
    seen = sum(counts[:OUTSIDE])
    areas = [
        Area(index, labels[index] if labels else None, count, count / seen)
        for index, count in enumerate(counts[:OUTSIDE])
        if count
    ]
    return Mask(mask, tuple(sorted(areas, key=lambda each: -each.pixels)), counts[OUTSIDE], top_k)


def _pixels(array: NDArray[Any], about: OutputContract) -> NDArray[np.uint8]:
    """Return the pixels (H, W) or (H, W, 3) of a picture: its normalisation is undone, values are rounded to 0..255."""
    values = np.asarray(array, np.float64)
    if about.std:
        values = values * np.asarray(about.std)[:, None, None]
    if about.mean:
        values = values + np.asarray(about.mean)[:, None, None]
    pixels: NDArray[np.uint8] = np.rint(values * (255 if about.scale == 1 else 1)).clip(0, 255).astype(np.uint8)
    if about.mode == "bgr":
        pixels = pixels[::-1]
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def png(shown: Mask | Drawing) -> bytes:
    """Return a mask as a palette PNG whose pixels are class indices, or a picture as a grey or RGB PNG."""
    if isinstance(shown, Mask):
        image = Image.fromarray(shown.mask, "P")
        image.putpalette(PALETTE)
    else:
        image = Image.fromarray(np.ascontiguousarray(shown.pixels))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an .npz file with these arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:  # numpy.savez takes no array called `file`
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array, allow_pickle=False)
    return stream.getvalue()


def _palette() -> bytes:
    """The colours of PASCAL VOC: the bits of an index, spread over red, green and blue. 0 is black."""
    colours = []
    for index in range(256):
        for channel in range(3):
            bits = ((index >> (3 * level + channel)) & 1 for level in range(3))
            colours.append(sum(bit << (7 - level) for level, bit in enumerate(bits)))
    return bytes(colours)


PALETTE = _palette()
