"""Report that a training has run out of memory (E519), with what takes less of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from cnnc.diagnostics import CnncError, Code
from cnnc.language.recipe import Train

TOLD = ("DefaultCPUAllocator", "MPS backend out of memory")  # torch has errors of its own for CUDA alone


@contextmanager
def reported_exhaustion(recipe: Train) -> Iterator[None]:
    """Raise E519 if the body runs out of memory, of a GPU or of the CPU."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(each in str(error) for each in TOLD):
            raise
        blocks = "" if recipe.recompute else "; `--recompute` keeps less of a network of blocks"
        message = f"the memory does not suffice to train with `batch: {recipe.batch}`"
        help = f"use `--batch auto` or a smaller `--batch`, with `--accumulate` for the same steps{blocks}"
        raise CnncError.of(Code.OUT_OF_MEMORY, message, help=help) from error
