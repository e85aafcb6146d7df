"""`cnnc weights`: propose which tensors of a checkpoint with other names are the weights of a spec.

With `--against`, an ONNX file runs in a child process: see `guarded.py`.
"""

from argparse import Namespace
from pathlib import Path
from shlex import quote
from typing import IO, TYPE_CHECKING

from cnnc.cli import guarded
from cnnc.cli.options import SECONDS, WEIGHTS, add_key, add_set, add_spec, note, parameters
from cnnc.cli.parser import Parser, WrongCall
from cnnc.diagnostics import counted

if TYPE_CHECKING:
    from cnnc.graph.graph import Graph
    from cnnc.weights.proposal import Proposal


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc weights`."""
    add_spec(parser)
    parser.argument("checkpoint", f"{WEIGHTS.capitalize()}.")
    parser.option("--out", "-o", metavar="MAP", help="Write the map to this file, not to standard output.")
    by_order = "Pair by their order alone the layers that are left, if the checkpoint is in the order of a network."
    parser.flag("--by-order", help=by_order)
    against = "Match by running this ONNX file of the same network, which has the checkpoint's weights."
    parser.option("--against", metavar="MODEL.onnx", help=against)
    limit = "With --against: time limit for loading and running the file."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=guarded.TIMEOUT, help=limit)
    add_key(parser)
    add_set(parser)


def run(given: Namespace) -> int:
    """Propose a map, and return the exit code; raises CnncError if a tensor is undecided."""
    import numpy  # noqa: F401 - without it, torch would print a warning first

    from cnnc.compiler import load
    from cnnc.targets import torch_module
    from cnnc.weights import load as files
    from cnnc.weights.proposal import propose

    if given.against is not None:
        if given.by_order:
            raise WrongCall("--against and --by-order are two ways to match: choose one")
        parameters(given.set)
        return guarded.run("weights", given, given.against, given.timeout, print)
    path = Path(given.checkpoint)
    graph = load(given.spec, set=parameters(given.set))
    shapes = torch_module.shapes(graph)
    found = files.checkpoint(path, shapes, given.key, note)
    proposal = propose(graph, shapes, found.layers, ordered=found.ordered, by_order=given.by_order)
    _write(given, graph, proposal, None)
    if proposal.by_order:
        count = counted(len(proposal.by_order), "tensor")
        note(f"{count} matched by order alone, `# by order` in the map: compare the outputs with the original's")
    elif given.by_order and proposal.undecided:
        note(f"nothing is matched by order: the order of {path.name} is not that of the network")
    proposal.require_decided(path)
    _show_next(given, None)
    return 0


def work(given: Namespace, answers: IO[str]) -> int:
    """Match by running the file `--against` in this process, and write the result to `answers`."""
    from cnnc.compiler import load
    from cnnc.targets import torch_module
    from cnnc.verification.by_running import match_by_running, named_in
    from cnnc.weights import load as files
    from cnnc.weights.proposal import Proposal

    path = Path(given.checkpoint)
    graph = load(given.spec, set=parameters(given.set))
    found = files.checkpoint(path, torch_module.shapes(graph), given.key, note)
    print(file=answers, flush=True)
    matched = match_by_running(graph, given.against)
    map = named_in(matched, path, found.tensors, shared=found.shared)
    note(f"{given.against} and the network return the same, within {matched.difference:.1e}")
    rest = tuple((key, tuple(each.shape)) for key, each in found.tensors.items() if key not in map.values())
    _write(given, graph, Proposal(map, (), rest), answers)
    _show_next(given, answers)
    return 0


def _write(given: Namespace, graph: "Graph", proposal: "Proposal", answers: IO[str] | None) -> None:
    """Write the map to the file that is given, or to `answers`."""
    from cnnc.files.write import write_file
    from cnnc.targets import torch_module

    text = proposal.as_yaml(f"The tensors of {Path(given.checkpoint).name} that are the weights of {graph.name}.")
    if given.out is None:
        print(text, end="", file=answers)
        return
    write_file(Path(given.out), text.encode())
    print(f"{given.out}: {len(proposal.map)} of {len(torch_module.shapes(graph))} tensors", file=answers)


def _show_next(given: Namespace, answers: IO[str] | None) -> None:
    if given.out is not None:
        spec, checkpoint, out = map(quote, (given.spec, given.checkpoint, given.out))
        chosen = f" --key {quote(given.key)}" if given.key else ""
        print(f"next: cnnc build {spec} --weights {checkpoint}{chosen} --map {out}", file=answers, flush=True)
