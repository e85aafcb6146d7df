"""`cnnc bench`: measure ONNX files in onnxruntime: speed, latency, memory, and the time of each block."""

import json
import os
import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import SECONDS, note
from cnnc.cli.parser import Number, OneOf, Parser, SeveralOf, WrongCall
from cnnc.inference.providers import WANTED

if TYPE_CHECKING:
    from cnnc.artifacts.contract import InputContract
    from cnnc.files.onnx_header import ModelFile
    from cnnc.inference.benchmark.results import Configuration, Measurement

PRECISIONS = ("fp32", "fp16", "int8")
SIZE = 224  # the height and width for open ones, or the next size that the network accepts
TIMEOUT = 600.0


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc bench`."""
    parser.argument("models", "ONNX files, measured side by side.", several=True)
    counts = SeveralOf(Number(least=1, most=65536))
    parser.option("--batch", type=counts, default="1", help="Pictures in a run, such as 1,8,32.")
    parser.option("--threads", type=counts, default="1", help="Threads of a run on the CPU, such as 1,2.")
    provider = "Providers that run the models; auto uses CUDA if it works."
    parser.option("--provider", type=SeveralOf(OneOf(WANTED)), default="auto", help=provider)
    precision = "Files to measure for NAME.onnx: fp32 is NAME.onnx, int8 NAME.int8.onnx, fp16 NAME.fp16.onnx."
    parser.option("--precision", type=SeveralOf(OneOf(PRECISIONS)), default="fp32", help=precision)
    size = f"Size of the pictures if the network leaves it open; {SIZE}x{SIZE} if left out."
    parser.option("--size", metavar="HEIGHTxWIDTH", type=_size, help=size)
    parser.flag("--profile", help="Show the time of every node of the spec.")
    depth = "Show the time of every block, with deeper ones folded to this depth."
    parser.option("--depth", type=Number(least=1), help=depth)
    parser.option("--rounds", type=Number(least=1, most=1000), default=5, help="Processes of each configuration.")
    parser.option("--seconds", type=SECONDS, default=1.0, help="Time of each configuration in each round.")
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="A table, or one JSON line.")
    parser.option("--out", "-o", metavar="FILE", help="Draw a chart to this .png or .svg file.")
    parser.flag("--allow-external", help="Read weights in other files of the model's folder.")
    parser.flag("--accept-changed", help="Run a file of cnnc that another tool has rewritten, or that is damaged.")
    parser.option("--timeout", type=SECONDS, default=TIMEOUT, help="Time limit in seconds of each process.")


def run(given: Namespace) -> int:
    """Measure, print the results, and return the exit code; raises CnncError for a file that cannot run."""
    _require_chart(given.out)
    from cnnc.inference.benchmark import report
    from cnnc.inference.benchmark.measure import measure, profiled

    configurations = [each for model in given.models for each in _configurations(model, given)]
    limits = {"rounds": given.rounds, "seconds": given.seconds, "timeout": given.timeout}
    with _progress() as progress:
        found = measure(list(dict.fromkeys(configurations)), **limits, progress=progress)
        if given.profile or given.depth:
            found = [profiled(each, given.depth, given.timeout) for each in found]
    print(json.dumps(_as_json(found)) if given.format == "json" else report.as_text(found))
    for each in report.warnings(found):
        note(each)
    if given.out is not None:
        from cnnc.files.write import write_file
        from cnnc.inference.benchmark.chart import draw

        write_file(Path(given.out), draw(found, Path(given.out).suffix.lower().removeprefix(".")))
        print(f"\n{given.out}", file=sys.stderr if given.format == "json" else sys.stdout)
    return 0


def _size(text: str) -> tuple[int, int]:
    if not (found := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)):
        raise ArgumentTypeError(f"{text!r} is not a height and a width such as 224x224")
    return int(found[1]), int(found[2])


def _require_chart(out: str | None) -> None:
    if out is None:
        return
    from cnnc.diagnostics.missing_packages import require
    from cnnc.inference.benchmark.chart import SUFFIXES

    if Path(out).suffix.lower() not in SUFFIXES:
        raise WrongCall(f"--out: a chart is a .png or .svg file, got {out}")
    require(["matplotlib"], "drawing a chart")


def _configurations(model: str, given: Namespace) -> "Iterator[Configuration]":
    """Yield every combination of the options for a model; raises CnncError for a file that cannot be read."""
    from cnnc.artifacts.contract import SPEC
    from cnnc.inference.benchmark.results import Configuration
    from cnnc.inference.integrity import open_model

    for precision in given.precision:
        opened = open_model(_file(model, precision), accept_changed=given.accept_changed)
        opened.require_intact()
        size = _size_of(opened.file, given.size)
        ours = SPEC in opened.file.metadata
        external = given.allow_external or opened.data is not None
        for provider, threads, batch in product(given.provider, given.threads, given.batch):
            yield Configuration(opened.file.path, precision, provider, threads, batch, size, ours, external)


def _file(model: str, precision: str) -> str:
    return model if precision == "fp32" else f"{os.path.splitext(model)[0]}.{precision}.onnx"


def _size_of(file: "ModelFile", given: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the size of the pictures for open sides; None for a foreign file without `--size`.

    Raises CnncError (E505) if the network does not accept the size.
    """
    from cnnc.artifacts.contract import CONTRACT, Contract
    from cnnc.diagnostics import CnncError, Code

    text = file.metadata.get(CONTRACT)
    if text is None:
        return given
    about = Contract.from_json(text).input
    if None not in about.shape:
        return None
    size = given or _accepted(about)
    if wanted := about.misfit(*size):
        raise CnncError.of(
            Code.PICTURE_MISFIT,
            f"{file.path}: the size is {size[0]} × {size[1]} (height × width), the network takes {wanted}",
            help="give another one as `--size HEIGHTxWIDTH`",
        )
    return size


def _accepted(about: "InputContract") -> tuple[int, int]:
    """Return the crop or size of the preprocessing, or else the first accepted square from SIZE on."""
    if about.crop or isinstance(about.resize, tuple):
        return about.crop or about.resize  # type: ignore[return-value]
    sizes = ((about.shape[1] or side, about.shape[2] or side) for side in range(SIZE, 2 * SIZE))
    return next((size for size in sizes if about.misfit(*size) is None), (SIZE, SIZE))


def _as_json(found: "list[Measurement]") -> dict[str, Any]:
    from cnnc.artifacts.metadata import tools
    from cnnc.inference.benchmark import report

    peaks = {each.peak.threads: each.peak for each in found if each.peak}
    return {
        "cores": os.cpu_count(),
        "tools": tools(),
        "spinning": False,
        "peaks": [{"threads": each.threads, "gflops": each.gflops, "cpu_share": each.busy} for each in peaks.values()],
        "results": [each.as_json() for each in found],
        "warnings": report.warnings(found),
    }


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], object]]:
    """Show what is measured next if standard error is a terminal and rich is installed."""
    from importlib.util import find_spec

    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda doing, done, of: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda doing, done, of: status.update(f"{done + 1} of {of}: {doing}")
