"""The four-file IDX layout of MNIST and its likes: images and labels, for training and for testing, gzipped or not.

In: a folder. Out: its splits. Each file is a big-endian header (a magic number, then one size a dimension) and bytes.
What a file claims of its size is held against what it can hold before any memory is asked for.
"""

import gzip
import os
import re
import struct
from io import BufferedIOBase
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import Split, reading, unreadable
from cnnc.diagnostics import Code
from cnnc.files.checks import require_file

MAGIC = {"images": 0x0803, "labels": 0x0801}  # unsigned bytes, of three dimensions and of one
DENSEST = 1032  # a deflated byte stands for no more than so many

_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[13][-.]ubyte(\.gz)?")


def find(folder: Path) -> dict[str, Path]:
    """The layout's files in `folder`, or in its subfolder `raw`, by `train-images`, `train-labels`, `test-images` …"""
    for place in (folder, folder / "raw"):
        found = {}
        with reading(place):
            names = sorted(os.listdir(place), reverse=True) if place.is_dir() else []
        for name in names:  # in this order a plain file comes after, and replaces, its gzipped twin
            if match := _NAME.fullmatch(name):
                found[f"{match[1].replace('t10k', 'test')}-{match[2]}"] = place / name
        if found:
            return found
    return {}


def read(folder: Path) -> tuple[Split, Split | None]:
    """The training and the test split; raises CnncError, E508, that names the file and says what is wrong with it."""
    files = find(folder)
    train = _pair(folder, files, "train")
    if not {"test-images", "test-labels"} & files.keys():
        return train, None
    test = _pair(folder, files, "test")
    if test.images.shape[1:] != train.images.shape[1:]:
        sizes = [" × ".join(map(str, split.images.shape[1:3])) for split in (train, test)]
        raise unreadable(folder, f"the pictures to train on are {sizes[0]}, those to test on {sizes[1]}")
    return train, test


def _pair(folder: Path, files: dict[str, Path], split: str) -> Split:
    for what, dimensions in (("images", 3), ("labels", 1)):
        if f"{split}-{what}" not in files:
            name = f"{split.replace('test', 't10k')}-{what}-idx{dimensions}-ubyte"
            raise unreadable(folder, f"the file {name}, or {name}.gz, is missing")
    images = _array(files[f"{split}-images"], "images")
    labels = _array(files[f"{split}-labels"], "labels")
    if len(images) != len(labels):
        counts = f"{files[f'{split}-images'].name} holds {len(images):,} pictures"
        raise unreadable(folder, f"{counts}, {files[f'{split}-labels'].name} holds {len(labels):,} labels")
    return Split(images[..., None], labels.astype(np.int64))


def _array(path: Path, what: str) -> NDArray[np.uint8]:
    """The bytes of one file in their shape, writable: torch warns of arrays that are not."""
    size = require_file(str(path), Code.DATA_UNREADABLE, "data")
    with reading(path), path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.open(file) if packed else file as stream:
            shape = _shape(path, stream, what)
            count = prod(shape)
            promise = f"its header promises {' × '.join(map(str, shape))} = {count:,} bytes"
            if count > size * (DENSEST if packed else 1):
                raise unreadable(path, f"{promise}, more than a file of {size:,} bytes holds")
            data = bytearray(stream.read(count + 1))  # one more than there should be: gzip checks its sum at the end
    if len(data) != count:
        raise unreadable(path, f"{promise}, {'more' if len(data) > count else f'only {len(data):,}'} follow")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _shape(path: Path, stream: BufferedIOBase, what: str) -> tuple[int, ...]:
    dimensions = MAGIC[what] & 0xFF
    header = stream.read(4 + 4 * dimensions)
    magic = int.from_bytes(header[:4], "big")
    if len(header) < 4 or magic != MAGIC[what]:
        other = next((f", which is that of {other}" for other in MAGIC if MAGIC[other] == magic), "")
        reason = f"its magic number is 0x{magic:08x}{other}; a file of {what} begins with 0x{MAGIC[what]:08x}"
        raise unreadable(path, reason)
    if len(header) < 4 + 4 * dimensions:
        raise unreadable(path, f"it ends inside its header, after {len(header)} bytes")
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", header[4:])
    if 0 in shape:
        raise unreadable(path, f"it holds nothing: its size is {' × '.join(map(str, shape))}")
    return shape
