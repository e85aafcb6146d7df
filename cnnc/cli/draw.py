"""`cnnc draw`: a picture of a spec or of an ONNX file."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.options import add_set, note, parameters
from cnnc.cli.parser import Number, Parser, WrongCall

if TYPE_CHECKING:
    from cnnc.drawing.sketch import Sketch

SUFFIXES = (".svg", ".png", ".html", ".dot", ".mmd")


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc draw`."""
    parser.argument("network", "A spec (- reads standard input), REV:PATH for a git revision, or an ONNX file.")
    out = "The picture: .svg, .png, .html (a page to explore), .dot (Graphviz) or .mmd (Mermaid). Default: NAME.svg."
    parser.option("--out", "-o", metavar="FILE", help=out)
    parser.option("--depth", type=Number(least=1, most=99), help="Fold blocks that lie deeper; 1 folds all blocks.")
    add_set(parser)


def run(given: Namespace) -> int:
    """Write the picture, print its name and size, and return the exit code."""
    from cnnc.diagnostics.render import visible
    from cnnc.files.write import write_file

    if given.out is not None and Path(given.out).suffix not in SUFFIXES:
        raise WrongCall(
            f"--out: cannot draw a {Path(given.out).suffix or 'file without a suffix'}", f"use {', '.join(SUFFIXES)}"
        )
    sketch = _sketch(given)
    path = Path(given.out or f"{sketch.name}.svg")
    from cnnc.drawing.renderers import RENDERERS

    data = RENDERERS[path.suffix](sketch, given.depth)
    write_file(path, data)
    print(f"{visible(str(path))}  {len(data) / 1e3:,.1f} kB")
    return 0


def _sketch(given: Namespace) -> "Sketch":
    settings = parameters(given.set)
    if Path(given.network).suffix == ".onnx":
        if settings:
            raise WrongCall("--set sets parameters of a spec; an ONNX file has none")
        from cnnc.importing.drawn import sketch_of

        return sketch_of(given.network, note)
    from cnnc.compiler import load
    from cnnc.drawing.sketch import sketch
    from cnnc.text.revision import at_revision, renamed

    with at_revision(given.network) as path:
        return sketch(load(path, set=settings)).with_files(lambda name: renamed(name, given.network))
