"""Make a data set for segmentation from handwritten digits: `python -m tests.digits_on_textures DIGITS FOLDER`.

Takes MNIST's files (or any data set of grey pictures that `cnnc train` reads) and writes pictures of textures with one
to three digits pasted on them, and their masks: 1 where a digit covers at least half of a pixel, 0 elsewhere. The
digits of the test pictures come from the test part.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cnnc.data.load import load
from cnnc.diagnostics import CnncError

SIZE = 64
COUNTS = {"train": 1000, "test": 200}


def texture(rng):
    """Three waves of random direction and length, and noise, in random colours."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    picture = np.zeros((SIZE, SIZE, 3))
    for _ in range(3):
        down, across = rng.uniform(-0.8, 0.8, 2)
        wave = np.sin(down * rows + across * columns + rng.uniform(0, 6))
        picture += wave[..., None] * rng.uniform(0, 40, 3)
    return 128 + picture + rng.normal(0, 12, picture.shape)


def scene(digits, rng):
    """A picture (SIZE, SIZE, 3) and its mask: the digits are in one colour each, lighter or darker than the ground."""
    picture, covered = texture(rng), np.zeros((SIZE, SIZE))
    for digit in digits[rng.integers(0, len(digits), rng.integers(1, 4))]:
        row, column = rng.integers(0, SIZE - 28, 2)
        part = slice(row, row + 28), slice(column, column + 28)
        cover = digit[..., 0] / 255
        colour = rng.choice([0, 255]) + rng.uniform(-60, 60, 3)
        picture[part] += cover[..., None] * (colour - picture[part])
        covered[part] = np.maximum(covered[part], cover)
    return picture.clip(0, 255).astype(np.uint8), (covered >= 0.5).astype(np.uint8)


def write(source, folder, counts=COUNTS, seed=0):
    """Write the parts `train` and `test`, each with `images` and `masks`."""
    data, rng = load(source), np.random.default_rng(seed)
    for part, count in counts.items():
        for kind in ("images", "masks"):
            (Path(folder) / part / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            for kind, pixels in zip(("images", "masks"), scene(getattr(data, part).images, rng), strict=True):
                Image.fromarray(pixels).save(Path(folder) / part / kind / f"{number:04}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.digits_on_textures", description=__doc__.split("\n\n")[1])
    parser.add_argument("digits", help="a folder with MNIST's files, or any data set of grey pictures")
    parser.add_argument("folder", help="where to write the pictures and masks; made if it does not exist")
    given = parser.parse_args()
    try:
        write(given.digits, given.folder)
    except CnncError as error:
        sys.exit(str(error))
