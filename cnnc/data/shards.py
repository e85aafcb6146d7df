"""Read tar shards in WebDataset's layout, for data larger than memory: pictures are read from the archives one by one.

Takes a folder with `train-*.tar` and perhaps `test-*.tar` (or the subfolders `train` and `test`), one `.tar`, or a
pattern such as `train-{000..099}.tar`. Members whose names are equal up to the first dot are an example: a picture
(`key.jpg`, `key.png` …) and its label, by what the labels must be (`Labelling`):

    classes        `key.cls`: the number or the name of the class
    probabilities  `key.json`: a list of names, or of 0 and 1
    vector         `key.json`: a list of numbers
    segmentation   `key.mask.png` or `key.seg.png`: the mask

An index of the archives, which holds the places of the pictures and the labels, is read first. Nothing is unpacked.
"""

import io
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import COPY_AGAIN, Files, Labelling, reading, unreadable
from cnnc.data.masks import TESTS, TRAIN, decode_mask
from cnnc.data.pictures import DecodedPicture, Needed, decode_picture
from cnnc.data.shard_index import Example, indexed, label, names_of
from cnnc.graph.output_kinds import MOST_CLASSES

_RANGE = re.compile(r"(.*)\{(\d+)\.\.(\d+)\}(.*)")


class _ExampleNames(Sequence[Path]):
    """The names of the examples, as paths inside their archives; made when they are needed."""

    def __init__(self, archives: tuple[Path, ...], shard: NDArray[np.int32], keys: NDArray[np.bytes_]) -> None:
        self._archives, self._shard, self._keys = archives, shard, keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._archives[self._shard[index]] / self._keys[index].decode()

    def take(self, indices: NDArray[np.intp]) -> "_ExampleNames":
        """Return the names at these indices."""
        return _ExampleNames(self._archives, self._shard[indices], self._keys[indices])


@dataclass(frozen=True, eq=False)
class Shards(Files):
    """Pictures in tar archives: `shard` is the archive of each example, `spans` are offset and size of its picture.

    `mask_spans` are those of its mask; empty without masks.
    """

    archives: tuple[Path, ...] = ()
    shard: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    spans: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    mask_spans: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))

    @property
    def has_masks(self) -> bool:
        return len(self.mask_spans) > 0

    def take(self, indices: NDArray[np.intp]) -> "Shards":
        assert isinstance(self.paths, _ExampleNames)
        masks = self.mask_spans[indices] if self.has_masks else self.mask_spans
        paths, labels = self.paths.take(indices), self.labels[indices]
        return replace(
            self, paths=paths, labels=labels, shard=self.shard[indices], spans=self.spans[indices], mask_spans=masks
        )

    def digest(self) -> bytes:
        """SHA-256 of the archives' names and sizes, the examples' places and the labels."""
        import hashlib

        digest = hashlib.sha256(self.labels.data)
        for path in self.archives:
            with reading(path):
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
        for part in (self.shard, self.spans, self.mask_spans):
            digest.update(np.ascontiguousarray(part).data)
        return digest.digest()

    def picture(self, index: int, needed: Needed | None = None) -> DecodedPicture:
        """Decode a picture; raises CnncError (E503, E504, E508)."""
        return decode_picture(str(self.paths[index]), io.BytesIO(self._bytes(index, self.spans)), needed)

    def mask(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Decode the mask of a picture of that size; raises CnncError (E503, E504, E508, E510)."""
        name, file = str(self.paths[index]), io.BytesIO(self._bytes(index, self.mask_spans))
        return decode_mask(f"of {name}", file, name, size, self.mask_classes)

    def _bytes(self, index: int, spans: NDArray[np.int64]) -> bytes:
        path, (offset, size) = self.archives[self.shard[index]], spans[index].tolist()
        with reading(path), open(path, "rb") as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) != size:
            raise unreadable(path, "the archive is cut off", COPY_AGAIN)
        return content


def find(path: Path) -> tuple[list[Path], list[Path]] | None:
    """Return the archives to train on and to test on; None if the path has none."""
    if match := _RANGE.fullmatch(str(path)):
        before, start, stop, after = match.groups()
        numbers = range(int(start), min(int(stop), int(start) + 10**6) + 1)
        return [Path(f"{before}{number:0{len(start)}}{after}") for number in numbers], []
    if os.path.isfile(path):
        return ([path], []) if path.suffix == ".tar" and not _is_cifar(path) else None
    inside = _archives(path)
    train = _archives(path / TRAIN) or [each for each in inside if each.name.startswith(TRAIN)]
    test: list[Path] = []
    for name in TESTS:
        test = test or _archives(path / name) or [each for each in inside if re.match(rf"{name}(?![a-z])", each.name)]
    train = train or [each for each in inside if each not in test]
    return (train, test) if train else None


def _archives(folder: Path) -> list[Path]:
    if not os.path.isdir(folder):
        return []
    with reading(folder):
        return sorted(folder / name for name in os.listdir(folder) if name.endswith(".tar") and name[0] != ".")


def _is_cifar(path: Path) -> bool:
    with reading(path):
        try:
            with tarfile.open(path, "r:") as archive:
                first = next((member.name for member in archive if member.isreg()), "")
        except tarfile.TarError:
            return False
    return "cifar" in first or "_batch" in first


def read(
    found: tuple[list[Path], list[Path]], labelling: Labelling, classes: tuple[str, ...] | None
) -> tuple[Shards, Shards | None, tuple[str, ...] | None]:
    """Return training shards, test shards and class names; `classes` are those of `classes.txt`, if there is one.

    Raises CnncError (E508) for a damaged archive, or an example without a picture or with a wrong label.
    """
    names = labelling.names or classes
    train, test = (indexed(archives, labelling.kind) if archives else [] for archives in found)
    if labelling.kind in ("classes", "probabilities") and names is None:
        names = names_of(train)
    parts = [
        _shards(archives, examples, labelling, names) for archives, examples in zip(found, (train, test), strict=True)
    ]
    assert parts[0] is not None  # `find` returned training archives
    return parts[0], parts[1], names


def _shards(
    archives: list[Path], examples: list[Example], labelling: Labelling, names: tuple[str, ...] | None
) -> Shards | None:
    if not examples:
        return None
    known = {name: index for index, name in enumerate(names or ())}
    labels = [label(each, labelling, known) for each in examples]
    if widths := {each.shape for each in labels} - {labels[0].shape}:
        odd = next(one for one, each in zip(examples, labels, strict=True) if each.shape in widths)
        raise odd.error(f"its list of labels has another length than {examples[0].key}'s")
    shard = np.array([each.shard for each in examples], np.int32)
    keys = np.array([each.key.encode(errors="replace") for each in examples])
    spans = np.array([each.picture for each in examples], np.int64)
    masks = np.array([each.mask for each in examples if each.mask], np.int64).reshape(-1, 2)
    return Shards(
        _ExampleNames(tuple(archives), shard, keys),
        np.stack(labels),
        mask_classes=labelling.size or MOST_CLASSES,
        archives=tuple(archives),
        shard=shard,
        spans=spans,
        mask_spans=masks if labelling.kind == "segmentation" else masks[:0],
    )
