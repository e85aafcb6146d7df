"""From a module to files: each target written beside its place, verified, and only then named.

In: a proved graph, its torch module (the training one, with all weights), and which targets to write. Out: `OUT/NAME/`
with one whole build in it. Raises CnncError (E401–E406), and then the folder is as it was.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from threading import Lock
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.files import require_utf8
from cnnc.graph.graph import Graph
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.runtime.ranks import Ranked, ranked
from cnnc.runtime.record import Record, Written, manifest, metadata, written
from cnnc.targets import onnx, torch
from cnnc.targets.runners import limit_threads, prepared
from cnnc.targets.stamp import digest, write_stamped
from cnnc.targets.table import TABLE, Made, Target
from cnnc.targets.verify import Agreement, Verification, arrays
from cnnc.targets.write import publish, stage_file, staging

if TYPE_CHECKING:
    from torch.fx import GraphModule

MANIFEST = "manifest.json"
_ALONE = Lock()  # the threads of torch and their switching are the process's: one build at a time

AfterPass = Callable[[str, Network], None]


@dataclass(frozen=True)
class Built:
    """What a build has written: a folder, the size in bytes of each file in it, how far each export is from torch."""

    folder: Path
    files: Mapping[str, int]
    agreements: tuple[Agreement, ...]
    ranked: Ranked | None  # the pictures that `cnnc infer` takes its ONNX file for

    @property
    def ranks_pictures(self) -> bool:
        """Whether `cnnc infer` takes the ONNX file."""
        return self.ranked is not None

    def as_text(self) -> str:
        """The files with their sizes, how far each is from torch, and what to type next."""
        far = {TABLE[each.target].ending: str(each) for each in self.agreements}
        width = max(len(str(self.folder / name)) for name in self.files)
        lines = [
            f"{self.folder / name!s:<{width}}  {_size(size):>9}  {far.get(name.rpartition('.')[2], '')}".rstrip()
            for name, size in self.files.items()
        ]
        model = next((self.folder / name for name in self.files if name.endswith(".onnx")), None)
        if model is not None and self.ranked is not None:
            lines.append(f"next: cnnc infer {quote(str(model))} PICTURE{_limit(self.ranked)}")
        return "\n".join(lines)


def _limit(pictures: Ranked) -> str:
    """As a comment of the shell, so that the line can be pasted."""
    if pictures.sizes is None:
        return ""
    least, most = (f"{height} × {width}" for height, width in pictures.sizes)
    return f"  # of {least}{f' to {most}' if most != least else ''} pixels, which give one score a class"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def require_targets(graph: Graph, targets: Iterable[str], opset: int) -> tuple[str, ...]:
    """The targets, each once; raises E406 for one that there is not, or that this graph cannot become."""
    targets = tuple(dict.fromkeys(targets))
    for target in targets:
        if target not in TABLE:
            raise CnncError.of(
                Code.NOT_EXPORTABLE, f"there is no target `{target}`", help=f"there are: {', '.join(TABLE)}"
            )
    if "onnx" in targets:
        onnx.require_exportable(drop_train_only(Network(graph, {})).graph, opset)
    return targets


def export(
    graph: Graph,
    module: "GraphModule",
    targets: tuple[str, ...],
    out: Path,
    record: Record,
    progress: Callable[[str], None],
    after_pass: AfterPass | None = None,
) -> Built:
    """Write the targets' files, the weights and the manifest to `out/NAME/`."""
    state = {key: tensor.detach() for key, tensor in module.state_dict().items()}
    network = Network(graph, arrays(state))
    graph_shown, deployed = deployable(graph, module)
    folder, name = out / graph.name, graph.name
    weights_sha256 = digest(network.weights)
    made = Made(network, graph_shown, deployed, record.opset, metadata(graph_shown, weights_sha256), after_pass)

    def write(target: str, path: Path) -> None:
        progress(f"writing {path.name}")
        TABLE[target].write(made, path)

    def write_weights(path: Path) -> Written:
        stage_file(path, lambda file: write_stamped(file, state, graph.labels, weights_sha256))
        return written(path)

    require_utf8(folder, Code.NOT_WRITTEN, "write")
    with _ALONE, staging(folder) as stage, prepared(deployed):
        paths = {target: stage / f"{name}.{TABLE[target].ending}" for target in targets}
        verification = Verification(made, record.seed)
        made_files, weights = _write_verified(
            paths, write, verification, partial(write_weights, stage / f"{name}.safetensors")
        )
        files = [*(file for file, _ in made_files), weights]
        agreements = tuple(agreement for _, agreement in made_files)
        said = manifest(graph, record, weights_sha256, files, agreements)
        stage_file(
            stage / MANIFEST, (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        )
        staged = {each.name: each for each in [*(each.path for each in files), stage / MANIFEST]}
        sizes = {name: path.stat().st_size for name, path in staged.items()}
        publish(folder, staged)
    return Built(folder, sizes, agreements, ranked(graph_shown))


def deployable(graph: Graph, module: "GraphModule") -> "tuple[Graph, GraphModule]":
    """The graph without its train-only outputs and what only they need, and its module, of the same weights."""
    if not any(each.train_only for each in graph.outputs):
        return graph, module
    state = module.state_dict()
    shown = drop_train_only(Network(graph, arrays(state)))
    return shown.graph, torch.lower(shown.graph, {key: state[key] for key in shown.weights}).eval()


def _write_verified(
    paths: Mapping[str, Path],
    write: Callable[[str, Path], None],
    verification: Verification,
    write_weights: Callable[[], Written],
) -> tuple[list[tuple[Written, Agreement]], Written]:
    """Write and judge each target's file, in the order of `paths`, and write the weights, beside torch's own run.

    TorchScript goes first, which takes longest; .pt2 goes last and alone: torch.export changes modules for all threads.
    """
    with _two_workers() as workers:
        reference = workers.submit(verification.reference)

        def make(target: str) -> tuple[Written, Agreement]:
            write(target, paths[target])
            return written(paths[target]), verification.judge(target, paths[target], reference.result())

        beside = sorted(paths.keys() - {Target.PT2}, key=lambda target: (target != Target.TORCHSCRIPT, target))
        jobs = {target: workers.submit(make, target) for target in beside}
        weights = workers.submit(write_weights)
        made = {target: job.result() for target, job in jobs.items()}
        kept, _ = weights.result(), reference.result()
        made |= {target: make(target) for target in paths if target not in made}
        return [made[target] for target in paths], kept


@contextmanager
def _two_workers() -> Iterator[ThreadPoolExecutor]:
    """Threads, each with its part of the cores, that hand the interpreter over at once.

    torch lets go of it at every op, and would wait 5 ms each time to have it back.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    workers = ThreadPoolExecutor(2, initializer=limit_threads)
    try:
        yield workers
    finally:
        workers.shutdown(cancel_futures=True)  # where one has failed, or somebody interrupts, the rest is not begun
        sys.setswitchinterval(before)
