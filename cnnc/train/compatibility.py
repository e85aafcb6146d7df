"""Check that a network and a data set fit each other, before training starts. A misfit is E510."""

from pathlib import Path

from cnnc.data.dataset import Data, Files, Labelling
from cnnc.data.packed import PackedSplit
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Node, Output
from cnnc.language.recipe import Train
from cnnc.ops.norm import BatchNorm
from cnnc.train.selection import WHOLE, Selection
from cnnc.train.tasks import loss_of, prediction, task_of, width


def require_fit(graph: Graph, recipe: Train, data: Data, world: int, selection: Selection = WHOLE) -> None:
    """Raise E510 unless the data's pictures fit the input, its classes the outputs, and the batch the batch norms.

    Batch norms that are frozen do not count: they normalise by their running statistics.
    """
    require_picture(graph)
    for output in graph.outputs:
        if output.train_only or output is prediction(graph):
            _require_classes(graph, output, data)
    if isinstance(data.train, Files):
        require_one_size(Preprocess(graph.inputs[0]))
    else:
        first = Preprocess(graph.inputs[0])
        first.require(*data.train.images.shape[1:])
        if isinstance(data.train, PackedSplit):
            data.train.require_enough(first)
    _require_batch(graph, recipe, data, world, selection)


def require_one_size(preprocess: Preprocess) -> None:
    """Raise E510 unless pictures of all sizes get the same size."""
    if not preprocess.fixed:
        raise _misfit(
            "the pictures may differ in size, but training needs one size, which the network's input leaves open",
            "add `resize: [height, width]` to the spec's input",
        )


def require_picture(graph: Graph) -> None:
    """Raise E510 unless the only input is a picture."""
    if len(graph.inputs) != 1 or not graph.inputs[0].type.is_map:
        taken = ", ".join(f"{each.name} {each.type}" for each in graph.inputs)
        raise _misfit(
            f"`{graph.name}` takes {taken}, but training needs exactly one input, a picture",
            "train a network whose only input is a picture, [channels, height, width]",
        )


def target_of(graph: Graph, recipe: Train) -> Labelling:
    """Return what the labels of the data must be; raises E203 or E510 if the network or the recipe has no such task."""
    output, task = prediction(graph), task_of(graph)
    loss_of(task, recipe.loss, recipe.label_smoothing)
    if recipe.masks and not task.masks:
        message = f"`masks` of the recipe is `{recipe.masks}`, but the output is trained as `{task.kind}`"
        raise CnncError.of(Code.BAD_VALUE, message, help="leave it out, or give the output `as: segmentation`")
    masks = Path(recipe.masks) if recipe.masks else None
    return Labelling(graph.kind_of(output), width(graph, output), graph.labels, masks)


def least_share(graph: Graph, selection: Selection = WHOLE) -> int:
    """Return the fewest examples per batch and rank: two with batch norm, which may not work with one, else one."""
    return 2 if any(_is_norm(node) and not selection.is_frozen(node) for node in graph.nodes) else 1


def _require_classes(graph: Graph, output: Output, data: Data) -> None:
    shape, size, kind = graph.type_of(output.ref), width(graph, output), graph.kind_of(prediction(graph))
    if size == data.num_classes:
        return
    if data.classes is None and size > data.num_classes and kind in ("classes", "segmentation"):
        return  # a set without class names may lack examples of the last classes
    help = f"change the size of that output to {data.num_classes}"
    if "classes" in graph.spec.get("params", {}):
        help = f"use `--set classes={data.num_classes}`"
    raise _misfit(f"the output `{output.name}` is {shape}, but {data.name} has {data.num_classes} {UNITS[kind]}", help)


UNITS = {"classes": "classes", "probabilities": "labels", "segmentation": "classes", "vector": "numbers"}


def _require_batch(graph: Graph, recipe: Train, data: Data, world: int, selection: Selection) -> None:
    smallest = min(recipe.batch, len(data.train)) // world
    norms = [node for node in graph.nodes if _is_norm(node) and not selection.is_frozen(node)]
    alone = [node for node in norms if graph.input_types(node)[0].is_vector]
    if smallest < 2 and alone:
        raise _misfit(
            f"with {smallest} example{'s' * (smallest != 1)} per batch on each device, `{alone[0].path}` gets at most "
            "one value per channel, which batch norm cannot normalise",
            f"use `--batch {2 * world}` or more, for two examples on each device",
        )


def _is_norm(node: Node) -> bool:
    return isinstance(node.op, BatchNorm)


def _misfit(message: str, help: str | None) -> CnncError:
    return CnncError.of(Code.DATA_MISFIT, message, help=help)
