"""Run a training: load the data, train a proved graph by its recipe, and write weights and checkpoints.

Takes the graph, the fields that override the recipe, and the output folder. Writes `OUT/NAME/` and returns a `Trained`.
If torchrun (or `cnnc.train.launch`) starts several processes, all train and only the first writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnc.data import folder as picture_folder
from cnnc.data.dataset import Data, Labelling
from cnnc.data.load import load
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.diagnostics.missing_packages import NEEDS, require
from cnnc.files.checks import require_utf8
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.targets.torch_module import lower, shapes
from cnnc.train import checkpoint
from cnnc.train.balance import balanced_order, class_weights
from cnnc.train.batches import BatchSource, source
from cnnc.train.checkpoint import Checkpoint, Progress, RunIdentity
from cnnc.train.compatibility import least_share, require_fit, target_of
from cnnc.train.devices import Team, assemble, settings
from cnnc.train.epoch_order import Plan
from cnnc.train.interrupt import StopRequest, stop_on_signals
from cnnc.train.learner import Learner
from cnnc.train.loop import Loop
from cnnc.train.memory import peak_memory
from cnnc.train.mixing import PAIR
from cnnc.train.monitor import Watcher
from cnnc.train.monitor.console import display
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.monitor.tested import Tested
from cnnc.train.optimizer import initialise
from cnnc.train.recipe import merged_recipe, resumed_recipe
from cnnc.train.recompute import recompute
from cnnc.train.report.network import write_network
from cnnc.train.running import require_idle, running
from cnnc.train.selection import Selection, counts, require_learning
from cnnc.train.set_aside import set_aside
from cnnc.train.suited import require_suited
from cnnc.train.tasks import task_of
from cnnc.weights.patterns import all_selected, names_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
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
        for remark in _notes_on_resuming(folder, saved, recipe, weights is not None) if resume else ():
            say(remark)
        with team.report_once():
            if team.rank == 0:
                require_idle(folder)
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
    selection = Selection.of(graph, recipe)
    require_suited(recipe, task_of(graph))
    data = team.in_turn(lambda: _load(recipe, target_of(graph, recipe)))
    for remark in picture_folder.note_on_skipped(data.source, data.train, data.test):
        say(remark)
    require_fit(graph, recipe, data, team.world, selection)
    module = _module(graph, recipe, start.weights)
    selection.freeze(module)
    if selection.frozen:
        require_learning(graph, module)
        say("{learned:,} parameters are learned, {frozen:,} are frozen".format_map(counts(module)))
    if recipe.recompute:
        recompute(module, graph.name)
    identity = replace(RunIdentity.of(graph, recipe, data), weights=start.file, parameters=counts(module))
    if saved:
        checkpoint.require_same(saved.identity, identity, folder)
        identity = replace(saved.identity, recipe=recipe.model_dump())
    learner = Learner(team, graph, module, recipe, selection, class_weights(recipe, data))
    progress = saved.progress if saved else Progress(by=recipe.best)
    if saved:
        learner.restore(saved.learner)
    elif team.rank == 0:
        if checkpoint.files_of_run(folder):
            say(f"the earlier run in {folder} is now in {set_aside(folder)}")
        _begin(folder, Checkpoint(identity, progress, learner.state(), []))
    if team.rank == 0:
        write_network(folder, graph, say)
    test = source(data.test, learner.preprocess, team.device, team.local) if data.test else None
    train = source(data.train, learner.preprocess, team.device, team.local, recipe.shuffle_buffer)
    loop = Loop(
        team,
        learner,
        recipe,
        _plan(recipe, len(data.train), team.world, least_share(graph, selection)),
        _order(recipe, data.train.labels, train),
        train,
        test,
        folder,
        identity,
        progress,
        Silent(),
        StopRequest(),
    )
    try:
        signal = _watched(loop, saved.generators if saved else [], live)
    except CnncError as error:
        raise picture_folder.all_unreadable(error, Path(data.source), data.train, data.test) from None
    records = tuple(loop.progress.records)
    here = records[len(progress.records) :]
    seconds = sum(each.seconds for each in here)
    speed = len(here) * len(data.train) / seconds if seconds else 0.0
    peak = peak_memory(team.device)
    return Trained(folder, recipe, records, loop.progress.best, speed, peak, signal, team.rank == 0)


def _plan(recipe: Train, examples: int, world: int, least: int) -> Plan:
    """Return the split of the examples; shares of examples that are mixed in pairs may differ by a pair."""
    mixes = bool(recipe.mixup or recipe.cutmix)
    least *= world * (PAIR if mixes and world > 1 else 1)
    return Plan(examples, recipe.batch, recipe.accumulate, world, least, PAIR if mixes else 1)


def _order(recipe: Train, labels: "NDArray[Any]", examples: BatchSource) -> "Callable[[int, int], Tensor]":
    """Return the function that orders the examples of an epoch, by seed and epoch."""
    if recipe.sampler == "balanced":
        return partial(balanced_order, labels)
    return lambda seed, epoch: examples.order(seed, epoch, recipe.batch)


def _watched(loop: Loop, generators: "list[dict[str, Tensor]]", live: bool) -> int:
    """Run the loop, on the first rank with a Watcher. During the loop, a signal is a request to stop."""
    if loop.team.rank:
        with stop_on_signals() as loop.request:
            return loop.run(generators)
    watching = Watcher(loop.folder, display(live=live))
    with running(loop.folder), stop_on_signals() as loop.request, watching as watcher:
        loop.watcher = watcher
        watcher.on_start(loop.recipe.epochs, loop.plan.steps, len(loop.train), loop.progress.records)
        return loop.run(generators)


def _load(recipe: Train, target: Labelling) -> Data:
    if recipe.data is None:
        raise CnncError.of(
            Code.DATA_UNREADABLE,
            "training needs data, but the recipe has no `data`",
            help="add `data` to the recipe, or use `--data NAME`",
        )
    return load(
        recipe.data,
        limit=recipe.limit,
        val_split=recipe.val_split,
        seed=recipe.seed or 0,
        skip_unreadable=recipe.skip_unreadable,
        target=target,
    )


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


def _say_nothing(_: str) -> None:
    """Discard a note, on all ranks but the first."""


def _module(graph: Graph, recipe: Train, weights: "Mapping[str, Tensor] | None") -> Any:
    """Return the module with the weights, of which the recipe's `fresh` are drawn."""
    seed = recipe.seed or 0
    fresh = all_selected(names_of(graph, shapes(graph)), recipe.fresh) if weights is not None and recipe.fresh else ()
    if weights is not None and not fresh:
        return lower(graph, weights, seed)
    module = lower(graph, None, seed)
    initialise(module, recipe.init, seed)
    if weights is not None:
        drawn = module.state_dict()
        module = lower(graph, {**weights, **{key: drawn[key] for key in fresh}})
    return module


def _begin(folder: Path, start: Checkpoint) -> None:
    """Create the folder of a new run, with a checkpoint of its initial state."""
    from cnnc.files.write import make_folder

    make_folder(folder)
    checkpoint.write(folder, start)
