"""`cnnc eval`: score a model (ONNX, TorchScript, or a spec with weights) on pictures with labels or with masks."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.eval_run import ScoredData, scored_data
from cnnc.cli.options import SECONDS, WEIGHTS, add_set, add_weights, note, parameters
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall

if TYPE_CHECKING:
    from cnnc.data.dataset import Data, Part
    from cnnc.inference.confusion import Matrix
    from cnnc.inference.evaluate import Evaluation
    from cnnc.inference.evaluate_labels import LabelEvaluation
    from cnnc.inference.evaluate_masks import MaskEvaluation
    from cnnc.inference.scorers import Scorer

    AnyEvaluation = Evaluation | MaskEvaluation | LabelEvaluation

_HOLDS_WEIGHTS = ("contains only weights", "pass the spec as MODEL and this file to --weights")
UNSUPPORTED = {  # suffixes of files that eval does not take: why, and what to do
    ".safetensors": _HOLDS_WEIGHTS,
    ".pth": _HOLDS_WEIGHTS,
    ".ckpt": _HOLDS_WEIGHTS,
    ".bin": _HOLDS_WEIGHTS,
    ".pt2": ("may contain code, which torch would run", "use the .pt or .onnx file of the same build"),
}


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc eval`."""
    parser.argument("model", "An .onnx file, a TorchScript .pt file of `cnnc build`, or a spec.")
    data = "The name of a data set, or the path of its file or folder; by default that of the run."
    parser.option("--data", help=data)
    run = "Score what this run of `cnnc train` held out; by default the folder of --weights, if it is a run's."
    parser.option("--run", metavar="FOLDER", help=run)
    masks = "For a segmentation: the folder of masks, if they are not in DATA/masks and the pictures in DATA/images."
    parser.option("--masks", metavar="FOLDER", help=masks)
    add_weights(parser, f"With a spec: {WEIGHTS}.")
    add_set(parser, help="With a spec: set a parameter of it; may be repeated.")
    parser.option("--part", type=OneOf(("test", "train")), default="test", help="The part of the data to score.")
    parser.option("--limit", type=Number(least=1), help="Use only this many examples, from the first on.")
    part = Number(float, least=0, most=1)
    parser.option("--val-split", type=part, help="Test on this fraction of the training set, as train does.")
    parser.option("--seed", type=Number(least=0, most=2**63 - 1), default=0, help="Seed of --val-split.")
    parser.flag("--skip-unreadable", help="Leave out pictures that cannot be read.")
    device = "The device that runs the model; auto uses CUDA if it works."
    parser.option("--device", type=OneOf(("auto", "cuda", "cpu")), default="auto", help=device)
    out = "Draw the confusion matrix to this file, or write every picture's prediction if it ends in .csv; repeatable."
    parser.option("--out", "-o", metavar="FILE", repeat=True, help=out)
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="A table, or one JSON line.")
    parser.flag("--accept-changed", help="Accept a file of cnnc that was rewritten or is damaged.")
    timeout = "Time limit in seconds per batch, for an .onnx file that cnnc did not make; 60 if left out."
    parser.option("--timeout", type=SECONDS, help=timeout)


def run(given: Namespace) -> int:
    """Score the model, and return the exit code."""
    from cnnc.data.dataset import first
    from cnnc.data.folder import all_unreadable, note_on_skipped
    from cnnc.diagnostics import CnncError
    from cnnc.diagnostics.missing_packages import require

    if any(not _is_csv(each) for each in given.out or ()):
        require(["matplotlib"], "drawing the confusion matrix")
    with _scorer(given) as scorer, _progress() as progress:
        chosen = scored_data(given)
        kind = _kind(chosen, scorer)
        if kind != "classes" and any(map(_is_csv, given.out or ())):
            raise WrongCall(f"--out: a .csv file is for data with classes, but the model is scored as {kind}")
        if kind not in ("classes", "segmentation") and given.out:
            raise WrongCall("--out draws a confusion matrix, which only classes and segmentations have")
        loaded = chosen.load(kind, scorer.contract.labels)
        pictures = first(_part(loaded, given.part, kind), given.limit)
        try:
            result = _evaluate(scorer, kind, loaded, pictures, progress, skip=chosen.skip_unreadable)
        except CnncError as error:
            raise all_unreadable(error, Path(loaded.source), pictures) from None
    for each in note_on_skipped(loaded.source, pictures):
        note(each)
    return _show(given, result, pictures)


