"""`--compile`: torch.compile, whose failures are said in a line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code

if TYPE_CHECKING:
    import torch

HELP = (
    "it needs a C++ compiler for the CPU (`g++`, or what the variable CXX names) and triton for a GPU; "
    "to train without: leave out `--compile`, or go on with `--resume --no-compile`"
)


def compiled(module: "torch.nn.Module") -> Any:
    """The module as it computes once torch has compiled it, which happens when it is first called."""
    import torch

    return torch.compile(module)


@contextmanager
def compiling() -> Iterator[None]:
    """Raise E516 where torch fails to compile what is called inside."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        inner = getattr(error, "inner_exception", error)
        reason = next(iter(str(inner).strip().splitlines()), "")
        raise CnncError.of(
            Code.NOT_COMPILED, f"torch cannot compile the network: {type(inner).__name__}: {reason}", help=HELP
        ) from error
