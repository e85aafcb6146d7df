"""Run a training: load the data, train a proved graph by its recipe, and write weights and checkpoints.

Takes the graph, the fields that override the recipe, and the output folder. Writes `OUT/NAME/` and returns a `Trained`.
If torchrun (or `cnnc.train.launch`) starts several processes, all train and only the first writes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnc.data import folder as picture_folder
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.diagnostics.missing_packages import NEEDS, require
from cnnc.files.checks import require_utf8
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.train import checkpoint
from cnnc.train.checkpoint import Checkpoint, Progress, RunIdentity
from cnnc.train.devices import Team, assemble, settings
from cnnc.train.interrupt import StopRequest, stop_on_signals
from cnnc.train.loop import Loop
from cnnc.train.memory import peak_memory
from cnnc.train.monitor import Watcher
from cnnc.train.monitor.console import display
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.monitor.tested import Tested
from cnnc.train.out_of_memory import reported_exhaustion
from cnnc.train.recipe import as_line, merged_recipe, resumed_recipe
from cnnc.train.remarks import before, remarks
from cnnc.train.report.network import write_network
from cnnc.train.running import running
from cnnc.train.selection import counts
from cnnc.train.set_aside import set_aside
from cnnc.train.setup import set_up

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Trained:
    """The result of a run. `signal` is the number of the signal that stopped it, or 0.

    `first` is True on the first rank, which alone prints the result.
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


class _Start(NamedTuple):
    """The initial weights, and the file that they come from."""

    weights: "Mapping[str, Tensor] | None"
    file: str | None


class Silent:
    """A watcher that does nothing, for all ranks but the first."""

    def on_batch(self, step: int) -> None:
        """Do nothing."""

    def on_epoch(self, record: EpochRecord, tested: Tested | None = None) -> None:
        """Do nothing."""


def train(
    graph: Graph,
    given: Mapping[str, Any],
    out: Path,
    *,
    resume: bool = False,
    weights: "Mapping[str, Tensor] | None" = None,
    weights_file: str | None = None,
    device: str = "auto",
    live: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Trained:
    """Train `graph` by its recipe, overridden by the fields `given`, into `out/NAME/`; raises CnncError.

    `weights` are the initial weights; those that are missing and `fresh` in the recipe are drawn, as are all without
    `weights`. `weights_file` is recorded as their source. `resume` continues the run in the folder, or starts
    one if there is none. `live` shows curves on a terminal. `say` is called with notes for the user, on the first rank.
    """
    require(NEEDS["train"], "training")
    folder = out / graph.name
    require_utf8(folder, Code.NOT_WRITTEN, "write")
    saved = checkpoint.read(folder) if resume else None
    begun = Train.model_validate(saved.identity.recipe) if saved else None
    recipe = resumed_recipe(begun, given) if begun else merged_recipe(graph.train, given)
    with settings(recipe):
        team = assemble(recipe, device, unused=sum(not each.train_only for each in graph.outputs) > 1)
        if team.rank:
            say = _say_nothing
        if resume:
            _tell(say, _notes_on_resuming(folder, saved, recipe, weights is not None))
        # locked before the data is loaded, which may take long
        with team.report_once(), nullcontext() if team.rank else running(folder):
            return _run(graph, recipe, folder, saved, _Start(weights, weights_file), team, say, live)


def _run(
    graph: Graph,
    recipe: Train,
    folder: Path,
    saved: Checkpoint | None,
    start: "_Start",
    team: Team,
    say: Callable[[str], None],
    live: bool,
) -> Trained:
    setup = set_up(graph, recipe, team, start.weights, say)
    data, learner = setup.data, setup.learner
    identity = RunIdentity.of(graph, recipe, data)
    identity = replace(identity, weights=start.file, parameters=counts(learner.module))
    if saved:
        checkpoint.require_same(saved.identity, identity, folder)
        identity = replace(saved.identity, recipe=recipe.model_dump())
    progress = saved.progress if saved else Progress(by=recipe.best)
    if saved:
        learner.restore(saved.learner)
        if team.rank == 0:
            summary = Checkpoint(identity, progress, {}, [])
            checkpoint.write_summary(folder, summary)  # it may be missing, or name fewer epochs
    elif team.rank == 0:
        if checkpoint.files_of_run(folder):
            say(f"the earlier run in {folder} is now in {set_aside(folder)}")
        _begin(folder, Checkpoint(identity, progress, learner.state(), []))
    if team.rank == 0:
        write_network(folder, graph, say)
    loop = Loop(
        team,
        learner,
        recipe,
        setup.plan,
        setup.order,
        setup.train,
        setup.test,
        folder,
        identity,
        progress,
        Silent(),
        StopRequest(),
    )
    if loop.has_more:
        _tell(say, before(recipe, data, tuned=start.weights is not None and saved is None))
    try:
        with reported_exhaustion(recipe):
            signal = _watched(loop, saved.generators if saved else [], live)
    except CnncError as error:
        raise picture_folder.all_unreadable(error, Path(data.source), data.train, data.test) from None
    records = tuple(loop.progress.records)
    here = records[len(progress.records) :]
    if here and not signal:
        _tell(say, remarks(records, data, identity.task, loop.tested))
    seconds = sum(each.seconds for each in here)
    speed = len(here) * len(data.train) / seconds if seconds else 0.0
    peak = peak_memory(team.device)
    return Trained(folder, recipe, records, loop.progress.best, speed, peak, signal, team.rank == 0)


def _watched(loop: Loop, generators: "list[dict[str, Tensor]]", live: bool) -> int:
    """Run the loop, on the first rank with a Watcher. During the loop, a signal is a request to stop."""
    if loop.team.rank:
        with stop_on_signals() as loop.request:
            return loop.run(generators)
    watching = Watcher(loop.folder, display(live=live))
    with stop_on_signals() as loop.request, watching as watcher:
        loop.watcher = watcher
        done = loop.progress
        begun = done.step, done.seconds
        watcher.on_start(loop.recipe.epochs, loop.plan.steps, len(loop.train), done.records, begun)
        if loop.has_more:
            watcher.say(as_line(loop.recipe))
        return loop.run(generators)


def _notes_on_resuming(folder: Path, saved: Checkpoint | None, recipe: Train, weights: bool) -> Iterator[str]:
    """Yield notes for the user about `--resume`."""
    if saved is None:
        yield f"there is no run to resume in {folder}: a new run starts"
        return
    epochs = counted(saved.progress.epoch, "epoch")
    if saved.progress.epoch >= recipe.epochs:
        yield f"the run in {folder} is already complete, with {epochs}; a larger `--epochs` continues it"
    elif saved.progress.is_stale(recipe.patience):
        yield f"the run in {folder} has ended early, after {epochs}; a larger `--patience` continues it"
    if weights:
        yield f"`--weights` is only for a new run, and ignored: the run in {folder} continues with its own weights"


def _tell(say: Callable[[str], None], notes: Iterator[str]) -> None:
    for note in notes:
        say(note)


def _say_nothing(_: str) -> None:
    """Discard a note, on all ranks but the first."""


def _begin(folder: Path, start: Checkpoint) -> None:
    """Create the folder of a new run, with a checkpoint of its initial state."""
    from cnnc.files.write import make_folder

    make_folder(folder)
    checkpoint.write(folder, start)
