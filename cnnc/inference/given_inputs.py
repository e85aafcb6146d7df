"""The values of a model's inputs that are not the picture: `cnnc infer --input NAME=FILE`.

Takes the name of a file (.npy, .npz, or a picture) and the model's `Port`; returns an array with a batch axis of 1,
which is used for every picture. Raises CnncError: E508 if the file cannot be read, E510 if it does not fit.
"""

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cnnc.artifacts.contract import InputContract
from cnnc.data.pictures import SUFFIXES, open_picture, prepare
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.files.checks import require_file
from cnnc.inference.ports import DTYPES, show
from cnnc.inference.session import Port

Given = dict[str, NDArray[np.generic]]


def read_inputs(files: Mapping[str, str], ports: Mapping[str, Port], about: Mapping[str, InputContract]) -> Given:
    """Return the arrays of `files` by the names of inputs; `about` describes those that the contract describes."""
    found = {}
    for name, file in files.items():
        if name not in ports:
            help = did_you_mean(name, ports) or f"its inputs are {', '.join(ports)}"
            raise CnncError.of(Code.DATA_MISFIT, f"--input: the model has no input {name!r}", help=help)
        found[name] = _read(file, ports[name], about.get(name))
    return found


def _read(file: str, port: Port, about: InputContract | None) -> NDArray[np.generic]:
    if os.path.splitext(file)[1].lower() in SUFFIXES:
        if about is None or about.mode is None:
            help = "write its values to a .npy or .npz file"
            raise CnncError.of(Code.DATA_MISFIT, f"{file}: the input {show(port)} is not a picture", help=help)
        return prepare(open_picture(file), about)[None]
    array = _array(file, port.name)
    dtype = np.dtype(DTYPES.get(port.type, "O"))
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise _misfit(file, array, port)
    shape = array.shape if array.ndim == len(port.shape) else (1, *array.shape)
    fits = len(shape) == len(port.shape) and all(
        want in (None, side) for side, want in zip(shape, port.shape, strict=True)
    )
    if not fits or shape[:1] not in ((), (1,)):
        raise _misfit(file, array, port)
    array = array.reshape(shape)
    sides = shape[1:3] if about and about.uint8 else shape[-2:]
    if about is not None and len(about.shape) == 3 and (wanted := about.misfit(*sides)):
        size = f"{sides[0]} × {sides[1]}"
        raise CnncError.of(
            Code.DATA_MISFIT, f"{file}: the array is {size} (height × width), the network takes {wanted}"
        )
    return np.ascontiguousarray(array, dtype)


def _misfit(file: str, array: NDArray[np.generic], port: Port) -> CnncError:
    shape = ", ".join("?" if side is None else str(side) for side in port.shape[1:])
    return CnncError.of(
        Code.DATA_MISFIT,
        f"{file}: the array is {array.dtype.name} {list(array.shape)}, but the input is {show(port)}",
        help=f"give one array [{shape}], which is used for every picture",
    )


def _array(file: str, name: str) -> NDArray[np.generic]:
    """Return the array in a .npy file, or the one called `name` (or the only one) in an .npz file."""
    require_file(file, Code.DATA_UNREADABLE, "array")
    try:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found as arrays:
            names = arrays.files
            if name not in names and len(names) != 1:
                raise ValueError(f"it has no array {name!r}, only {', '.join(map(repr, names[:8])) or 'none'}")
            return np.asarray(arrays[name if name in names else names[0]])
    except Exception as error:  # damaged files raise nearly any exception
        reason = "it is pickled" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        help = "write it with numpy.save or numpy.savez"
        raise CnncError.of(Code.DATA_UNREADABLE, f"cannot read the array {file}: {reason}", help=help) from error
