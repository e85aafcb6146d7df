"""Export a module to files: each target is written to a staging folder, verified, and only then published.

Takes a proved graph, its torch module (the training one, with all weights), and the targets; writes a complete build to
`OUT/NAME/`. Raises CnncError (E401–E406) and then leaves the folder unchanged.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from warnings import catch_warnings

from cnnc.artifacts.class_scores import Ranked, ranked
from cnnc.artifacts.metadata import Record, WrittenFile, manifest, metadata, written
from cnnc.artifacts.next_command import next_command
from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_utf8
from cnnc.files.mapped_weights import InFile, is_large, parked, take_over
from cnnc.files.weights_stamp import digest, write_stamped
from cnnc.files.write import publish, stage_file, staging
from cnnc.graph.graph import Graph
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.targets import onnx_model, torch_module
from cnnc.targets.choices import Target
from cnnc.targets.loaded_module import limit_threads, prepared
from cnnc.targets.registry import TABLE, Made
from cnnc.verification.verify import Agreement, Verification, arrays

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.targets.loaded_module import Array

MANIFEST = "manifest.json"
_ALONE = Lock()  # one build at a time: torch's number of threads and the warnings filters are global

AfterPass = Callable[[str, Network], None]


class Version(Protocol):
    """A file made from the ONNX file of a build, such as one in int8; its text is its distance from that file."""

    @property
    def file(self) -> WrittenFile:
        """The staged file."""

    @property
    def precision(self) -> str:
        """Its precision, the key of its record in the manifest."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks for the user."""

    def as_json(self) -> dict[str, Any]:
        """Its record."""


Versions = Callable[[Sequence[Path], "Sequence[Mapping[str, Array]]"], Sequence[Version]]
"""Makes versions of an ONNX file and its external data, in its folder; also takes random inputs by name."""


@dataclass(frozen=True)
class Built:
    """The result of a build: its folder, the size in bytes of each file, and each export's distance from torch."""

    folder: Path
    files: Mapping[str, int]
    agreements: tuple[Agreement, ...]
    ranked: Ranked | None  # the pictures for which the first output is one score per class
    versions: tuple[Version, ...] = ()
    next_command: str | None = None  # runs the ONNX file

    def as_text(self) -> str:
        """Return the files with their sizes, each export's distance from torch, and the next command to run."""
        far = {TABLE[each.target].ending: str(each) for each in self.agreements}
        near = {each.file.path.name: str(each) for each in self.versions}
        width = max(len(str(self.folder / name)) for name in self.files)
        lines = [
            f"{self.folder / name!s:<{width}}  {_size(size):>9}  "
            f"{near.get(name) or far.get(_ending(name), '')}".rstrip()
            for name, size in self.files.items()
        ]
        if self.next_command is not None:
            lines.append(f"next: {self.next_command}")
        return "\n".join(lines)


def _ending(name: str) -> str:
    """Return the ending of the target whose model is in this file of a build; an empty one if none is."""
    first, _, inside = name.partition("/")
    endings = (row.ending for row in TABLE.values() if not inside or inside.endswith(".onnx"))
    return next((ending for ending in endings if first.endswith(f".{ending}")), "")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def require_targets(graph: Graph, targets: Iterable[str], opset: int) -> tuple[str, ...]:
    """Return the targets without duplicates; raises E406 for an unknown one, or if the graph cannot be exported."""
    targets = tuple(dict.fromkeys(targets))
    for target in targets:
        if target not in TABLE:
            raise CnncError.of(
                Code.NOT_EXPORTABLE, f"there is no target `{target}`", help=f"use one of: {', '.join(TABLE)}"
            )
    if {"onnx", "triton"} & {*targets}:
        onnx_model.require_exportable(drop_train_only(Network(graph, {})).graph, opset)
    return targets


def require_pixels(graph: Graph, targets: tuple[str, ...]) -> None:
    """Raise E406 unless the ONNX file of the graph can take pictures as uint8."""
    reason = None
    if not {"onnx", "triton"} & {*targets}:
        reason, help = f"of the targets {', '.join(targets)}, none is an ONNX file", "add the target onnx"
    elif len(graph.inputs) != 1 or graph.inputs[0].picture is None:
        shown = ", ".join(f"{each.name} {list(each.type.shape)}" for each in graph.inputs)
        reason = f"the network takes {shown}, and not one picture"
        help = "leave out uint8, or give the spec one input of 1 or 3 channels"
    if reason:
        raise CnncError.of(Code.NOT_EXPORTABLE, f"no ONNX file can take pictures as uint8: {reason}", help=help)


