"""From a module to files: each target written beside its place, verified, and only then named.

In: a proved graph, its torch module (the training one, with all weights), and which targets to write. Out: `OUT/NAME/`
with one whole build in it. Raises CnncError (E401–E406), and then the folder is as it was.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.passes import pipeline
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.runtime.record import Record, manifest, metadata
from cnnc.targets import onnx, torch
from cnnc.targets.stamp import digest, stamped
from cnnc.targets.table import TABLE, Made
from cnnc.targets.verify import Agreement, Verification, limit_threads, prepared
from cnnc.targets.write import publish, stage_file, staging

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.fx import GraphModule

AfterPass = Callable[[str, Network], None]


@dataclass(frozen=True)
class Built:
    """What a build has written: a folder, the size in bytes of each file in it, how far each export is from torch."""

    folder: Path
    files: Mapping[str, int]
    agreements: tuple[Agreement, ...]

    def as_text(self) -> str:
        """The files with their sizes, how far each is from torch, and what to type next."""
        far = {TABLE[each.target].ending: f"within {each.largest_absolute:.1e} of torch" for each in self.agreements}
        width = max(len(str(self.folder / name)) for name in self.files)
        lines = [
            f"{self.folder / name!s:<{width}}  {_size(size):>9}  {far.get(name.rpartition('.')[2], '')}".rstrip()
            for name, size in self.files.items()
        ]
        model = next((name for name in self.files if name.endswith(".onnx")), None)
        return "\n".join([*lines, f"next: cnnc infer {self.folder / model} PICTURE"] if model else lines)


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
    deployed = Network(graph, {key: tensor.numpy() for key, tensor in state.items()})
    inference = drop_train_only(deployed)
    if len(inference.graph.nodes) < len(graph.nodes):
        deployable = torch.lower(inference.graph, {key: state[key] for key in inference.weights})
    else:
        deployable = module
    folder, name = out / graph.name, graph.name
    weights_sha256 = digest(deployed.weights)

    def model() -> "ModelProto":
        network = pipeline.run(deployed, after_pass)
        return onnx.lower(network.graph, network.weights, record.opset, metadata(inference.graph, weights_sha256))

    def write(target: str, path: Path) -> None:
        progress(f"writing {path.name}")
        TABLE[target].write(Made(inference.graph, deployable, model), path)

    with staging(folder) as stage, prepared(deployable):
        paths = {target: stage / f"{name}.{TABLE[target].ending}" for target in targets}
        agreements = _write_verified(
            paths, write, partial(Verification, inference.graph, deployable, record.opset, record.seed)
        )
        weights = stage / f"{name}.safetensors"
        stage_file(weights, stamped(state, graph.labels))
        files = {path.name: path for path in [*paths.values(), weights]}
        written = manifest(graph, record, weights_sha256, files, agreements)
        files["manifest.json"] = stage / "manifest.json"
        stage_file(files["manifest.json"], (json.dumps(written, indent=2, ensure_ascii=False) + "\n").encode())
        sizes = {name: path.stat().st_size for name, path in files.items()}
        publish(folder, files)
    return Built(folder, sizes, agreements)


def _write_verified(
    paths: Mapping[str, Path], write: Callable[[str, Path], None], verification: Callable[[], Verification]
) -> tuple[Agreement, ...]:
    """Write and measure each file, while torch's own answer is found beside.

    Where there are more, the ONNX file goes behind that answer: scripting leaves a core idle meanwhile.
    """
    with ThreadPoolExecutor(1, initializer=limit_threads) as beside:
        reference = beside.submit(verification)

        def make(target: str, path: Path) -> Agreement:
            write(target, path)
            return reference.result().measure(target, path)

        apart = {"onnx"} if len(paths) > 1 else set()
        behind = {target: beside.submit(make, target, path) for target, path in paths.items() if target in apart}
        found = {target: make(target, path) for target, path in paths.items() if target not in apart}
        found |= {target: each.result() for target, each in behind.items()}
    return tuple(found[target] for target in paths)
