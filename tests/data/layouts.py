"""Tiny data sets, written in the layouts that cnnc reads."""

import gzip
import pickle
import struct

import numpy as np


def idx_bytes(array):
    array = np.asarray(array, np.uint8)
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def digits(count, side=4, seed=0):
    """`count` pictures and labels 0, 1, … 9, 0, …"""
    images = np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)
    return images, (np.arange(count) % 10).astype(np.uint8)


def write_idx(folder, train=20, test=10, packed=True, mark="-"):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (prefix, count) in enumerate((("train", train), ("t10k", test))):
        for kind, array in zip(("images-idx3", "labels-idx1"), digits(count, seed=seed), strict=True):
            name = f"{prefix}-{kind}-ubyte".replace("-idx", f"{mark}idx") + (".gz" if packed else "")
            data = idx_bytes(array)
            (folder / name).write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return folder


CIFAR_BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def cifar_batch(count=4, seed=0):
    """Pixels (N, 3072), channel by channel, and labels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, [(seed + number) % 10 for number in range(count)]


def write_cifar_binary(folder, count=4):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(CIFAR_BATCHES):
        pixels, labels = cifar_batch(count, seed)
        rows = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder


def write_cifar_pickled(folder, count=4, protocol=2):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(CIFAR_BATCHES):
        pixels, labels = cifar_batch(count, seed)
        batch = {b"data": pixels, b"labels": labels, b"batch_label": b"training", b"filenames": [b"a.png"] * count}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    return folder
