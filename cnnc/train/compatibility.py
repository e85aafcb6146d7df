"""Whether a network and a data set fit each other, found before anything is trained. All that does not is E510."""

from cnnc.data.dataset import Data, Files
from cnnc.data.preprocess import Preprocess
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Node, Output
from cnnc.language.model import Train
from cnnc.ops.norm import BatchNorm


def require_fit(graph: Graph, recipe: Train, data: Data, world: int) -> None:
    """Raise E510 unless the data's pictures can be the input, and its classes the outputs."""
    if len(graph.inputs) != 1 or not graph.inputs[0].type.is_map:
        taken = ", ".join(f"{each.name} {each.type}" for each in graph.inputs)
        raise _misfit(f"`{graph.name}` takes {taken}, and training gives one picture", None)
    for output in graph.outputs:
        if output.train_only or output is _prediction(graph):
            _require_classes(graph, output, data)
    if isinstance(data.train, Files):
        if not Preprocess(graph.inputs[0]).fixed:
            raise _misfit(
                "the pictures may differ in size, and the network's input leaves it open",
                "give the spec's input a `resize: [height, width]`",
            )
    else:
        first = Preprocess(graph.inputs[0])
        first.require(*data.train.images.shape[1:])
    _require_batch(graph, recipe, data, world)


def least_share(graph: Graph) -> int:
    """How many examples a rank needs in a batch: two, where batch norm would see one number a channel, or one."""
    return 2 if any(_is_norm(node) for node in graph.nodes) else 1


def _require_classes(graph: Graph, output: Output, data: Data) -> None:
    shape = graph.type_of(output.ref)
    if shape.elements == data.num_classes:
        return
    if data.classes is None and shape.elements and shape.elements > data.num_classes:
        return  # a set without names may lack the last ones
    help = f"let the last layer have {data.num_classes}"
    if "classes" in graph.spec.get("params", {}):
        help = f"set it: `--set classes={data.num_classes}`"
    raise _misfit(f"the output `{output.name}` is {shape}, and {data.name} has {data.num_classes} classes", help)


def _require_batch(graph: Graph, recipe: Train, data: Data, world: int) -> None:
    smallest = min(recipe.batch, len(data.train)) // world
    alone = [node for node in graph.nodes if _is_norm(node) and graph.input_types(node)[0].is_vector]
    if smallest < 2 and alone:
        raise _misfit(
            f"with {smallest} example{'s' * (smallest != 1)} to a batch on each device, `{alone[0].path}` sees one "
            "number a channel, which batch norm cannot normalise",
            "give `--batch` at least two for each device",
        )


def _prediction(graph: Graph) -> Output:
    return next(each for each in graph.outputs if not each.train_only)


def _is_norm(node: Node) -> bool:
    return isinstance(node.op, BatchNorm)


def _misfit(message: str, help: str | None) -> CnncError:
    return CnncError.of(Code.DATA_MISFIT, message, help=help)
