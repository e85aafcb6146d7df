"""The int8 and fp16 files of a build, made in its staging folder from the ONNX file that has just been verified."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cnnc.artifacts.contract import CONTRACT, Contract
from cnnc.artifacts.export import Versions
from cnnc.diagnostics import CnncError, Code, listed
from cnnc.files.onnx_header import read_model
from cnnc.precision.reduce import LARGEST, FloatModel, Reduced, Reducer
from cnnc.precision.request import Request
from cnnc.precision.samples import read

if TYPE_CHECKING:
    from cnnc.precision.fidelity import Feed


def versions_of(request: Request, progress: Callable[[str], None]) -> Versions:
    """Return a function that writes the requested versions of a staged ONNX file beside it.

    It raises E409, E410, and the errors of reading the data set.
    """
    return partial(_versions, request, progress)


def _versions(
    request: Request, progress: Callable[[str], None], files: Sequence[Path], random: "Sequence[Feed]"
) -> tuple[Reduced, ...]:
    import onnx

    path = files[0]
    require_size(files, request.precisions)
    metadata = read_model(path).metadata
    contract = Contract.from_json(metadata[CONTRACT])
    samples = None
    if request.calibrate is not None:
        require_picture(path.name, contract)
        progress("reading the calibration pictures")
        samples = read(request)
    source = FloatModel(path, onnx.load(path), metadata, contract, random=random)
    with TemporaryDirectory(dir=path.parent) as folder:
        reducer = Reducer(source, request, samples, Path(folder), progress)
        return tuple(
            reducer.reduce(precision, path.with_name(f"{path.stem}.{precision}.onnx"))
            for precision in dict.fromkeys(request.precisions)
        )


def require_size(files: Sequence[Path], precisions: Sequence[str]) -> None:
    """Raise E410 if the ONNX file, with its external data, is too large for protobuf."""
    if sum(each.stat().st_size for each in files) > LARGEST:
        raise CnncError.of(
            Code.NOT_REDUCIBLE,
            f"cannot write {files[0].name} in {' or '.join(precisions)}: it is larger than 2 GiB",
            help="use the float32 file",
        )


def require_picture(name: str, contract: Contract) -> None:
    """Raise E410 unless the only input is a picture."""
    if contract.input.mode is None or contract.more_inputs:
        raise CnncError.of(
            Code.NOT_REDUCIBLE,
            f"pictures cannot calibrate {name}: its inputs are "
            f"{listed([f'`{each.name}` {list(each.shape)}' for each in contract.inputs])}, expected one picture",
            help="leave out --precision int8; fp16 needs no pictures",
        )
