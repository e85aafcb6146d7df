"""Files that other tools have rewritten, run beside the spec's torch module.

In: a proved graph, its module, and a file that ends as its target's do. Out: how far the file is from torch.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.artifacts.export import deployable
from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_file
from cnnc.graph.graph import Graph
from cnnc.passes.network import Network
from cnnc.targets.registry import TABLE, Made
from cnnc.verification.promises import FAULT_OF_CNNC
from cnnc.verification.verify import Agreement, arrays, verify

if TYPE_CHECKING:
    from torch.fx import GraphModule

WAY_OUT = (
    "verify it against the spec, the parameters and the weights that it was made from (--set, --weights, --seed); if "
    "these are right, the tool that wrote it has changed what it computes"
)


def verify_file(graph: Graph, module: "GraphModule", path: Path, seed: int = 0) -> Agreement:
    """How far a file is from the graph's module.

    Raises E501 where there is no file, E406 where its ending is no target's, and E404 where it is too far.
    """
    require_file(path, Code.MODEL_UNREADABLE, "model")
    target = next((name for name, row in TABLE.items() if path.name.endswith(f".{row.ending}")), None)
    if target is None:
        endings = ", ".join(f".{row.ending}" for row in TABLE.values())
        raise CnncError.of(
            Code.NOT_EXPORTABLE,
            f"cannot tell from its name what {path} is",
            help=f"give a file that ends in one of {endings}",
        )
    shown, deployed = deployable(graph, module)
    made = Made(Network(shown, arrays(deployed.state_dict())), shown, deployed)
    try:
        [agreement] = verify(made, {target: path}, seed, rewritten=True)
    except CnncError as error:
        raise CnncError(
            replace(each, help=WAY_OUT) if each.help == FAULT_OF_CNNC else each for each in error.diagnostics
        ) from error
    return agreement
