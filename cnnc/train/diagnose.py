"""Where a loss that is not finite comes from: the batch once more, node by node.

In: the graph, the weights of the moment and the pictures of the step. Out: E511, with the first node whose output is
not finite.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Output, Ref

if TYPE_CHECKING:
    from torch import Tensor

HELP = "lower `lr`, add `warmup` or `clip`, or train in higher `precision`; the last checkpoint is from before"


def not_finite(epoch: int, step: int, where: str) -> CnncError:
    """E511 for a step, both counted from 1."""
    return CnncError.of(Code.NOT_FINITE, f"the loss is not finite in epoch {epoch}, step {step}: {where}", help=HELP)


def first_not_finite(graph: Graph, weights: "Mapping[str, Tensor]", images: "Tensor") -> str:
    """In words, the first node in the graph's order with a NaN or an infinity in its output, in training mode."""
    from cnnc.targets.torch_module import lower

    refs = [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]
    every = replace(graph, outputs=tuple(Output(graph.spelling(ref), ref) for ref in refs))
    outputs = lower(every, weights)(images)
    for ref, values in zip(refs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        if not values.isfinite().all():
            return f"`{graph.spelling(ref)}` is the first node with a non-finite output{_cause(ref.node, weights)}"
    return "every node's output is finite, and their loss is beyond float32"


def _cause(path: str, weights: "Mapping[str, Tensor]") -> str:
    bad = [key for key, each in weights.items() if key.startswith(f"{path}.") and not each.isfinite().all()]
    return f", as `{bad[0]}` is not finite" if bad else ""
