"""Pictures of four classes, the brightest quadrant of 12 × 12 pixels, and networks trained on them in a second."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

import cnnc

PICTURE = {"shape": [1, 12, 12], "mean": [0.4], "std": [0.25]}
SPEC = {
    "cnnc": 1,
    "name": "quad",
    "labels": ["north_west", "north_east", "south_west", "south_east"],
    "input": {"image": PICTURE},
    "nodes": [
        {"conv": {"name": "stem", "out": 8, "kernel": 3, "padding": 1, "bias": False}},
        {"batch_norm": {"name": "stem_norm"}},
        {"relu": {"name": "stem_act"}},
        {"max_pool": {"kernel": 2}},
        {"conv": {"name": "body", "out": 8, "kernel": 3, "act": "relu"}},
        "flatten",
        {"linear": {"name": "head", "out": 4}},
    ],
}


def drawn(count, seed):
    """uint8 pictures (count, 12, 12), and their labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    pictures = random.integers(0, 120, (count, 12, 12))
    for picture, label in zip(pictures, labels, strict=True):
        top, left = 6 * (label // 2), 6 * (label % 2)
        picture[top : top + 6, left : left + 6] += 60
    return pictures.astype(np.uint8), labels


def data_set(path: Path, train=300, test=200):
    pictures, labels = drawn(train, 1)
    arrays = {"x_train": pictures, "y_train": labels}
    if test:
        arrays |= dict(zip(("x_test", "y_test"), drawn(test, 2), strict=True))
    np.savez(path, **arrays)
    return path


def trained(spec, path: Path, steps=60):
    """Train the network of a spec and write its weights."""
    torch.manual_seed(0)
    module = cnnc.compile(spec)
    rule = torch.optim.AdamW(module.parameters(), 0.01)
    for step in range(steps):
        pictures, labels = drawn(64, 100 + step)
        rule.zero_grad()
        cross_entropy(module(as_input(pictures)), torch.from_numpy(labels)).backward()
        rule.step()
    save_file(module.state_dict(), path)
    return path


def as_input(pictures):
    return ((torch.from_numpy(pictures).float() / 255 - 0.4) / 0.25)[:, None]
