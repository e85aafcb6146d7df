"""Checks that an exported file matches its spec; a mismatch raises E404.

Takes a graph without train-only outputs, and the results of a file or of torch.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.graph.graph import Graph, Node
from cnnc.verification.compare import Distance
from cnnc.verification.torch_answers import Answers

if TYPE_CHECKING:
    from cnnc.targets.loaded_module import Array, Loaded

FAULT_OF_CNNC = "nothing was written; this is a bug in cnnc or in the library that runs the file: please report it"
LEAST_SENSITIVITY = 100
"""The sensitivity that outputs need, in units of the tolerance, for their agreement to be significant."""


def require_finite(torch: Answers) -> None:
    """Raise E404 if torch's outputs are not finite, naming the first node whose value is not."""
    import numpy as np

    if all(np.isfinite(each).all() for outputs in torch.outputs[: torch.samples] for each in outputs):
        return
    nodes = (torch.graph.node[ref.node] for ref, value in torch.values.items() if not np.isfinite(value).all())
    node = next(nodes, None)
    at = f": `{node.path}` ({node.op.name}) is the first node whose value is not" if node else ""
    raise CnncError.of(
        Code.NOT_VERIFIED,
        f"with these weights the outputs are not finite{at}",
        node.span if node else None,
        help="nothing was written; look for a running variance below zero, NaN, or very large numbers in the weights",
    )


def require_sensitive(target: str, sensitivity: float) -> None:
    """Raise E404 if outputs barely react to the input, so that their agreement would not be significant."""
    if sensitivity < LEAST_SENSITIVITY:
        shown = f"sensitivity {sensitivity:.1g}, but at least {LEAST_SENSITIVITY} is needed"
        raise CnncError.of(
            Code.NOT_VERIFIED,
            f"the {target} file holds other weights than these, or in another form, and with these the outputs barely "
            f"react to the input: {shown}",
            help="pass the weights that it was built from, with --weights or --seed; a rewritten file can only be "
            "verified with the weights of a trained network",
        )


def require_names(graph: Graph, target: str, loaded: "Loaded") -> None:
    """Raise E404 if the names of a file's inputs or outputs, or their order, are not the spec's."""
    for kind, names, ports in (("inputs", loaded.inputs, graph.inputs), ("outputs", loaded.names, graph.outputs)):
        promised = tuple(each.name for each in ports)
        if names is not None and names != promised:
            raise wrong(target, f"its {kind} are {_listed(names)}, expected {_listed(promised)}")


def require_shapes(graph: Graph, target: str, given: "Sequence[Array]", torch: "Sequence[Array]") -> None:
    """Raise E404 if the number, the shapes or the dtype of a file's outputs do not match the spec."""
    if len(given) != len(graph.outputs):
        promised = _listed(each.name for each in graph.outputs)
        raise wrong(target, f"it has {counted(len(given), 'output')}, expected {promised}")
    for output, a, b in zip(graph.outputs, given, torch, strict=True):
        known = graph.type_of(output.ref).shape
        wanted = (len(b), *(size or there for size, there in zip(known, b.shape[1:], strict=True)))
        node = graph.node.get(output.ref.node)
        if a.shape != wanted:
            raise wrong(target, f"`{output.name}` is {a.shape} for a batch of {len(b)}, expected {wanted}", node)
        if a.dtype != b.dtype:
            raise wrong(target, f"`{output.name}` is {a.dtype}, expected {b.dtype}", node)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in names)


def differs(target: str, found: Distance, node: Node | None, remark: str = "") -> CnncError:
    """Return E404 for values that differ; the remark follows the node's name."""
    where = "no single node differs"
    if node:
        where = f"`{node.path}` ({node.op.name}){remark} is the first node that differs"
    far = f"off by {found.absolute:.3g}, which is {found.relative:.3g} of the largest value"
    return _refused(f"the {target} file and torch compute different values: {far}; {where}", node)


def wrong(target: str, what: str, node: Node | None = None) -> CnncError:
    """Return E404 for a file that does not match the spec."""
    return _refused(f"the {target} file does not match the spec: {what}", node)


def _refused(message: str, node: Node | None) -> CnncError:
    return CnncError.of(
        Code.NOT_VERIFIED,
        message,
        node.span if node else None,
        help=FAULT_OF_CNNC,
    )
