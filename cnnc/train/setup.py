"""Set up a training: load the data, and make the module, its optimizer, and the batches, by the recipe.

Takes a proved graph and the recipe, and checks that network, recipe and data fit each other. A run starts or resumes
from the setup; a search for a learning rate or a batch size uses it for some steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnc.data import folder as picture_folder
from cnnc.data.dataset import Data, Files, Labelling, Part
from cnnc.data.load import load
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.targets.torch_module import lower, shapes
from cnnc.train.balance import balanced_order, class_weights
from cnnc.train.batches import BatchSource, source
from cnnc.train.cached import Cached
from cnnc.train.compatibility import least_share, require_fit, target_of
from cnnc.train.devices import Team
from cnnc.train.epoch_order import Plan
from cnnc.train.learner import Learner
from cnnc.train.mixing import PAIR
from cnnc.train.optimizer import initialise
from cnnc.train.recompute import recompute
from cnnc.train.selection import Selection, counts, require_learning
from cnnc.train.suited import require_suited
from cnnc.train.tasks import prediction, task_of, width
from cnnc.weights.patterns import all_selected, names_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Setup:
    """A training on one rank before its first step. `order` takes a seed and an epoch."""

    data: Data
    learner: Learner
    plan: Plan
    order: "Callable[[int, int], Tensor]"
    train: BatchSource
    test: BatchSource | None


def set_up(
    graph: Graph,
    recipe: Train,
    team: Team,
    weights: "Mapping[str, Tensor] | None",
    say: Callable[[str], None],
) -> Setup:
    """Return the setup of a training from `weights`, or from drawn ones; raises E203, E508, E510, E517."""
    selection = Selection.of(graph, recipe)
    require_suited(recipe, task_of(graph))
    data = team.in_turn(lambda: _load(recipe, target_of(graph, recipe)))
    for remark in picture_folder.note_on_skipped(data.source, data.train, data.test):
        say(remark)
    require_fit(graph, recipe, data, team.world, selection)
    module = _module(graph, recipe, weights)
    selection.freeze(module)
    if selection.frozen:
        require_learning(graph, module)
        say("{learned:,} parameters are learned, {frozen:,} are frozen".format_map(counts(module)))
    if recipe.recompute:
        recompute(module, graph.name)
    by_class = class_weights(recipe, data, width(graph, prediction(graph)))
    learner = Learner(team, graph, module, recipe, selection, by_class)
    train = _source(data.train, learner, team, recipe, reduced=True)
    return Setup(
        data,
        learner,
        _plan(recipe, len(data.train), team.world, least_share(graph, selection)),
        _order(recipe, data.train.labels, train),
        train,
        _source(data.test, learner, team, recipe) if data.test else None,
    )


def _source(split: Part, learner: Learner, team: Team, recipe: Train, *, reduced: bool = False) -> BatchSource:
    found = source(split, learner.preprocess, team.device, team.local, recipe.shuffle_buffer, recipe.workers, reduced)
    return Cached(found, team.device) if recipe.cache and isinstance(split, Files) else found


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
