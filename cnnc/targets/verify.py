"""Every export is run against the torch module before it is named.

In go the graph, its torch module and written files; out comes how far each file's outputs are from the module's, on
fresh inputs in batches of 1 and 3 and, where heights and widths are open, of several sizes. Where a file is too far
off, E404 names the first node of the spec whose value differs.

What counts as equal: |a - b| <= 1e-3 |b| + 1e-4 max|b|. Both sides round every sum of a float32 network in their own
order. That moves an element by some 1e-6 of its layer's magnitude, so an element near zero cannot be held to its own;
a hundred layers may add up to 1e-5. A wrong pad, axis or epsilon is seen at 1e-2 and more.

Where all of an output is zero but for rounding (the mean of what was normalised over the same positions), it cannot be
held to its own magnitude either. So before a file is refused, the module is run in float64 too: how far its float32
outputs are from that is what rounding does here, and 300 times that much is then allowed as well. Other orders of
summing 50,000 numbers were seen to give 40 times as much; and of an output of ordinary size it is 1e-4 and less.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Node, Output, Ref
from cnnc.targets import probes
from cnnc.targets.runners import run_torch, threads
from cnnc.targets.table import OPSET, TABLE, Made

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.targets.runners import Array

    Answers = Sequence[Sequence[Array]]  # of each input each output

BATCHES = (1, 3)
RELATIVE, ABSOLUTE, ROUNDING = 1e-3, 1e-4, 300


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a target is from torch: the largest difference, absolute and as a part of its output's largest value.

    For an output that is smaller than what rounding may do to it, the part is of that.
    """

    target: str
    largest_absolute: float
    largest_relative: float
    ok: bool


def verify(
    graph: Graph, module: "GraphModule", files: Mapping[str, Path], opset: int = OPSET, seed: int = 0
) -> tuple[Agreement, ...]:
    """Run the file of each target (`onnx`, `torchscript` …) against the graph's own `module`; raises E404.

    `opset` is that of the ONNX file, and `seed` draws the inputs. The module's mode stays.
    """
    with prepared(module):
        verification = Verification(graph, module, opset, seed)
        wanted = verification.wanted()
        return tuple(verification.judge(each, verification.given(each, path), wanted) for each, path in files.items())


class Verification:
    """The inputs of a graph's files, and their answers beside torch's. The module is in eval mode all the while.

    The three steps may go on in several threads: an answer takes no notice of another.
    """

    def __init__(self, graph: Graph, module: "GraphModule", opset: int, seed: int) -> None:
        self.graph, self.module, self.opset, self.seed = graph, module, opset, seed
        sizes = probes.spaces(graph)
        self.inputs = [probes.draw(graph, batch, space, seed + batch) for space in sizes for batch in BATCHES]

    def wanted(self) -> "Answers":
        """What torch gives for each of the inputs."""
        run = run_torch(self.module)
        return [run(each) for each in self.inputs]

    def given(self, target: str, path: Path) -> "Answers":
        """What a target's file gives for each of them."""
        run = TABLE[target].run(path, self.module)
        return [run(each) for each in self.inputs]

    def judge(self, target: str, given: "Answers", wanted: "Answers") -> Agreement:
        """How far a target is from torch; raises E404, naming the node, where that is too far."""
        found = _worst(target, given, wanted, [0.0] * len(wanted[0]))
        if not found.ok:
            found = _worst(target, given, wanted, rounding(self.graph, self.module, self.inputs, wanted))
        if not found.ok:
            raise _differs(found, _blame(self.graph, self.module, target, self.opset, self.seed))
        return found


