"""Read plain data from an untrusted pickle: CIFAR-10's python layout is pickled.

Takes the pickle's bytes and returns dicts, lists, numbers, text, bytes and `Array`s. A pickle names the functions that
rebuild its objects. This reader maps the few names that numpy arrays need to classes of this module, which only store
their arguments, and refuses every other name. So the pickle cannot choose code to run, not even numpy's.
"""

import io
import pickle
import pickletools
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


class UnsafePickle(ValueError):
    """The pickle is damaged, or contains more than plain data."""


class Array:
    """A numpy array as the pickle describes it; `values` checks the description."""

    __slots__ = ("data", "fortran", "kind", "shape")

    def __init__(self, *_: Any) -> None:
        self.shape: Any = ()
        self.kind: Any = None
        self.fortran: Any = False
        self.data: Any = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.data = state

    def values(self) -> NDArray[np.generic]:
        """Return a copy as an array; raises UnsafePickle unless it holds integers and its shape fits its bytes."""
        kind = self.kind.name if isinstance(self.kind, _Kind) else None
        if kind not in _KINDS or not isinstance(self.data, bytes | bytearray):
            raise UnsafePickle("one of its arrays does not hold integers")
        sides = self.shape if isinstance(self.shape, tuple) and len(self.shape) <= 4 else (None,)
        if not all(type(side) is int and 0 <= side < 1 << 32 for side in sides):
            raise UnsafePickle("one of its arrays has an invalid shape")
        if prod(sides) * int(kind[1]) != len(self.data):
            raise UnsafePickle(f"an array of shape {sides} has {len(self.data):,} bytes")
        return np.frombuffer(bytes(self.data), f"<{kind}").reshape(sides, order="F" if self.fortran else "C").copy()


class _Kind:
    """A numpy dtype: its name, such as `u1`. Its state repeats the name and has the byte order."""

    __slots__ = ("name",)

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name if isinstance(name, str) else None

    def __setstate__(self, state: Any) -> None:
        if state[1] == ">":
            raise UnsafePickle("one of its arrays is big-endian")


class _Buffered(Array):
    """An array in pickle protocol 5: its bytes, dtype, shape and order."""

    __slots__ = ()

    def __init__(self, data: Any, kind: Any, shape: Any, order: Any, *_: Any) -> None:
        self.data, self.kind, self.shape, self.fortran = data, kind, shape, order == "F"


class _Text:
    """Bytes that Python 3 has pickled for Python 2, as latin-1 text that must be encoded again."""

    def __new__(cls, text: str, _: str) -> bytes:  # type: ignore[misc]
        return text.encode("latin-1")

    def __setstate__(self, _: Any) -> None:
        """Without this a pickle could set attributes of the class."""


class _Name:
    """`numpy.ndarray`, which a pickle only passes on as an argument."""

    def __setstate__(self, _: Any) -> None:
        """Without this a pickle could set attributes of the class."""


_KINDS = frozenset(f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8))


class _Unpickler(pickle.Unpickler):
    stand_ins: ClassVar[dict[tuple[str, str], type]] = {
        ("numpy.core.multiarray", "_reconstruct"): Array,
        ("numpy._core.multiarray", "_reconstruct"): Array,
        ("numpy.core.numeric", "_frombuffer"): _Buffered,
        ("numpy._core.numeric", "_frombuffer"): _Buffered,
        ("numpy", "ndarray"): _Name,
        ("numpy", "dtype"): _Kind,
        ("_codecs", "encode"): _Text,
    }

    def find_class(self, module: str, name: str) -> type:
        if stand_in := self.stand_ins.get((module, name)):
            return stand_in
        raise UnsafePickle(f"its pickle refers to {f'{module}.{name}'[:80]}, which is not data and could run any code")


def _check_sizes(data: bytes) -> None:
    """Raise UnsafePickle for an object number beyond the pickle's size: the unpickler would allocate memory for it."""
    for instruction, argument, _ in pickletools.genops(data):
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument is not None and argument > len(data):
            raise UnsafePickle("its pickle numbers its objects beyond its own size")


def read_pickle(data: bytes) -> Any:
    """Return the content of the pickle, with Python 2 text as bytes; raises Refused."""
    try:
        _check_sizes(data)
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except UnsafePickle:
        raise
    except Exception as error:  # a damaged pickle raises nearly every built-in exception
        raise UnsafePickle(f"its pickle is damaged or cut off: {str(error) or type(error).__name__}") from error