def _evaluate(
    scorer: "Scorer", kind: str, data: "Data", pictures: "Part", progress: Callable[[int, int], Any], *, skip: bool
) -> "AnyEvaluation":
    if kind == "segmentation":
        from cnnc.inference.evaluate_masks import evaluate_masks, pairs_of

        pairs = pairs_of(pictures, scorer.contract.input)
        return evaluate_masks(scorer, pairs, progress, skip_unreadable=skip, skipped=pictures.skipped)
    if kind in ("probabilities", "vector"):
        from cnnc.inference.evaluate_labels import evaluate_labels

        return evaluate_labels(scorer, kind, pictures, data.classes, progress)
    from cnnc.inference.evaluate import evaluate

    return evaluate(scorer, pictures, data.classes, progress)


def _is_csv(name: str) -> bool:
    return Path(name).suffix.lower() == ".csv"


def _show(given: Namespace, result: "AnyEvaluation", pictures: "Part") -> int:
    """Print the result, and write its files."""
    from cnnc.files.write import write_file
    from cnnc.inference.evaluate import Evaluation
    from cnnc.inference.evaluate_labels import LabelEvaluation
    from cnnc.inference.predictions import as_csv

    for each in result.notes:
        note(each)
    print(json.dumps(result.as_json()) if given.format == "json" else result.as_text())
    for each in given.out or ():
        if _is_csv(each) and isinstance(result, Evaluation):
            write_file(Path(each), as_csv(result.predictions, pictures, result.classes))
        elif not isinstance(result, LabelEvaluation):
            _draw(result.matrix, result.classes, Path(each))
        print(f"\n{each}", file=sys.stderr if given.format == "json" else sys.stdout)
    return 0


def _kind(chosen: ScoredData, scorer: "Scorer") -> str:
    """Return what the labels of the data are: masks with `--masks`, or by the kind of the model's first output."""
    from cnnc.data.masks import IMAGES, MASKS
    from cnnc.train.tasks import TASKS

    kind = scorer.contract.described[0].kind
    beside = all(os.path.isdir(os.path.join(chosen.data, each)) for each in (IMAGES, MASKS))
    if chosen.masks is not None or (kind is None and beside):
        return "segmentation"
    return kind if kind in TASKS else "classes"


def _scorer(given: Namespace) -> "Scorer":
    """Load the model by its suffix: a file that ends in neither .onnx nor .pt is a spec."""
    from cnnc.compiler import load
    from cnnc.inference import scorers
    from cnnc.inference.providers import TIMEOUT

    model = given.model
    suffix = Path(model).suffix.lower()
    if suffix in (".onnx", ".pt"):
        for name in ("weights", "map", "key", "set"):
            if getattr(given, name):
                raise WrongCall(f"--{name} is only for a spec; {model} is a compiled model")
        if suffix == ".onnx":
            timeout = given.timeout or TIMEOUT
            return scorers.of_onnx(model, given.device, accept_changed=given.accept_changed, timeout=timeout)
        return scorers.of_torchscript(model, load, given.device, accept_changed=given.accept_changed)
    if given.accept_changed:
        raise WrongCall("--accept-changed is only for .onnx and .pt files, not for a spec")
    if suffix in UNSUPPORTED:
        reason, help = UNSUPPORTED[suffix]
        raise WrongCall(f"eval takes an .onnx file, a .pt file or a spec; {model} {reason}", help)
    if given.weights is None:
        raise WrongCall(f"a spec needs --weights to be scored, got only {model}", f"`cnnc train {model}` makes weights")
    return _of_spec(given)


def _of_spec(given: Namespace) -> "Scorer":
    from cnnc.compiler import load
    from cnnc.inference import scorers
    from cnnc.weights.load import read_for

    graph = load(given.model, set=parameters(given.set))
    found = read_for(graph, given.weights, given.map, given.key, note)
    return scorers.of_graph(given.model, graph, found, given.device)


def _part(data: "Data", part: str, kind: str) -> "Part":
    """Return a part of the data; pictures and masks without parts are all for testing."""
    if part == "train" or (data.test is None and kind == "segmentation"):
        return data.train
    if data.test is None:
        raise WrongCall(f"--data: {data.name} has no test part", "use --part train, or --val-split as in training")
    return data.test


def _draw(matrix: "Matrix", classes: tuple[str, ...], path: Path) -> None:
    from cnnc.files.write import write_file
    from cnnc.inference.confusion import draw

    write_file(path, draw(matrix, classes))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], Any]]:
    """Show a progress bar if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("examples", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
