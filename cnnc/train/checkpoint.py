"""Read and write the files of a run's folder: checkpoint, weights and summary.

A run resumes from `state.pt` alone: weights, optimizer, generators, counts and history, in one file that is replaced
atomically, so that a run killed at any moment can resume. `last.safetensors` and `best.safetensors` hold the weights
for other programs. They are written before the state: if a run is killed in between, they are an epoch ahead, and the
resumed run writes them again. `run.json` is a summary. All files contain hashes to detect damage, which torch's reader
would turn into other numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from os.path import exists
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, BinaryIO

from cnnc.data.dataset import Data
from cnnc.diagnostics import CnncError, Code, listed
from cnnc.files.state_hash import Hashing, require_intact
from cnnc.files.weights_stamp import Damaged, write_stamped
from cnnc.files.write import write_file
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.train.monitor import curves, metrics, tested
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.run_file import RUN, RunChanged, json_hash, read_run, write_run
from cnnc.train.tasks import task_of

if TYPE_CHECKING:
    from torch import Tensor

STATE, LAST, BEST = "state.pt", "last.safetensors", "best.safetensors"
KEPT_WEIGHTS = "epoch-{}.safetensors"  # of `save_every`
VERSION = 2
VERSIONS = (1, VERSION)  # files of version 1 have no hash
FILES = (STATE, LAST, BEST, RUN, metrics.NAME, tested.NAME, curves.NAME)
KEPT = "cnnc then renames the folder and keeps it"


@dataclass(frozen=True)
class RunIdentity:
    """What defines a run: hashes of the network and the data, its recipe and task, and the spec's recipe (`written`).

    `skipped` are the paths of the pictures that were left out because they cannot be read. `weights` is the file with
    the initial weights, `parameters` are the numbers of learned and of frozen ones.
    """

    name: str
    network: str
    data: str
    fingerprint: str
    recipe: dict[str, Any]
    written: dict[str, Any]
    labels: tuple[str, ...] | None
    skipped: list[str] = field(default_factory=list)
    weights: str | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    task: str = "classes"

    @classmethod
    def of(cls, graph: Graph, recipe: Train, data: Data) -> "RunIdentity":
        """Return the identity of a new run."""
        written = graph.train.model_dump() if graph.train else {}
        labels = graph.labels or data.classes
        return cls(
            graph.name,
            network_hash(graph),
            data.source,
            data.fingerprint,
            recipe.model_dump(),
            written,
            labels,
            [str(each.path) for split in (data.train, data.test) if split for each in split.skipped],
            task=task_of(graph).kind,
        )


@dataclass
class Progress:
    """The progress of a run: completed epochs and their records; steps, totals and seconds of the current epoch.

    `by` is the metric that decides which epoch is the best: `best` of the recipe.
    """

    epoch: int = 0
    step: int = 0
    totals: list[float] = field(default_factory=list)
    seconds: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)
    by: str | None = None

    @property
    def best(self) -> EpochRecord | None:
        """The best epoch: the first with the highest `merit`."""
        return max(self.records, key=lambda record: record.merit(self.by), default=None)

    def is_stale(self, patience: int | None) -> bool:
        """Whether the last `patience` epochs were no better than the best one before them."""
        return patience is not None and self.best is not None and self.epoch - self.best.epoch >= patience


@dataclass(frozen=True)
class Checkpoint:
    """The content of `state.pt`. `generators` has the states of each rank, and is empty at the end of an epoch."""

    identity: RunIdentity
    progress: Progress
    learner: dict[str, Any]
    generators: "list[dict[str, Tensor]]"


def network_hash(graph: Graph) -> str:
    """Return the SHA-256 of the resolved spec, without the keys that do not change the network."""
    spec = {key: value for key, value in graph.spec.items() if key not in ("train", "description", "labels", "budget")}
    return json_hash(spec)


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the state atomically; raises E405, and then leaves the earlier state."""
    import torch

    plain = {
        "version": VERSION,
        "identity": asdict(checkpoint.identity),
        "progress": {**vars(checkpoint.progress), "records": [each.as_json() for each in checkpoint.progress.records]},
        "learner": checkpoint.learner,
        "generators": checkpoint.generators,
    }

    def save(file: BinaryIO) -> None:
        hashing = Hashing(file)
        torch.save(plain, hashing)  # type: ignore[arg-type]
        hashing.end()

    write_file(folder / STATE, save)
    write_summary(folder, checkpoint)


