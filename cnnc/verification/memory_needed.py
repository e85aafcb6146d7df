"""Estimate the memory that a verification needs, before anything is allocated.

Takes a graph without train-only outputs and the sizes to verify it at; returns the batch sizes that fit in memory.
torch and the file's runtime each hold the live activations, and one sample's value of every node is held twice. The
outputs for all inputs are kept until the last file has been compared.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cnnc.analysis.cost import activation_bytes, bytes_of
from cnnc.diagnostics import CnncError, Code
from cnnc.files.mapped_weights import LARGE
from cnnc.graph.graph import Graph, Node
from cnnc.graph.rebuild import rebuild
from cnnc.ops.types import TensorType
from cnnc.targets.sample_inputs import Space, shapes

BATCHES = ((1, 3), (1, 1))  # each batch has its own inputs, so there are several samples in either case
RUNS = 4  # torch's and the runtime's, for two files at a time
OUTPUTS = 4  # torch's with either weights, and those of two files at a time
COPIES = 4  # of the weights: the module's, live ones, and two of a runtime; for large ones only those of the runtime


def batches_that_fit(graph: Graph, spaces: tuple[Space, ...]) -> tuple[int, ...]:
    """Return the batch sizes to verify with, smaller ones if memory is short; raises E406 if none fits."""
    free = free_memory()
    known = [at_size(graph, space) for space in spaces]
    for batches in BATCHES:
        need = needed(known, batches)
        if free is None or need <= free:
            return batches
    largest = max(known[-1].nodes, key=lambda node: max(_sizes(known[-1], node)))
    given, between = _sizes(known[-1], largest)
    takers = (
        (_weights(graph), "its weights alone take"),
        (given, f"the output of `{largest.path}` alone takes"),
        (between, f"`{largest.path}` with its padding alone takes"),
    )
    size, taker = max(takers, key=lambda pair: pair[0])
    of_values = size > _weights(graph)
    raise CnncError.of(
        Code.NOT_EXPORTABLE,
        f"verifying `{graph.name}` needs {_shown(need)} of memory, but only {_shown(free or 0)} is available; "
        f"{taker} {_shown(size)}",
        largest.span if of_values else None,
        help="build it on a machine with more memory" + (", or for a smaller picture" if of_values else ""),
    )


def needed(known: Sequence[Graph], batches: tuple[int, ...]) -> int:
    """Return the bytes needed to verify a graph, given at each of its sizes, with inputs of these batch sizes."""
    weights = _weights(known[0])
    outputs = sum(bytes_of(graph.type_of(each.ref) for each in graph.outputs) or 0 for graph in known)
    running = max(_running(graph, max(batches)) for graph in known)
    return (COPIES if weights < LARGE else COPIES // 2) * weights + OUTPUTS * sum(batches) * outputs + running


def _running(graph: Graph, batch: int) -> int:
    """Return the bytes of the values while two files run on a batch, or of one sample's values of all nodes."""
    values = bytes_of(type for node in graph.nodes for type in node.outputs) or 0
    alive = (activation_bytes(graph) or 0) + max((_sizes(graph, node)[1] for node in graph.nodes), default=0)
    return max(2 * values, RUNS * alive * batch)


def _sizes(graph: Graph, node: Node) -> tuple[int, int]:
    """Return the bytes of a node's outputs, and of the intermediate tensors that torch may allocate for them."""
    return bytes_of(node.outputs) or 0, bytes_of(node.op.between(*graph.input_types(node))) or 0


def _weights(graph: Graph) -> int:
    return 4 * sum(node.cost.params + node.cost.buffers for node in graph.nodes)


def at_size(graph: Graph, space: Space) -> Graph:
    """Return the graph with open heights and widths filled in."""
    pairs = zip(graph.inputs, shapes(graph, space), strict=True)
    inputs = tuple(each._replace(type=TensorType(shape)) for each, shape in pairs)
    return rebuild(replace(graph, inputs=inputs), graph.nodes)


def free_memory() -> int | None:
    """Return the bytes of memory available to this process; None if unknown."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return min([available, *_limit_of_container()])
    with suppress(AttributeError, OSError, ValueError):  # other systems only report the total memory
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _limit_of_container() -> list[int]:
    with suppress(OSError, ValueError):  # ValueError: "max"
        return [int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))]
    return []


def _shown(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
