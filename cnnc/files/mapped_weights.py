"""Weights in a file: a mapping whose arrays are memory-mapped at each access.

Only the parts of an array that are used are in memory, for as long as the array is referenced. So a large network can
be built without all its weights in memory.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    Array = np.ndarray[Any, np.dtype[Any]]

LARGE = 2**27  # bytes of weights; smaller networks build faster in memory


class Place(NamedTuple):
    """The location of an array: its file, its NumPy dtype, its shape, its first byte."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    start: int


class InFile(Mapping[str, "Array"]):
    """Arrays in files, by key. Writing to an array does not change the file."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = places

    def __getitem__(self, key: str) -> "Array":
        import numpy as np

        path, kind, shape, start = self.places[key]
        return np.asarray(np.memmap(path, np.dtype(kind).newbyteorder("<"), "c", start, shape or (1,))).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def only(self, keys: Collection[str]) -> "InFile":
        """The subset with these keys."""
        return InFile({key: place for key, place in self.places.items() if key in keys})


def is_large(weights: "Mapping[str, Tensor]") -> bool:
    """Whether to keep weights in a file; never on Windows, which cannot rename a mapped file."""
    return sys.platform != "win32" and sum(each.nbytes for each in weights.values()) >= LARGE


def park(path: Path, weights: "Mapping[str, Array]") -> InFile:
    """Write weights to a path in a staging folder, and return them mapped from it; raises E405."""
    from cnnc.files.weights_stamp import write_stamped
    from cnnc.files.write import stage_file

    stage_file(path, lambda file: write_stamped(file, weights, None))
    return parked(path)


def parked(path: Path) -> InFile:
    """The weights in a safetensors file that cnnc has just written."""
    from cnnc.files.weights_stamp import TYPES, header

    text, start = header(path)
    names = {kind: name for name, kind in TYPES.items()}
    return InFile(
        {
            key: Place(path, names[each["dtype"]], tuple(each["shape"]), start + each["data_offsets"][0])
            for key, each in text.items()
            if key != "__metadata__"
        }
    )


def take_over(module: "nn.Module", weights: InFile) -> None:
    """Replace the weights of a module by mapped ones, also those that it has already read."""
    import torch

    module.load_state_dict({key: torch.from_numpy(weights[key]) for key in module.state_dict()}, assign=True)
    give_back()


def give_back() -> None:
    """Return unused memory to the system."""
    import ctypes
    import gc
    from contextlib import suppress

    gc.collect()  # modules have reference cycles
    with suppress(OSError, AttributeError, TypeError):  # not every C library has malloc_trim
        ctypes.CDLL(None).malloc_trim(0)
