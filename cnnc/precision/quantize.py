"""Quantize an ONNX file without its spec: the implementation of `cnnc quantize`.

Takes a float32 ONNX file of cnnc or of another tool, and pictures; writes the int8 file. Without a contract of cnnc,
the only input must look like a picture, and pixels are scaled to 0..1, as `cnnc infer` does. The file runs in this
process; `cnnc quantize` starts another one for it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.artifacts.contract import CONTRACT, Contract, InputContract
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.missing_packages import named
from cnnc.files.checks import require_utf8
from cnnc.files.write import staging, write_file
from cnnc.inference.integrity import open_model
from cnnc.ops.types import MODES
from cnnc.precision import int8
from cnnc.precision.choices import CALIBRATION, MAX_DROP, PICTURES, Precision
from cnnc.precision.of_build import require_picture, require_size
from cnnc.precision.reduce import FloatModel, Reduced, Reducer
from cnnc.precision.request import Request
from cnnc.precision.samples import read

if TYPE_CHECKING:
    import onnx


@named("build", "quantizing a model")
def quantize(  # noqa: PLR0913 - all but the model by keyword
    model: str | Path,
    *,
    calibrate: str | Path,
    out: str | Path | None = None,
    calibration: str = CALIBRATION,
    calibration_pictures: int = PICTURES,
    max_drop: float = MAX_DROP,
    limit: int | None = None,
    val_split: float | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> Reduced:
    """Write `model` in int8 to `out` (NAME.int8.onnx beside it if left out), and return its distance from `model`.

    `calibrate` is a data set that `train` takes, or a folder of pictures; `calibration` is minmax, percentile or
    entropy, with at most `calibration_pictures`. `limit`, `val_split`, `seed` and `skip_unreadable` choose the pictures
    of the data set as in `train`. Raises CnncError: E409 if more than `max_drop` points of accuracy are
    lost, E410 if the model cannot be quantized, E501 and E502 for the model, and the errors of reading pictures.
    """
    request = Request(
        (Precision.INT8,),
        str(calibrate),
        calibration,
        calibration_pictures,
        max_drop,
        limit,
        val_split,
        seed,
        skip_unreadable,
    ).require(trained=True)
    path = Path(model)
    target = target_of(path, out)
    require_utf8(target, Code.NOT_WRITTEN, "write")
    source = _read(path)
    progress("reading the calibration pictures")
    samples = read(request)
    with staging(target.absolute().parent) as stage:
        reduced = Reducer(source, request, samples, stage, progress).reduce(Precision.INT8, stage / target.name)
        write_file(target, (stage / target.name).read_bytes())
    return reduced


def target_of(model: Path, out: str | Path | None) -> Path:
    """Return the path of the int8 file of a model."""
    return Path(out) if out is not None else model.with_name(f"{model.stem}.{Precision.INT8}.onnx")


def _read(path: Path) -> FloatModel:
    """Return the model at `path`; raises E501, E502 and E410."""
    import onnx

    opened = open_model(path)
    opened.require_intact()
    data = [Path(opened.data)] if opened.data else []
    require_size([path, *data], (Precision.INT8,))
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf and onnx raise any type
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CnncError.of(Code.MODEL_UNREADABLE, f"cannot read the model {path}: {reason}") from error
    int8.require_layers(model, path)
    contract = _contract(path, model, opened.file.metadata)
    require_picture(path.name, contract)
    batch = _sizes(_inputs(model)[0])[0]
    return FloatModel(path, model, opened.file.metadata, contract, batch)


def _contract(path: Path, model: "onnx.ModelProto", metadata: Mapping[str, str]) -> Contract:
    """Return the contract of the file, or one for its only input if that looks like a picture; raises E502."""
    if CONTRACT in metadata:
        return Contract.from_json(metadata[CONTRACT])
    from onnx import TensorProto

    inputs = _inputs(model)
    sizes = _sizes(inputs[0]) if len(inputs) == 1 else ()
    mode = MODES.get(sizes[1] or 0) if len(sizes) == 4 else None
    if mode is None or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise CnncError.of(
            Code.MODEL_UNSUITED,
            f"quantize cannot use the model {path}: it does not take one float32 picture",
            help="use a model with one float32 input [N, 1 or 3, height, width]",
        )
    about = InputContract(name=inputs[0].name, shape=sizes[1:], mode=mode)
    return Contract(input=about, outputs=tuple(each.name for each in model.graph.output), scores=None)


def _inputs(model: "onnx.ModelProto") -> "list[onnx.ValueInfoProto]":
    given = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in given]


def _sizes(port: "onnx.ValueInfoProto") -> tuple[int | None, ...]:
    return tuple(each.dim_value if each.dim_value > 0 else None for each in port.type.tensor_type.shape.dim)
