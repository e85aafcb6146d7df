"""Write the pictures on which recipes are measured: `python -m tests.subsets NAME FOLDER [SOURCE]`.

`digits` are the 10,000 test pictures of MNIST, of which the last 2,000 are the test part here. `fashion` are the first
3,615 training pictures of Fashion-MNIST, of which the last 615 are the test part. Both sets are downloaded, unless
SOURCE is a folder with their files.
"""

import argparse
import gzip
import struct
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from cnnc.data.load import load
from cnnc.data.named_sets import KNOWN
from cnnc.diagnostics import CnncError


@dataclass(frozen=True)
class Subset:
    """The first `train` examples of a part of a named set, and the next `test`, with a hash of pixels and labels."""

    source: str
    part: str
    train: int
    test: int
    sha256: str


SUBSETS = {
    "digits": Subset("mnist", "test", 8000, 2000, "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b"),
    "fashion": Subset(
        "fashion-mnist", "train", 3000, 615, "efd58dfcc6656fabca1de6ebd38ab74065ba95b8caa43edc5bf9e06231d5ffee"
    ),
}


def write(subset, folder, source=None):
    """Write the four files of MNIST's layout, and `classes.txt`; ends the program if the source has other pictures."""
    data = load(source or subset.source)
    part, both = getattr(data, subset.part), subset.train + subset.test
    images, labels = part.images[:both].squeeze(-1), part.labels[:both].astype(np.uint8)
    found = sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if found != subset.sha256:
        sys.exit(f"{data.source} has other pictures than those measured: SHA-256 {found}, not {subset.sha256}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for prefix, kept in (("train", slice(subset.train)), ("t10k", slice(subset.train, both))):
        for kind, array in (("images-idx3", images[kept]), ("labels-idx1", labels[kept])):
            header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
            path = Path(folder) / f"{prefix}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))
    (Path(folder) / "classes.txt").write_text("\n".join(KNOWN[subset.source].classes) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.subsets", description=__doc__.split("\n\n")[1])
    parser.add_argument("name", choices=SUBSETS)
    parser.add_argument("folder", help="where to write the files; made if it does not exist")
    parser.add_argument("source", nargs="?", help="a folder with the files of the whole set")
    given = parser.parse_args()
    try:
        write(SUBSETS[given.name], given.folder, given.source)
    except CnncError as error:
        sys.exit(str(error))
