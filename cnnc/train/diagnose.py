"""Find the source of a loss that is not finite: run the batch again and check the output of each node.

Takes the graph, the current weights and the pictures of the step. Returns E511, with the first node whose output is not
finite.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Output, Ref

if TYPE_CHECKING:
    from torch import Tensor

HELP = "lower `lr`, add `warmup` or `clip`, or use a higher `precision`; `--resume` continues from the last checkpoint"


def not_finite(epoch: int, step: int, source: str) -> CnncError:
    """Return E511 for a step of an epoch, both counted from 1."""
    return CnncError.of(Code.NOT_FINITE, f"the loss is not finite in epoch {epoch}, step {step}: {source}", help=HELP)


def first_not_finite(graph: Graph, weights: "Mapping[str, Tensor]", images: "Tensor") -> str:
    """Describe the first node, in the graph's order, with a NaN or an infinity in its output, in training mode."""
    from cnnc.targets.torch_module import lower

    refs = [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]
    every = replace(graph, outputs=tuple(Output(graph.spelling(ref), ref) for ref in refs))
    outputs = lower(every, weights)(images)
    for ref, values in zip(refs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        if not values.isfinite().all():
            return f"`{graph.spelling(ref)}` is the first node with a non-finite output{_cause(ref.node, weights)}"
    return "all nodes have finite outputs, but the loss of these outputs overflows float32"


def _cause(path: str, weights: "Mapping[str, Tensor]") -> str:
    bad = [key for key, each in weights.items() if key.startswith(f"{path}.") and not each.isfinite().all()]
    return f", as `{bad[0]}` is not finite" if bad else ""
