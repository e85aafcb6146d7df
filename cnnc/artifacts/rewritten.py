"""Verify files that other tools have rewritten against the spec's torch module.

Takes a proved graph, its module, and a file with the extension of its target; returns its distance from torch.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.artifacts.export import deployable
from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_file
from cnnc.files.onnx_graph import read_structure
from cnnc.graph.graph import Graph
from cnnc.passes.network import Network
from cnnc.targets.choices import Target
from cnnc.targets.registry import TABLE, Made
from cnnc.verification.promises import FAULT_OF_CNNC
from cnnc.verification.verify import Agreement, arrays, verify

if TYPE_CHECKING:
    from torch.fx import GraphModule

WAY_OUT = (
    "verify it with the spec, parameters and weights that it was built from (--set, --weights, --seed); if these are "
    "right, the tool that wrote it has changed what it computes"
)


def verify_file(
    graph: Graph, module: "GraphModule", path: Path, seed: int = 0, before_run: Callable[[], None] = lambda: None
) -> Agreement:
    """Return a file's distance from the graph's module; `before_run` is called before the file is loaded.

    Raises E501 if there is no file, E406 if its extension is no target's, and E404 if the distance is too large.
    """
    target = next((name for name, row in TABLE.items() if path.name.endswith(f".{row.ending}")), None)
    file = path if target is None else TABLE[target].file(path)
    require_file(file, Code.MODEL_UNREADABLE, "model")
    if target is None:
        endings = ", ".join(f".{row.ending}" for row in TABLE.values())
        raise CnncError.of(
            Code.NOT_EXPORTABLE,
            f"cannot tell the format of {path} from its extension",
            help=f"use a file with one of the extensions {endings}",
        )
    shown, deployed = deployable(graph, module)
    pixels = shown.inputs[0].picture if target in (Target.ONNX, Target.TRITON) and _takes_pixels(file) else None
    made = Made(Network(shown, arrays(deployed.state_dict())), shown, deployed, pixels=pixels)
    try:
        [agreement] = verify(made, {target: path}, seed, rewritten=True, before_run=before_run)
    except CnncError as error:
        raise CnncError(
            replace(each, help=WAY_OUT) if each.help == FAULT_OF_CNNC else each for each in error.diagnostics
        ) from error
    return agreement


def _takes_pixels(path: Path) -> bool:
    """Whether the only input of an ONNX file is uint8; False for an unreadable file, which has its own error."""
    try:
        return [each.type for each in read_structure(path).inputs] == ["uint8"]
    except CnncError:
        return False
