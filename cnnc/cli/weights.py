"""`cnnc weights`: propose which tensors of a checkpoint with other names are the weights of a spec."""

from argparse import Namespace
from pathlib import Path
from shlex import quote

from cnnc.cli.options import WEIGHTS, add_key, add_set, add_spec, note, parameters
from cnnc.cli.parser import Parser
from cnnc.diagnostics import counted


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc weights`."""
    add_spec(parser)
    parser.argument("checkpoint", f"{WEIGHTS.capitalize()}.")
    parser.option("--out", "-o", metavar="MAP", help="Write the map to this file, not to standard output.")
    by_order = "Pair by their order alone the layers that are left, if the checkpoint is in the order of a network."
    parser.flag("--by-order", help=by_order)
    add_key(parser)
    add_set(parser)


def run(given: Namespace) -> int:
    """Propose a map, and return the exit code; raises CnncError if a tensor is undecided."""
    import numpy  # noqa: F401 - without it, torch would print a warning first

    from cnnc.compiler import load
    from cnnc.files.write import write_file
    from cnnc.targets import torch_module
    from cnnc.weights import load as files
    from cnnc.weights.proposal import propose

    path = Path(given.checkpoint)
    graph = load(given.spec, set=parameters(given.set))
    shapes = torch_module.shapes(graph)
    found = files.checkpoint(path, shapes, given.key, note)
    proposal = propose(graph, shapes, found.layers, ordered=found.ordered, by_order=given.by_order)
    text = proposal.as_yaml(f"The tensors of {path.name} that are the weights of {graph.name}.")
    if given.out is None:
        print(text, end="")
    else:
        write_file(Path(given.out), text.encode())
        print(f"{given.out}: {len(proposal.map)} of {len(shapes)} tensors")
    if proposal.by_order:
        count = counted(len(proposal.by_order), "tensor")
        note(f"{count} matched by order alone, `# by order` in the map: compare the outputs with the original's")
    elif given.by_order and proposal.undecided:
        note(f"nothing is matched by order: the order of {path.name} is not that of the network")
    proposal.require_decided(path)
    if given.out is not None:
        spec, checkpoint, out = map(quote, (given.spec, given.checkpoint, given.out))
        chosen = f" --key {quote(given.key)}" if given.key else ""
        print(f"next: cnnc build {spec} --weights {checkpoint}{chosen} --map {out}")
    return 0
