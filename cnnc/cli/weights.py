"""`cnnc weights`: which tensors of somebody else's checkpoint are the weights of a spec."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from cnnc.cli.options import KEY, SET, SPEC, WEIGHTS, note, parameters


def weights(
    spec: SPEC,
    checkpoint: Annotated[str, typer.Argument(help=f"{WEIGHTS.capitalize()}.")],
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="MAP", help="Write the map to this file, not to the terminal.")
    ] = None,
    key: KEY = None,
    set: SET = None,
) -> None:
    """Propose a map from a checkpoint's names to a spec's, by order and shape; exits with 1 where any is undecided."""
    from cnnc.compiler import load
    from cnnc.targets import torch, weight_map
    from cnnc.targets import weights as files
    from cnnc.targets.write import write_file

    path = Path(checkpoint)
    graph = load(spec, set=parameters(set))
    shapes = torch.shapes(graph)
    found = files.checkpoint(path, shapes, key, note)
    proposal = weight_map.propose(graph, shapes, found.layers, ordered=found.ordered)
    text = proposal.as_yaml(f"The tensors of {path.name} that are the weights of {graph.name}.")
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_file(Path(out), text.encode())
        typer.echo(f"{out}: {len(proposal.map)} of {len(shapes)} tensors")
    proposal.require_decided(path)
    if out is not None:
        chosen = f" --key {quote(key)}" if key else ""
        typer.echo(f"next: cnnc build {quote(spec)} --weights {quote(checkpoint)}{chosen} --map {quote(out)}")
