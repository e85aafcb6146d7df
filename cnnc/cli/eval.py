"""`cnnc eval`: how well a model does on labelled pictures, whatever it was compiled to."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import SECONDS, WEIGHTS, add_set, add_weights, note, parameters
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall

if TYPE_CHECKING:
    from cnnc.data.dataset import Data, Files, Split
    from cnnc.inference.evaluate import Evaluation
    from cnnc.inference.scorers import Scorer


FILES = {
    ".safetensors": "holds weights: give its spec, and the file to --weights",
    ".pth": "holds weights: give its spec, and the file to --weights",
    ".ckpt": "holds weights: give its spec, and the file to --weights",
    ".bin": "holds weights: give its spec, and the file to --weights",
    ".pt2": "may hold code, which torch would run: take the .pt or the .onnx beside it, of the same network",
}


def add_options(parser: Parser) -> None:
    """Take a model, data, and what runs the one on which part of the other."""
    parser.argument("model", "An .onnx file, a TorchScript .pt of `cnnc build`, or a spec.")
    parser.option("--data", required=True, help="A data set by name, or a file or folder of one.")
    add_weights(parser, f"With a spec: {WEIGHTS}.")
    add_set(parser, help="With a spec: set a parameter of it; may be repeated.")
    parser.option("--part", type=OneOf(("test", "train")), default="test", help="Which part of the data.")
    parser.option("--limit", type=Number(least=1), help="Use only the first so many examples.")
    part = Number(float, least=0, most=1)
    parser.option("--val-split", type=part, help="Test on this part of the training set, as train does.")
    parser.option("--seed", type=Number(least=0, most=2**63 - 1), default=0, help="Seeds --val-split.")
    parser.flag("--skip-unreadable", help="Leave out pictures that cannot be read.")
    told = "What runs the model; auto takes CUDA where it works."
    parser.option("--device", type=OneOf(("auto", "cuda", "cpu")), default="auto", help=told)
    parser.option("--out", "-o", metavar="PNG", help="Draw the confusion matrix into this file.")
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="A table, or one JSON line.")
    parser.flag("--accept-changed", help="Take a file of cnnc that was rewritten or is damaged.")
    told = "Seconds that an .onnx of other makers may take for a batch; otherwise 60."
    parser.option("--timeout", type=SECONDS, help=told)


def run(given: Namespace) -> int:
    """Score the model; gives the exit code."""
    from cnnc.data.folder import left_out, together
    from cnnc.data.load import load
    from cnnc.diagnostics import CnncError
    from cnnc.diagnostics.missing_packages import require
    from cnnc.inference.evaluate import evaluate

    if given.out is not None:
        require(["matplotlib"], "drawing the confusion matrix")
    with _scorer(given) as scorer, _progress() as progress:
        how = {name: getattr(given, name) for name in ("limit", "val_split", "seed", "skip_unreadable")}
        loaded = load(given.data, **how)
        pictures = _part(loaded, given.part)
        try:
            result = evaluate(scorer, pictures, loaded.classes, progress)
        except CnncError as error:
            raise together(error, Path(loaded.source), pictures) from None
    for each in (*left_out(loaded.source, pictures), *result.notes):
        note(each)
    print(json.dumps(result.as_json()) if given.format == "json" else result.as_text())
    if given.out is not None:
        _draw(result, Path(given.out))
        print(f"\n{given.out}", file=sys.stderr if given.format == "json" else sys.stdout)
    return 0


def _scorer(given: Namespace) -> "Scorer":
    """The model behind a path, told by its suffix: what is neither .onnx nor .pt is a spec."""
    from cnnc.compiler import load
    from cnnc.inference import scorers
    from cnnc.inference.providers import TIMEOUT

    model = given.model
    suffix = Path(model).suffix.lower()
    if suffix in (".onnx", ".pt"):
        for name in ("weights", "map", "key", "set"):
            if getattr(given, name):
                raise WrongCall(f"--{name}: {model} holds its own, this is for a spec")
        if suffix == ".onnx":
            timeout = given.timeout or TIMEOUT
            return scorers.of_onnx(model, given.device, accept_changed=given.accept_changed, timeout=timeout)
        return scorers.of_torchscript(model, load, given.device, accept_changed=given.accept_changed)
    if given.accept_changed:
        raise WrongCall("--accept-changed: it is for .onnx and .pt files, not for a spec")
    if suffix in FILES:
        raise WrongCall(f"eval takes an .onnx, a .pt or a spec; {model} {FILES[suffix]}")
    if given.weights is None:
        makes = f"`cnnc train {model}` makes some"
        raise WrongCall(f"--weights: which weights? {makes}; a spec alone knows nothing yet")
    return _of_spec(given)


def _of_spec(given: Namespace) -> "Scorer":
    from cnnc.compiler import load
    from cnnc.inference import scorers
    from cnnc.targets import torch_module
    from cnnc.weights import load as weight_files

    graph = load(given.model, set=parameters(given.set))
    map = None if given.map is None else Path(given.map)
    found = weight_files.read(Path(given.weights), torch_module.shapes(graph), map, given.key, note)
    return scorers.of_graph(given.model, graph, found, given.device)


def _part(data: "Data", part: str) -> "Split | Files":
    if part == "train":
        return data.train
    if data.test is None:
        raise WrongCall(f"--data: {data.name} has no test part", "take --part train, or --val-split as in training")
    return data.test


def _draw(result: "Evaluation", path: Path) -> None:
    from cnnc.files.write import write_file
    from cnnc.inference.confusion import draw

    write_file(path, draw(result.matrix, result.classes))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], Any]]:
    """A bar, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("examples", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
