"""A whole run: a proved graph, a recipe and data become a folder of weights.

In: the graph, what the command line puts in the recipe's place, and where to write. Out: `OUT/NAME/` and a `Trained`.
Started by torchrun (or `cnnc.runtime.train.launch`) several processes do this together, and the first alone writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.runtime.data.dataset import Data
from cnnc.runtime.data.load import load
from cnnc.runtime.train import checkpoint
from cnnc.runtime.train.allocator import keep_memory
from cnnc.runtime.train.batches import source
from cnnc.runtime.train.checkpoint import Checkpoint, Identity, Progress
from cnnc.runtime.train.extra import require_extra
from cnnc.runtime.train.fit import least_share, require_fit
from cnnc.runtime.train.interrupt import Wish, wishes
from cnnc.runtime.train.learner import Learner
from cnnc.runtime.train.loop import Loop
from cnnc.runtime.train.machine import Team, assemble, settings
from cnnc.runtime.train.memory import peak_memory
from cnnc.runtime.train.optimise import initialise
from cnnc.runtime.train.plan import Plan
from cnnc.runtime.train.recipe import recipe as merged
from cnnc.runtime.train.recipe import resumed
from cnnc.runtime.train.record import EpochRecord
from cnnc.runtime.watch import Watcher
from cnnc.spec.model import Train

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Trained:
    """What a run has come to. `signal` is the number of the one that stopped it, 0 where it is done.

    `first` is False on the other ranks of a run on several devices, which have nothing to say.
    """

    folder: Path
    recipe: Train
    records: tuple[EpochRecord, ...]
    best: EpochRecord | None
    examples_per_second: float
    peak_memory: int
    signal: int
    first: bool

    @property
    def weights(self) -> Path:
        """The weights of the best epoch."""
        return self.folder / checkpoint.BEST


class Silent:
    """The watcher of the ranks that nobody looks at."""

    def on_batch(self, step: int) -> None:
        """Say nothing."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Say nothing."""


def train(
    graph: Graph,
    given: Mapping[str, Any],
    out: Path,
    *,
    resume: bool = False,
    weights: "Mapping[str, Tensor] | None" = None,
    device: str = "auto",
) -> Trained:
    """Train `graph` by its recipe with the fields `given`, into `out/NAME/`; raises CnncError.

    `weights` to begin with, else drawn. `resume` goes on with the run in the folder; where there is none it begins.
    """
    require_extra()
    keep_memory()
    folder = out / graph.name
    saved = checkpoint.read(folder) if resume else None
    begun = Train.model_validate(saved.identity.recipe) if saved else None
    recipe = resumed(begun, given) if begun else merged(graph.train, given)
    with settings(recipe):
        team = assemble(recipe, device, unused=sum(not each.train_only for each in graph.outputs) > 1)
        with team.one_voice():
            return _run(graph, recipe, folder, saved, weights, team)


def _run(
    graph: Graph,
    recipe: Train,
    folder: Path,
    saved: Checkpoint | None,
    weights: "Mapping[str, Tensor] | None",
    team: Team,
) -> Trained:
    data = team.in_turn(lambda: _load(recipe))
    require_fit(graph, recipe, data, team.world)
    identity = Identity.of(graph, recipe, data)
    if saved:
        checkpoint.require_same(saved.identity, identity, folder)
        identity = replace(saved.identity, recipe=recipe.model_dump())
    learner = Learner(team, graph, _module(graph, recipe, weights), recipe)
    progress = saved.progress if saved else Progress()
    if saved:
        learner.restore(saved.learner)
    elif team.rank == 0:
        _begin(folder, Checkpoint(identity, progress, learner.state(), []))
    test = source(data.test, learner.preprocess, team.device, team.local) if data.test else None
    loop = Loop(
        team,
        learner,
        recipe,
        Plan(len(data.train), recipe.batch, recipe.accumulate, team.world, least_share(graph) * team.world),
        source(data.train, learner.preprocess, team.device, team.local),
        test,
        folder,
        identity,
        progress,
        Silent(),
        Wish(),
    )
    signal = _watched(loop, saved.generators if saved else [])
    records = tuple(loop.progress.records)
    here = records[len(progress.records) :]
    seconds = sum(each.seconds for each in here)
    speed = len(here) * len(data.train) / seconds if seconds else 0.0
    peak = peak_memory(team.device)
    return Trained(folder, recipe, records, loop.progress.best, speed, peak, signal, team.rank == 0)


def _watched(loop: Loop, generators: "list[dict[str, Tensor]]") -> int:
    """Run the loop; on the first rank, with somebody to look at it. From here on a signal is a wish to stop."""
    if loop.team.rank:
        with wishes() as loop.wish:
            return loop.run(generators)
    with wishes() as loop.wish, Watcher(loop.folder) as watcher:
        loop.watcher = watcher
        watcher.on_start(loop.recipe.epochs, loop.plan.steps, len(loop.train), loop.progress.records)
        return loop.run(generators)


def _load(recipe: Train) -> Data:
    if recipe.data is None:
        raise CnncError.of(
            Code.DATA_UNREADABLE, "there is nothing to train on: the recipe has no `data`", help="give `--data NAME`"
        )
    return load(recipe.data, limit=recipe.limit, val_split=recipe.val_split, seed=recipe.seed or 0)


def _module(graph: Graph, recipe: Train, weights: "Mapping[str, Tensor] | None") -> Any:
    from cnnc.targets.torch import lower

    seed = recipe.seed or 0
    module = lower(graph, weights, seed)
    if weights is None:
        initialise(module, recipe.init, seed)
    return module


def _begin(folder: Path, start: Checkpoint) -> None:
    """Make the folder of a new run, with a checkpoint of its start; an earlier run's folder gets another name."""
    from cnnc.targets.write import reported

    if (folder / checkpoint.STATE).exists():
        with reported(folder):
            number = 1
            while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
                number += 1
            folder.rename(aside)
    with reported(folder):
        folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write(folder, start)
