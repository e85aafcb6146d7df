"""TorchScript: deprecated in torch, asked for all the same. This file alone silences torch's warnings about it.

In goes a module that `cnnc.targets.torch` built; out comes a file that `torch.jit.load` and libtorch run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import catch_warnings, filterwarnings

from cnnc.targets.write import stage_file

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule


def write(module: "GraphModule", path: Path) -> None:
    """Script the module in eval mode and write it to a staged path; raises E405. The module's own mode stays."""
    import torch

    mode = module.training
    module.eval()
    try:
        with _quiet():
            data = torch.jit.script(module).save_to_buffer()  # type: ignore[no-untyped-call]
    finally:
        module.train(mode)
    stage_file(path, data)


def load(path: Path) -> "torch.jit.ScriptModule":
    """The module of a TorchScript file, on the CPU."""
    import torch

    with _quiet():
        module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    with catch_warnings():
        filterwarnings("ignore", message=".*(torch.jit|TorchScript)", category=DeprecationWarning)
        yield