def export(
    graph: Graph,
    module: "GraphModule",
    targets: tuple[str, ...],
    out: Path,
    record: Record,
    progress: Callable[[str], None],
    after_pass: AfterPass | None = None,
    versions: Versions | None = None,
) -> Built:
    """Write the targets' files, their versions, the weights and the manifest to `out/NAME/`.

    The weights of a large network are written first. From then on the module's weights are memory-mapped from that
    file: they are loaded on use and released after each step.
    """
    folder, name = out / graph.name, graph.name
    weights_sha256 = digest(arrays(module.state_dict()))
    large = is_large(module.state_dict())
    require_utf8(folder, Code.NOT_WRITTEN, "write")
    with _ALONE, staging(folder) as stage:
        kept = stage / f"{name}.safetensors"

        @cache
        def write_weights() -> list[WrittenFile]:
            stage_file(kept, lambda file: write_stamped(file, module.state_dict(), graph.labels, weights_sha256))
            return [written(kept)]

        if large:
            write_weights()
            take_over(module, parked(kept))
        weights: Mapping[str, Array] = parked(kept) if large else arrays(module.state_dict())
        shown, deployed = deployable(graph, module)
        about_file = metadata(shown, weights_sha256, uint8=record.uint8)
        pixels = shown.inputs[0].picture if record.uint8 else None
        made = Made(Network(graph, weights), shown, deployed, record.opset, about_file, after_pass, pixels)
        paths = {target: stage / f"{name}.{TABLE[target].ending}" for target in targets}

        def write(target: str) -> list[WrittenFile]:
            progress(f"writing {paths[target].name}")
            files = TABLE[target].write(made, paths[target])
            if isinstance(weights, InFile):
                take_over(deployed, weights)
            return [written(each, stage) for each in files]

        with prepared(deployed):
            verification = Verification(made, record.seed, stage if large else None)
            files, agreements = _write_verified(paths, write, verification, write_weights, 1 if large else 2)
        random = _by_name(shown, verification.pixels or verification.inputs)
        others = tuple(versions(_onnx_files(files), random) if versions else ())
        files = _beside_onnx(files, [each.file for each in others])
        about = manifest(graph, record, weights_sha256, files, agreements)
        if others:
            about["precisions"] = {each.precision: each.as_json() for each in others}
        sizes = _publish(folder, files, about, stage / MANIFEST)
    pictures = ranked(shown)
    model = next((str(folder / name) for name in sizes if name.endswith(".onnx")), None)
    return Built(folder, sizes, agreements, pictures, others, model and next_command(shown, model, pictures))


def _publish(
    folder: Path, files: Sequence[WrittenFile], about: Mapping[str, Any], manifest_path: Path
) -> dict[str, int]:
    """Write the manifest, give all staged files their names in `folder`, and return their sizes."""
    text = json.dumps(about, indent=2, ensure_ascii=False)
    stage_file(manifest_path, f"{text}\n".encode(errors="backslashreplace"))
    staged = {**{each.name: each.path for each in files}, MANIFEST: manifest_path}
    sizes = {name: path.stat().st_size for name, path in staged.items()}
    publish(folder, staged)
    return sizes


def _onnx_files(files: Sequence[WrittenFile]) -> list[Path]:
    """Return the ONNX file of a build, and its external data if it has any."""
    return [each.path for each in files if each.name == each.path.name and each.name.endswith((".onnx", ".onnx.data"))]


def _beside_onnx(files: Sequence[WrittenFile], versions: Sequence[WrittenFile]) -> list[WrittenFile]:
    """Return the files with the versions of the ONNX file after it."""
    model = next((each for each in files if each.name == each.path.name and each.name.endswith(".onnx")), None)
    return [each for file in files for each in (file, *(versions if file is model else ()))]


def _by_name(graph: Graph, inputs: "Sequence[Sequence[Tensor]]") -> "list[Mapping[str, Array]]":
    names = [each.name for each in graph.inputs]
    return [{name: each.numpy() for name, each in zip(names, batch, strict=True)} for batch in inputs]


def deployable(graph: Graph, module: "GraphModule") -> "tuple[Graph, GraphModule]":
    """Return the graph without its train-only outputs and what only they need, and its module with the same weights."""
    if not any(each.train_only for each in graph.outputs):
        return graph, module
    state = module.state_dict()
    shown = drop_train_only(Network(graph, arrays(state)))
    return shown.graph, torch_module.lower(shown.graph, {key: state[key] for key in shown.weights}).eval()


def _write_verified(
    paths: Mapping[str, Path],
    write: Callable[[str], list[WrittenFile]],
    verification: Verification,
    write_weights: Callable[[], list[WrittenFile]],
    workers: int,
) -> tuple[list[WrittenFile], tuple[Agreement, ...]]:
    """Write each target's file and the weights while torch computes, then verify the files; in the order of `paths`.

    TorchScript goes first, because it takes longest. pt2 is written and verified after all others, because torch.export
    changes modules for all threads. A large network has a single worker, so that no two of its files are in memory at
    once.
    """
    with _at_work(workers) as pool:
        reference = pool.submit(verification.reference)
        beside = sorted(paths.keys() - {Target.PT2}, key=lambda target: (target != Target.TORCHSCRIPT, target))
        made = {target: pool.submit(write, target) for target in beside}
        weights = pool.submit(write_weights)

        def judge(target: str) -> Agreement:
            made[target].result()  # the pool starts jobs in order, so the file is written or being written
            return verification.judge(target, paths[target], reference.result())

        judged = {target: pool.submit(judge, target) for target in beside}
        files = {target: job.result() for target, job in made.items()}
        agreements = {target: job.result() for target, job in judged.items()}
        kept = weights.result()
        if Target.PT2 in paths:
            files[Target.PT2] = write(Target.PT2)
            agreements[Target.PT2] = verification.judge(Target.PT2, paths[Target.PT2], reference.result())
    return [*(file for target in paths for file in files[target]), *kept], tuple(agreements[each] for each in paths)


@contextmanager
def _at_work(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of `count` threads that share the cores."""
    pool = ThreadPoolExecutor(count, initializer=limit_threads)
    with catch_warnings():  # torch and `torchscript` silence warnings on these threads, and restore the filters at odds
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure or an interrupt, the remaining jobs do not start
