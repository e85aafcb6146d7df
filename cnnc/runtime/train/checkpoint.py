"""A run's folder: what is in it, how it is written, how it is read.

`state.pt` alone is what a run goes on from: weights, optimizer, generators, counts, history, in one file that is
replaced as a whole, so that a run killed at any moment is resumable. The weights for others lie beside it as
`last.safetensors` and `best.safetensors`, written before it: they may be an epoch ahead of a state that was not written
any more, and the resumed run writes them again. `run.json` says what the run is.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.runtime.data.dataset import Data
from cnnc.runtime.train.record import EpochRecord
from cnnc.spec.model import Train
from cnnc.targets.stamp import stamped
from cnnc.targets.write import write_file

if TYPE_CHECKING:
    from torch import Tensor

STATE, LAST, BEST, RUN = "state.pt", "last.safetensors", "best.safetensors", "run.json"
VERSION = 1


@dataclass(frozen=True)
class Identity:
    """What a run is of: hashes of the network and the data, the recipe it goes by, and the one that the spec had."""

    name: str
    network: str
    data: str
    fingerprint: str
    recipe: dict[str, Any]
    written: dict[str, Any]
    labels: tuple[str, ...] | None

    @classmethod
    def of(cls, graph: Graph, recipe: Train, data: Data) -> "Identity":
        """The identity of a run that begins now."""
        written = graph.train.model_dump() if graph.train else {}
        labels = graph.labels or data.classes
        return cls(graph.name, network_hash(graph), data.source, data.fingerprint, recipe.model_dump(), written, labels)


@dataclass
class Progress:
    """How far a run is: whole epochs, then steps and what they came to, of the epoch that it is in."""

    epoch: int = 0
    step: int = 0
    totals: list[float] = field(default_factory=lambda: [0.0, 0.0])
    seconds: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)

    @property
    def best(self) -> EpochRecord | None:
        """The first epoch of the highest test accuracy, or of the lowest training loss where nothing was tested."""
        return max(self.records, key=_merit, default=None)


@dataclass(frozen=True)
class Checkpoint:
    """What `state.pt` holds. `learner` is the learner's own state, `generators` one for each rank, mid-epoch alone."""

    identity: Identity
    progress: Progress
    learner: dict[str, Any]
    generators: "list[dict[str, Tensor]]"


def network_hash(graph: Graph) -> str:
    """The SHA-256 of the resolved spec, without what does not make the network another one."""
    spec = {key: value for key, value in graph.spec.items() if key not in ("train", "description", "labels", "budget")}
    return sha256(json.dumps(spec, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the state, atomically; raises E405, and then the earlier one is still there."""
    import torch

    plain = {
        "version": VERSION,
        "identity": asdict(checkpoint.identity),
        "progress": asdict(checkpoint.progress),
        "learner": checkpoint.learner,
        "generators": checkpoint.generators,
    }
    write_file(folder / STATE, lambda file: torch.save(plain, file))
    write_file(folder / RUN, (json.dumps(_summary(checkpoint), indent=2, ensure_ascii=False) + "\n").encode())


def write_weights(path: Path, weights: "Mapping[str, Tensor]", labels: tuple[str, ...] | None) -> None:
    """Write weights by the spec's paths, with the classes' names for `cnnc build`; raises E405."""
    write_file(path, stamped(weights, labels))


def read(folder: Path) -> Checkpoint | None:
    """The state of the run in `folder`, None where there is none; raises E512 where it cannot be read."""
    import torch

    path = folder / STATE
    if not path.exists():
        return None
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True)
        if plain["version"] != VERSION:
            raise ValueError(f"it is of version {plain['version']}, and this cnnc reads {VERSION}")
        identity = dict(plain["identity"])
        identity["labels"] = tuple(identity["labels"]) if identity["labels"] else None
        progress = dict(plain["progress"])
        progress["records"] = [EpochRecord(**each) for each in progress["records"]]
        return Checkpoint(Identity(**identity), Progress(**progress), plain["learner"], plain["generators"])
    except Exception as error:  # torch's reader raises what it likes on damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CnncError.of(
            Code.CANNOT_RESUME,
            f"cannot resume from {path}: {reason}",
            help="leave out `--resume` to begin anew; the folder will be kept under another name",
        ) from error


def require_same(saved: Identity, now: Identity, folder: Path) -> None:
    """Raise E512 where the network, its recipe or the data are not those that the run in `folder` began with."""
    if saved.network != now.network:
        raise _changed(folder, "the spec has changed since: its network is another one")
    if saved.fingerprint != now.fingerprint:
        raise _changed(folder, f"the data has changed since: {now.data} does not hold the examples it did")
    for name, before in saved.written.items():
        if now.written.get(name) != before and name != "epochs":
            raise _changed(folder, f"the spec has changed since: its `{name}` of `train` was {before!r}")


def _changed(folder: Path, reason: str) -> CnncError:
    return CnncError.of(
        Code.CANNOT_RESUME,
        f"cannot resume the run in {folder}: {reason}",
        help="put back what it was, or leave out `--resume` to begin anew; the folder will be kept under another name",
    )


def _summary(checkpoint: Checkpoint) -> dict[str, Any]:
    progress = checkpoint.progress
    best, last = progress.best, progress.records[-1] if progress.records else None
    return {
        **asdict(checkpoint.identity),
        "epochs_done": progress.epoch,
        "steps_done": progress.step,
        "best": asdict(best) if best else None,
        "last": asdict(last) if last else None,
    }


def _merit(record: EpochRecord) -> float:
    return record.test_accuracy if record.test_accuracy is not None else -record.train_loss
