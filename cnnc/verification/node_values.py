"""Compare the value of every node in a file with torch's, to find the first that differs.

Takes a written file and torch's answers; raises E404. An ONNX file can have any value as an output. Files of other
targets cannot, so their writer writes another file that does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cnnc.passes.network import Network
from cnnc.targets.choices import Target
from cnnc.targets.loaded_onnx import LoadedOnnx
from cnnc.targets.registry import TABLE, Made
from cnnc.targets.torch_module import lower
from cnnc.verification.compare import compare
from cnnc.verification.promises import differs, wrong
from cnnc.verification.torch_answers import Answers, every_value, refs, tensors

if TYPE_CHECKING:
    from torch import Tensor

    from cnnc.targets.loaded_module import Array


def require_values(
    made: Made, loaded: LoadedOnnx, weights: "Mapping[str, Array]", torch: Answers, inputs: "Sequence[Tensor]"
) -> None:
    """Raise E404 for the first node whose value in the file, with these weights, differs from torch's.

    `inputs` are what the file takes for the first inputs of `torch`.
    """
    held = loaded.values()
    exported = {name: ref for ref, name in made.emitted.names.items() if name in held}
    if not exported:  # only identities, which the file leaves out
        return
    given = dict(zip(exported, loaded.run_values(weights, exported)(inputs), strict=True))
    for name, ref in exported.items():
        origin = made.exported.origin(ref)
        wanted = torch.values[origin]
        if given[name].shape != wanted.shape:
            shapes = f"`{name}` is {given[name].shape}, expected {wanted.shape}"
            raise wrong(Target.ONNX, shapes, made.graph.node[ref.node])
        distance = compare(given[name], wanted)
        if not distance.ok:
            distance = compare(given[name], wanted, torch.noise_of_values[origin])
        if not distance.ok:
            folded = "" if origin == ref else f", with all up to `{origin.node}` folded into it,"
            raise differs(Target.ONNX, distance, made.graph.node[ref.node], folded)


def require_values_of_writer(made: Made, target: str, torch: Answers) -> None:
    """Raise E404 for the first node whose value differs from torch's in a file written with every value as an output.

    Files of these targets do not expose node values, so the same writer writes another file that does.
    """
    shown = every_value(made.graph)
    module = lower(shown, tensors(torch.weights)).eval()
    # train-only nodes too: a deployed node may share the parameters of one
    network = Network(every_value(made.network.graph, deployed=made.graph), torch.weights)
    with TemporaryDirectory() as folder:
        path = Path(folder) / target
        TABLE[target].write(Made(network, shown, module), path)
        given = TABLE[target].load(path, module).run(torch.inputs[0])
    for ref, value in zip(refs(made.graph), given, strict=True):
        distance = compare(value, torch.values[ref])
        if not distance.ok:
            distance = compare(value, torch.values[ref], torch.noise_of_values[ref])
        if not distance.ok:
            raise differs(target, distance, made.graph.node[ref.node])