def rounding(
    graph: Graph, module: "GraphModule", inputs: "Sequence[Sequence[Tensor]]", wanted: "Answers"
) -> list[float]:
    """For each output the most that float32 changes in it: how far what torch gives is from the same in float64."""
    import numpy as np

    from cnnc.targets.torch import lower

    weights = {key: each.double() if each.is_floating_point() else each for key, each in module.state_dict().items()}
    run = run_torch(lower(graph, weights).eval())
    worst = [0.0] * len(wanted[0])
    for each, outputs in zip(inputs, wanted, strict=True):
        exact = run([x.double() for x in each])
        for index, (a, b) in enumerate(zip(outputs, exact, strict=True)):
            known = np.isfinite(a) & np.isfinite(b)
            worst[index] = max(worst[index], float(np.abs(a[known] - b[known]).max(initial=0)))
    return worst


@contextmanager
def prepared(module: "GraphModule") -> Iterator[None]:
    """The module in eval mode and torch on no more than our number of threads, for a while."""
    import torch

    mode, before = module.training, torch.get_num_threads()
    module.eval()
    limit_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        module.train(mode)


def limit_threads() -> None:
    """Keep torch, in the calling thread, to no more than our number of threads."""
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), threads()))


def compare(target: str, a: "Array", b: "Array", noise: float = 0.0) -> Agreement:
    """How far `a` is from `b`, which is torch's and rounded by up to `noise`.

    NaN and infinity agree with themselves alone.
    """
    import numpy as np

    if a.shape != b.shape:
        return Agreement(target, np.inf, np.inf, ok=False)
    a, b = a.astype(np.float64), b.astype(np.float64)
    apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not (np.isfinite(a[apart]).all() and np.isfinite(b[apart]).all()):
        return Agreement(target, np.inf, np.inf, ok=False)
    distance, magnitude = np.abs(a[apart] - b[apart]), np.abs(b[apart])
    worst, scale = float(distance.max(initial=0)), float(np.abs(b[np.isfinite(b)]).max(initial=0))
    ok = bool((distance <= RELATIVE * magnitude + ABSOLUTE * scale + ROUNDING * noise).all())
    return Agreement(target, worst, worst / (max(scale, ROUNDING * noise) or 1), ok)


def _worst(target: str, given: "Answers", wanted: "Answers", noise: Sequence[float]) -> Agreement:
    """The worst of all outputs on all inputs; `noise` is each output's."""
    found = [
        compare(target, a, b, each)
        for theirs, ours in zip(given, wanted, strict=True)
        for a, b, each in zip(theirs, ours, noise, strict=True)
    ]
    return Agreement(
        target,
        max(each.largest_absolute for each in found),
        max(each.largest_relative for each in found),
        all(each.ok for each in found),
    )


def _blame(graph: Graph, module: "GraphModule", target: str, opset: int, seed: int) -> Node | None:
    """The first node whose value differs when every value is an output and no pass has run; None where none does."""
    from cnnc.targets import onnx
    from cnnc.targets.torch import lower

    refs = [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]
    bare = replace(graph, outputs=tuple(Output(f"value_{index}", ref) for index, ref in enumerate(refs)))
    whole = lower(bare, module.state_dict()).eval()
    inputs = probes.draw(graph, BATCHES[-1], probes.spaces(graph)[-1], seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / target
        weights = {key: tensor.numpy() for key, tensor in whole.state_dict().items()}
        TABLE[target].write(Made(bare, whole, lambda file: onnx.write(file, bare, weights, opset)), path)
        wanted = run_torch(whole)(inputs)
        noise = rounding(bare, whole, [inputs], [wanted])
        values = zip(refs, TABLE[target].run(path, whole)(inputs), wanted, noise, strict=True)
        return next((graph.node[ref.node] for ref, a, b, each in values if not compare(target, a, b, each).ok), None)


def _differs(found: Agreement, node: Node | None) -> CnncError:
    where = f"`{node.path}` ({node.op.name}) is the first node that differs" if node else "no single node differs"
    return CnncError.of(
        Code.NOT_VERIFIED,
        f"the {found.target} file computes something else than torch: off by {found.largest_absolute:.3g}, which is "
        f"{found.largest_relative:.3g} of the largest value; {where}",
        node.span if node else None,
        help="nothing was written; this is a fault of cnnc or of the library that runs the file: please report it",
    )
