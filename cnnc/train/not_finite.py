"""Losses that are not finite: notice them without waiting for the device, and find their source.

To find the source, the batch runs again and the output of each node is checked: takes the graph, the current weights
and the pictures of the step, and returns E511 with the first node whose output is not finite.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Output, Ref

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EVERY = 50  # steps between two checks
HELP = "lower `lr`, add `warmup` or `clip`, or use a higher `precision`; `--resume` continues from the last checkpoint"


def not_finite(epoch: int, step: int, source: str) -> CnncError:
    """Return E511 for a step of an epoch, both counted from 1."""
    return CnncError.of(Code.NOT_FINITE, f"the loss is not finite in epoch {epoch}, step {step}: {source}", help=HELP)


def first_not_finite(
    graph: Graph,
    weights: "Mapping[str, Tensor]",
    images: "Tensor",
    prepare: "Callable[[torch.nn.Module], None]" = lambda module: None,
) -> str:
    """Describe the first node, in the graph's order, with a NaN or an infinity in its output, in training mode.

    `prepare` puts the parts that are frozen in evaluation mode.
    """
    from cnnc.targets.torch_module import lower

    refs = [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]
    every = replace(graph, outputs=tuple(Output(graph.spelling(ref), ref) for ref in refs))
    module = lower(every, weights)
    prepare(module)
    outputs = module(images)
    for ref, values in zip(refs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        if not values.isfinite().all():
            return f"`{graph.spelling(ref)}` is the first node with a non-finite output{_cause(ref.node, weights)}"
    return "all nodes have finite outputs, but the loss of these outputs overflows float32"


def _cause(path: str, weights: "Mapping[str, Tensor]") -> str:
    bad = [key for key, each in weights.items() if key.startswith(f"{path}.") and not each.isfinite().all()]
    return f", as `{bad[0]}` is not finite" if bad else ""


class LossCheck:
    """Copies the totals from a GPU asynchronously, and checks a copy once it has arrived.

    On other devices it does nothing: losses on the CPU are checked in every step, others at the end of the epoch.
    """

    def __init__(self, device: "torch.device") -> None:
        self._active = device.type == "cuda"
        self._copy: Tensor | None = None
        self._arrived: Any = None

    def failed(self, totals: "Tensor", step: int) -> bool:
        """Return whether a loss up to some earlier step was not finite."""
        if not self._active or step % EVERY:
            return False
        import torch

        if self._copy is not None and not self._arrived.query():
            return False
        bad = self._copy is not None and not bool(self._copy.isfinite().all())
        self._copy = torch.empty(totals.shape, dtype=totals.dtype, pin_memory=True).copy_(totals, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()
        return bad
