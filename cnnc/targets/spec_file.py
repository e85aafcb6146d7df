"""The spec target: the network as a spec of one file, with its parameters settled.

Takes a graph with all its outputs, also train-only ones; writes YAML. Blocks, groups and repeats come back, and all
paths of nodes with parameters stay the same, so the weights of the build fit.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.targets.loaded_module import Loaded, LoadedModule

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from cnnc.graph.graph import Graph


def text(graph: "Graph") -> str:
    """Return the network as a spec in YAML."""
    from cnnc.formatting import write
    from cnnc.recover.structured import recovered

    return write(recovered(graph, {node.path: node.path for node in graph.nodes}).spec)


def load(path: Path, module: "GraphModule") -> Loaded:
    """Compile a spec; it has no weights, so it gets those of `module`."""
    from cnnc.passes.drop_train_only import drop_train_only
    from cnnc.passes.network import Network
    from cnnc.recover.structured import proved_from
    from cnnc.targets.torch_module import lower
    from cnnc.text.source import read

    graph = drop_train_only(Network(proved_from(read(path)), {})).graph
    return LoadedModule(lower(graph, module.state_dict()).eval())