def write_summary(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `run.json`; raises E405."""
    write_run(folder / RUN, _summary(checkpoint))


def write_weights(paths: Sequence[Path], weights: "Mapping[str, Tensor]", labels: tuple[str, ...] | None) -> None:
    """Write weights, keyed by the spec's paths, with the class names for `cnnc build`, to each path; raises E405."""
    first, *others = paths
    write_file(first, lambda file: write_stamped(file, weights, labels))
    for path in others:  # a copy takes half the time of hashing the weights again
        with first.open("rb") as written:
            write_file(path, partial(copyfileobj, written))


def read(folder: Path) -> Checkpoint | None:
    """Return the state of the run in `folder`, or None if there is no run.

    Raises E512 if the state is damaged or unreadable, or if it is missing although other files of a run are there.
    """
    path = folder / STATE
    if not exists(path):
        if left := files_of_run(folder):
            raise _not_resumable(path, f"it is missing, although the folder holds {listed(left)} of a run", _PUT_BACK)
        return None
    _require_run(folder / RUN)
    try:
        plain = _load(path)
        identity = dict(plain["identity"])
        identity["labels"] = tuple(identity["labels"]) if identity["labels"] else None
        progress = dict(plain["progress"])
        progress["records"] = [EpochRecord.of_json(each) for each in progress["records"]]
        return Checkpoint(RunIdentity(**identity), Progress(**progress), plain["learner"], plain["generators"])
    except CnncError:
        raise
    except Damaged as error:
        raise _not_resumable(path, str(error)) from error
    except Exception as error:  # torch's reader may raise any exception on damaged files
        raise _not_resumable(path, "it is cut off or damaged: torch cannot read it") from error


def files_of_run(folder: Path) -> list[str]:
    """Return the names of the files in `folder` that belong to a run."""
    return [name for name in FILES if exists(folder / name)]


def _load(path: Path) -> Any:
    """Return the content of `state.pt`; raises Damaged, E512 for another version, and any error of torch."""
    import torch

    try:
        has_hash = require_intact(path)
    except OSError as error:
        raise _not_resumable(path, (error.strerror or str(error)).lower()) from error
    plain = torch.load(path, map_location="cpu", weights_only=True)
    if plain["version"] not in VERSIONS:
        raise _not_resumable(path, f"it has version {plain['version']}, but this cnnc reads {VERSION}")
    if plain["version"] == VERSION and not has_hash:
        raise Damaged("it is damaged: the line at its end, with the SHA-256 of its other bytes, is missing")
    return plain


def _require_run(path: Path) -> None:
    """Raise E512 if `run.json` exists but is not as cnnc wrote it."""
    try:
        read_run(path)
    except OSError as error:
        raise _not_resumable(path, (error.strerror or str(error)).lower()) from error
    except RunChanged as error:
        help = f"remove this file, which is only a summary: a run resumes from {STATE} alone"
        raise _not_resumable(path, str(error), help) from None


_PUT_BACK = (
    f"put {STATE} back, or leave out `--resume` to start again; {KEPT}, and its weights can be passed to `--weights`"
)


def _not_resumable(path: Path, reason: str, help: str | None = None) -> CnncError:
    restart = f"leave out `--resume` to start again; {KEPT}"
    return CnncError.of(Code.CANNOT_RESUME, f"cannot resume from {path}: {reason}", help=help or restart)


def require_same(saved: RunIdentity, now: RunIdentity, folder: Path) -> None:
    """Raise E512 if the network, the spec's recipe or the data are not those with which the run in `folder` started."""
    if saved.network != now.network:
        raise _changed(folder, "the spec has changed since: its network is different")
    if saved.fingerprint != now.fingerprint:
        raise _changed(folder, f"the data has changed since: {now.data} does not contain the same examples")
    for name, before in saved.written.items():
        if (after := now.written.get(name)) != before and name != "epochs":
            raise _changed(folder, f"the spec has changed since: `{name}` of `train` was {before!r}, and is {after!r}")


def _changed(folder: Path, reason: str) -> CnncError:
    return CnncError.of(
        Code.CANNOT_RESUME,
        f"cannot resume the run in {folder}: {reason}",
        help=f"undo the change, or leave out `--resume` to start again; {KEPT}",
    )


def _summary(checkpoint: Checkpoint) -> dict[str, Any]:
    progress = checkpoint.progress
    best, last = progress.best, progress.records[-1] if progress.records else None
    return {
        **asdict(checkpoint.identity),
        "epochs_done": progress.epoch,
        "steps_done": progress.step,
        "best": best.as_json() if best else None,
        "last": last.as_json() if last else None,
    }
