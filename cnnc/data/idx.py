"""Read the four-file IDX layout of MNIST: images and labels, for training and for testing, gzipped or not.

Takes a folder and returns its splits. Each file is a big-endian header (a magic number, then one size per dimension)
and bytes. The size in the header is checked against the file's size before memory is allocated.
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

from cnnc.data.dataset import DecodedSplit, reading, unreadable
from cnnc.diagnostics import Code
from cnnc.files.checks import require_file

MAGIC = {"images": 0x0803, "labels": 0x0801}  # unsigned bytes, of three dimensions and of one
DENSEST = 1032  # deflate's largest compression ratio

_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[13][-.]ubyte(\.gz)?")


def find(folder: Path) -> dict[str, Path]:
    """Return the files in `folder`, or in its subfolder `raw`, by `train-images`, `train-labels`, `test-images` …"""
    for place in (folder, folder / "raw"):
        found = {}
        with reading(place):
            names = sorted(os.listdir(place), reverse=True) if place.is_dir() else []
        for name in names:  # in reverse order, so that a plain file replaces the gzipped one
            if match := _NAME.fullmatch(name):
                found[f"{match[1].replace('t10k', 'test')}-{match[2]}"] = place / name
        if found:
            return found
    return {}


def read(folder: Path) -> tuple[DecodedSplit, DecodedSplit | None]:
    """Return the training and the test split; raises CnncError (E508) that names the wrong file."""
    files = find(folder)
    train = _pair(folder, files, "train")
    if not {"test-images", "test-labels"} & files.keys():
        return train, None
    test = _pair(folder, files, "test")
    if test.images.shape[1:] != train.images.shape[1:]:
        sizes = [" × ".join(map(str, split.images.shape[1:3])) for split in (train, test)]
        raise unreadable(folder, f"the training pictures are {sizes[0]}, but the test pictures are {sizes[1]}")
    return train, test


def _pair(folder: Path, files: dict[str, Path], split: str) -> DecodedSplit:
    for what, dimensions in (("images", 3), ("labels", 1)):
        if f"{split}-{what}" not in files:
            name = f"{split.replace('test', 't10k')}-{what}-idx{dimensions}-ubyte"
            raise unreadable(folder, f"the file {name}, or {name}.gz, is missing")
    images = _array(files[f"{split}-images"], "images")
    labels = _array(files[f"{split}-labels"], "labels")
    if len(images) != len(labels):
        counts = f"{files[f'{split}-images'].name} holds {len(images):,} pictures"
        raise unreadable(folder, f"{counts}, {files[f'{split}-labels'].name} holds {len(labels):,} labels")
    return DecodedSplit(images[..., None], labels.astype(np.int64))


def _array(path: Path, what: str) -> NDArray[np.uint8]:
    """Return the bytes of one file as an array, writable because torch warns of read-only ones."""
    size = require_file(str(path), Code.DATA_UNREADABLE, "data")
    with reading(path), path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.open(file) if packed else file as stream:
            shape = _shape(path, stream, what)
            count = prod(shape)
            declared = f"its header declares {' × '.join(map(str, shape))} = {count:,} bytes"
            if count > size * (DENSEST if packed else 1):
                raise unreadable(path, f"{declared}, more than a file of {size:,} bytes can hold")
            data = bytearray(stream.read(count + 1))  # one byte more, so that gzip reaches the end and checks its sum
    if len(data) != count:
        raise unreadable(path, f"{declared}, but {'more' if len(data) > count else f'only {len(data):,}'} follow")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _shape(path: Path, stream: BufferedIOBase, what: str) -> tuple[int, ...]:
    dimensions = MAGIC[what] & 0xFF
    header = stream.read(4 + 4 * dimensions)
    magic = int.from_bytes(header[:4], "big")
    if len(header) < 4 or magic != MAGIC[what]:
        other = next((f" ({other})" for other in MAGIC if MAGIC[other] == magic), "")
        reason = f"expected the magic number 0x{MAGIC[what]:08x} of {what}, got 0x{magic:08x}{other}"
        raise unreadable(path, reason)
    if len(header) < 4 + 4 * dimensions:
        raise unreadable(path, f"it ends inside its header, after {len(header)} bytes")
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", header[4:])
    if 0 in shape:
        raise unreadable(path, f"it is empty: its size is {' × '.join(map(str, shape))}")
    return shape
