"""`--compile`: torch.compile, with its failures as one-line errors (E516)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code

if TYPE_CHECKING:
    import torch

HELP = (
    "install a C++ compiler for the CPU (`g++`, or the one that the variable CXX names) or triton for a GPU; "
    "to train without it, leave out `--compile`, or continue with `--resume --no-compile`"
)


def compiled(module: "torch.nn.Module") -> Any:
    """Return the module wrapped in torch.compile, which compiles it at its first call."""
    import torch

    return torch.compile(module)


@contextmanager
def compiling() -> Iterator[None]:
    """Raise E516 if torch fails to compile a module that the body calls."""
    try:  # private, but torch has no public name for the errors of torch.compile
        from torch._dynamo.exc import TorchDynamoException

        failure: type[Exception] = TorchDynamoException
    except ImportError:
        failure = RuntimeError  # its base class: other errors of torch are then reported as E516 too
    try:
        yield
    except failure as error:
        inner = getattr(error, "inner_exception", error)
        reason = next(iter(str(inner).strip().splitlines()), "")
        raise CnncError.of(
            Code.NOT_COMPILED, f"torch cannot compile the network: {type(inner).__name__}: {reason}", help=HELP
        ) from error
