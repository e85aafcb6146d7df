"""Gradient checkpointing by block: `recompute` of the recipe (Chen et al., 2016), for networks that need less memory.

A block keeps only its inputs; its forward pass runs a second time in the backward pass. The blocks are the innermost
scopes of the spec: instances of blocks, and groups, without others inside. The results stay the same, bit for bit: the
second pass draws the same random numbers, and leaves the running statistics of batch norms alone.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code

if TYPE_CHECKING:
    import torch


def recompute(module: "torch.nn.Module", name: str) -> None:
    """Let each block of the network `name` run again in the backward pass; raises E517 if it has no blocks."""
    found = blocks(module)
    if not found:
        raise CnncError.of(
            Code.WEIGHTS_UNSELECTED,
            f"`recompute` of the recipe needs blocks or groups, but `{name}` has none",
            help="put its layers into blocks or groups, or use a smaller `batch` with `accumulate`",
        )
    for block in found:
        block.forward = partial(_twice, block, block.forward)


def blocks(module: "torch.nn.Module") -> "list[torch.nn.Module]":
    """Return the innermost scopes of a network with more than one layer."""
    from torch.fx import GraphModule

    def scopes(of: "torch.nn.Module") -> "list[torch.nn.Module]":
        return [each for each in of.modules() if each is not of and isinstance(each, GraphModule)]

    return [each for each in scopes(module) if not scopes(each) and len([*each.children()]) > 1]


def _twice(block: "torch.nn.Module", forward: Callable[..., Any], *inputs: Any) -> Any:
    """Run a block's forward pass, in training once more in the backward pass."""
    from torch.utils.checkpoint import checkpoint

    if not block.training:
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _without_statistics(block)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _without_statistics(block: "torch.nn.Module") -> Iterator[None]:
    """Keep the batch norms in training from updating their running statistics a second time."""
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    norms: Any = [each for each in block.modules() if isinstance(each, kinds) and each.training]
    momenta = [each.momentum for each in norms]
    for each in norms:
        each.momentum = 0.0
    try:
        yield
    finally:
        for each, momentum in zip(norms, momenta, strict=True):
            each.momentum = momentum
            if each.num_batches_tracked is not None:
                each.num_batches_tracked.sub_(1)
