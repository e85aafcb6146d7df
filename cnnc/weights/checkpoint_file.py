"""Read a weights file; its content, not its name, decides the format.

Takes a path; returns a mapping that contains tensors (safetensors, or a checkpoint of `torch.save`), or the weights of
an ONNX model. Raises E402 for anything else. No code in a pickle runs: torch's restricted reader builds tensors and
plain data. For other classes that are often saved with them (HARMLESS, MAPPINGS) it builds stand-ins; the class itself
is never imported, so its package need not be installed.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_file, require_utf8
from cnnc.files.onnx_seal import is_sealed
from cnnc.files.weights_stamp import Damaged, require_intact
from cnnc.weights import onnx
from cnnc.weights.zip_checkpoint import NEW_COPY, require_checkpoint, unreadable

if TYPE_CHECKING:
    from torch import Tensor

HEAD = 128  # bytes at the start that identify the format
ENDINGS = "safetensors, checkpoints of torch (.pt, .pth, .ckpt, .bin) and .onnx"
_PICKLES = (b"PK\x03\x04", b"\x80\x02")  # of torch.save since 1.6, and before

HARMLESS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "typing.Any",
    *(f"builtins.{name}" for name in ("dict", "list", "tuple", "int", "float", "bool", "str")),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta")),
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    ),
    *(f"numpy.{module}.multiarray.{name}" for module in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.dtype",
    "numpy.ndarray",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    *(f"omegaconf.nodes.{name}Node" for name in ("Any", "Boolean", "Enum", "Float", "Integer", "String")),
)
MAPPINGS = (
    "collections.defaultdict",
    "easydict.EasyDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "yacs.config.CfgNode",
)


class Inert:
    """Stand-in for an object that is not a weight: accepts any arguments and keeps nothing."""

    def __new__(cls, *_: Any) -> "Inert":
        """Accept the arguments of any class."""
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class InertMapping:
    """Stand-in for a subclass of dict: becomes a plain dict, which torch's reader fills."""

    def __new__(cls, *_: Any) -> Any:
        """Return an empty dict, not an instance of this class."""
        return OrderedDict()


@dataclass(frozen=True)
class FileContent:
    """A file's contents: OnnxWeights, a mapping, or any saved object; `ordered`: in saved order, not sorted by name."""

    data: Any
    ordered: bool = True


def load(path: Path) -> FileContent:
    """Read the file; raises E402. Tensors of a checkpoint or of safetensors are in memory only once."""
    require_utf8(path, Code.WEIGHTS_UNREADABLE, "read the weights")
    require_file(path, Code.WEIGHTS_UNREADABLE, "weights")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            # a file named .safetensors is never read as a pickle
            if path.suffix == ".safetensors" or head[8:9] == b"{":
                return FileContent(_load_safetensors(path, head, file), ordered=False)  # it sorts its keys
            if path.suffix == ".onnx" or head[:1] == b"\x08" or is_sealed(head):
                return FileContent(onnx.read(path))
        return FileContent(_load_pickle(path))
    except OSError as error:
        raise unreadable(path, (error.strerror or str(error)).lower(), None) from error


def _load_safetensors(path: Path, head: bytes, file: BufferedReader) -> Any:
    if head.startswith(_PICKLES) and head[8:9] != b"{":  # after the header's length, which may look like either
        raise unreadable(path, "it is a pickle, despite its name", "if you trust it, rename it to .pt")
    import numpy  # noqa: F401 - raise ImportError here, not as a fault of the file
    import safetensors  # noqa: F401

    data, weights = _guarded(path, lambda: _read_safetensors(path, file), say_why=True)
    try:
        require_intact(data, weights)
    except Damaged as error:
        raise unreadable(path, str(error), NEW_COPY) from error
    return weights


def _read_safetensors(path: Path, file: BufferedReader) -> "tuple[bytes, dict[str, Tensor]]":
    """Return the bytes before the tensors, and the tensors; the library validates the file and memory-maps it."""
    import torch
    from safetensors import safe_open

    weights = {}
    with safe_open(path, "pt") as mapped:
        file.seek(0)
        start = 8 + int.from_bytes(file.read(8), "little")
        file.seek(0)
        head = file.read(start)
        header = json.loads(head[8:])
        for key in mapped.keys():  # noqa: SIM118 - it is not a mapping
            weights[key] = torch.empty_like(mapped.get_tensor(key))
            file.seek(start + header[key]["data_offsets"][0])
            if file.readinto(weights[key].reshape(-1).view(torch.uint8).numpy().data) < weights[key].nbytes:
                raise EOFError("it became shorter while it was read")
    return head, weights


def _load_pickle(path: Path) -> Any:
    from pickle import UnpicklingError

    import torch

    require_checkpoint(path, ENDINGS)
    try:
        with torch.serialization.safe_globals([*_stand_ins()]):
            return _guarded(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
    except CnncError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error.__cause__))
        if not refused or not isinstance(error.__cause__, UnpicklingError):
            raise
        message = f"it needs to run `{refused[1]}`, and cnnc runs no code from weights files"
        raise unreadable(path, message, "save `model.state_dict()`, not the model; best with safetensors") from error


def _stand_ins() -> Iterator[tuple[type, str]]:
    """Yield the stand-in for each harmless class, with the class's full name."""
    import torch

    optimizers = [*vars(torch.optim).values(), *vars(torch.optim.lr_scheduler).values()]
    names = [f"{each.__module__}.{each.__qualname__}" for each in optimizers if isinstance(each, type)]
    ours = [name for name in names if name.startswith("torch.optim.")]
    yield from ((Inert, name) for name in (*HARMLESS, *ours))
    yield from ((InertMapping, name) for name in MAPPINGS)


def _guarded(path: Path, load: Callable[[], Any], *, say_why: bool = False) -> Any:
    """Call `load`, turning any exception into E402; `say_why` adds the library's message."""
    try:
        return load()
    except Exception as error:
        why = f" ({shorten(str(error), 200, placeholder=' …')})" if say_why and str(error).strip() else ""
        raise unreadable(path, f"it is truncated or not a weights file{why}", f"weights must be {ENDINGS}") from error
