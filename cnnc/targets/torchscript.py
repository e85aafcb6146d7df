"""The TorchScript target, deprecated in torch but still in use. Only this module silences torch's warnings about it.

Takes a module that `cnnc.targets.torch_module` built; writes a file that `torch.jit.load` and libtorch can run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from cnnc.files.write import flush_staged, stage_file
from cnnc.targets.functional import functional

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

LARGE = 2**26
BESIDE, BESIDE_MODULE = 2**24, 2**12  # upper bounds, in bytes, of a file without its weights: fixed, and per module


def write(module: "GraphModule", path: Path) -> None:
    """Script the module in eval mode to a staged path; raises E405. The module itself is not changed."""
    import torch

    with _quiet():
        scripted: Any = torch.jit.script(functional(module).eval())
    size = sum(each.nbytes for each in module.state_dict().values())
    with _quiet():
        if size < LARGE or not hasattr(os, "posix_fallocate"):
            stage_file(path, scripted.save_to_buffer())  # takes three times its size
        else:
            _require_room(path, size + BESIDE + BESIDE_MODULE * len([*module.modules()]))
            scripted.save(str(path))
            flush_staged(path)


def _require_room(path: Path, size: int) -> None:
    """Raise E405 if the disk has no room for a file of this size: torch aborts the process if its own write fails."""
    stage_file(path, lambda file: os.posix_fallocate(file.fileno(), 0, size))
    path.unlink()


def load(path: Path) -> "torch.jit.ScriptModule":
    """Return the module of a TorchScript file, on the CPU."""
    import torch

    with _quiet():
        module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    with catch_warnings():
        filterwarnings("ignore", message=".*(torch.jit|TorchScript)", category=DeprecationWarning)
        yield
