"""`cnnc infer`: print what a model shows for pictures: classes, masks, pictures or numbers.

Imports are few and late, so that the start takes little longer than importing onnxruntime and numpy.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from cnnc.cli.infer_output import add_output_options, open_output, require_output_options
from cnnc.cli.options import SECONDS, note
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from cnnc.diagnostics import counted
from cnnc.diagnostics.render import show, visible
from cnnc.inference.providers import TIMEOUT, WANTED

if TYPE_CHECKING:
    from cnnc.cli.infer_output import Destination
    from cnnc.cli.progress import ProgressLine
    from cnnc.inference.model import Model
    from cnnc.inference.output_folder import OutputFolder
    from cnnc.inference.results import Failed, Result

LIST = "-"  # the argument for a list of paths on standard input
ON_GPU = 32  # pictures of a batch, if their size is known


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc infer`."""
    parser.argument("model", "An ONNX file.")
    images = "Pictures, or folders of them; - reads a list of them from standard input, one per line."
    parser.argument("images", images, several=True, required=False)
    values = "The values of an input that is not the picture: a .npy or .npz file, or a picture; may be repeated."
    parser.option("--input", metavar="NAME=FILE", repeat=True, help=values)
    parser.option("--top", "-k", metavar="K", type=Number(least=1), default=5, help="Number of classes to show.")
    parser.flag("--recursive", "-r", help="Search subfolders too; links to folders are not followed.")
    parser.flag("--null", "-0", help="A NUL ends each path on standard input, as after `find -print0`.")
    add_output_options(parser)
    provider = "The provider that runs the model; auto uses CUDA if it works."
    parser.option("--provider", type=OneOf(WANTED), default="auto", help=provider)
    count = Number(least=1, most=4096)
    batch = f"Pictures per run of the model; if left out, 1 on the CPU and {ON_GPU} on a GPU."
    parser.option("--batch", type=count, help=batch)
    workers = "Threads that decode pictures and run the model; if left out, one per core divided by --threads."
    parser.option("--workers", type=count, help=workers)
    threads = "Threads of each run on the CPU; if left out, 1 for several pictures and one per core for a single one."
    parser.option("--threads", type=count, help=threads)
    engine = (
        "The machine that runs the model: this one, or those of a Ray cluster, each with the model and the pictures."
    )
    parser.option("--engine", type=OneOf(("local", "ray")), default="local", help=engine)
    parser.flag("--allow-external", help="Read weights in other files of the model's folder.")
    parser.flag("--accept-changed", help="Run a file of cnnc that another tool has rewritten, or that is damaged.")
    timeout = "Time limit per run of a model without cnnc's metadata."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=TIMEOUT, help=timeout)


def run(given: Namespace) -> int:
    """Run the model on each picture, and return the exit code; raises CnncError for a model that cannot run."""
    if given.null and LIST not in given.images:
        raise WrongCall("--null is for a list of paths on standard input", "give - in place of pictures")
    if not given.images and not given.input:
        raise WrongCall("cnnc infer needs IMAGES", "name pictures or folders after the model")
    require_output_options(given)
    from cnnc.inference.integrity import open_model

    inputs = _inputs(given)
    opened = open_model(given.model, accept_changed=given.accept_changed)  # a thread hashes it during the imports
    from cnnc.inference.predict import load_model

    options = {
        "allow_external": given.allow_external,
        "timeout": given.timeout,
        "threads": given.threads,
        "at_once": _several(given),
        "inputs": inputs,
    }
    provider = given.provider if given.engine == "local" else "cpu"  # other machines may have what this one has not
    with load_model(opened, provider, **options) as model:
        if not given.images and model.source is not None:
            raise WrongCall("cnnc infer needs IMAGES", "name pictures or folders after the model")
        for each in model.notes:
            note(each)
        done, failed = _infer_all(given, model, options)
    if given.output is not None:
        of = f", {failed:,} failed" if failed else ""
        print(f"{visible(given.output)}: {counted(done, 'picture')}{of}", file=sys.stderr)
    elif failed and done > 1:
        print(f"{failed:,} of {done:,} pictures failed", file=sys.stderr)
    return 1 if failed else 0


def _infer_all(given: Namespace, model: "Model", options: dict[str, Any]) -> tuple[int, int]:
    """Write the results of all pictures; return how many there are, and how many failed."""
    from cnnc.inference.output_folder import open_folder
    from cnnc.inference.results import Failed

    with ExitStack() as stack:
        folder = None
        if given.save:  # the row of a picture whose files are there may have been cut off
            folder = stack.enter_context(open_folder(given.save, overwrite=given.overwrite or given.resume))
        output = stack.enter_context(open_output(given, model))
        progress = stack.enter_context(_progress(given, output.held))
        done, failed = output.held, output.failed
        for each in _results(given, model, options, output, folder):
            if isinstance(each, Failed):
                failed += 1
                progress.clear()
                show(each.error.diagnostics)
            output.write(each)
            done += 1
            progress.add()
        output.finish()
    return done, failed


def _results(
    given: Namespace, model: "Model", options: dict[str, Any], output: "Destination", folder: "OutputFolder | None"
) -> "Iterator[Result | Failed]":
    """Yield the results that `output` does not hold."""
    from cnnc.inference.predict import GIVEN, infer_found, infer_given
    from cnnc.inference.sources import find_pictures

    if not given.images:
        return (infer_given(model, given.top, folder) for _ in output.missing([GIVEN]))
    found = output.missing(find_pictures(_paths(given), recursive=given.recursive))
    batch = _batch(given, model)
    if given.engine == "ray":
        from cnnc.inference.on_ray import RayJob, infer_on_ray

        _disconnect_on_interrupt()
        options |= {"provider": given.provider, "accept_changed": given.accept_changed, "threads": given.threads or 1}
        return infer_on_ray(RayJob(model.path, options, given.top, batch, folder), found, workers=given.workers)
    workers = _workers(given, model)
    return infer_found(model, found, given.top, batch=batch, workers=workers, folder=folder)


def _disconnect_on_interrupt() -> None:
    """On SIGINT, let Ray stop the processes that it has started for this command, and exit with 130."""
    import signal
    from threading import Thread

    import ray

    from cnnc.processes import end_on_interrupt

    def stop(*_: object) -> None:
        stopping = Thread(target=ray.shutdown, daemon=True)  # this thread may be inside a call of Ray
        stopping.start()
        stopping.join(10)
        end_on_interrupt()

    with suppress(ValueError):  # only the main thread may do that
        signal.signal(signal.SIGINT, stop)


def _progress(given: Namespace, held: int) -> "ProgressLine":
    """Return the progress of the pictures that are not `held` yet; none where the results show it."""
    from cnnc.cli.progress import ProgressLine
    from cnnc.inference.sources import find_pictures

    def count() -> int:
        return sum(1 for _ in find_pictures(given.images, recursive=given.recursive)) - held

    shown = _several(given) and (given.output is not None or not sys.stdout.isatty())
    return ProgressLine(
        "pictures", None if LIST in given.images else count, shown=shown
    )  # a list can be read only once


def _inputs(given: Namespace) -> dict[str, str]:
    """Return the files of `--input NAME=FILE` by name; raises WrongCall for a malformed one."""
    inputs: dict[str, str] = {}
    for text in given.input or ():
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise WrongCall(f"--input: expected NAME=FILE, got {text!r}", "for example `--input extra=extra.npz`")
        if name in inputs:
            raise WrongCall(f"--input: {name} is given twice")
        inputs[name] = file
    return inputs


def _several(given: Namespace) -> bool:
    return len(given.images) > 1 or any(each == LIST or os.path.isdir(each) for each in given.images)


def _paths(given: Namespace) -> Iterator[str]:
    """Yield the paths of the command line, and in the place of LIST those on standard input."""
    for path in given.images:
        if path == LIST:
            yield from _listed(b"\0" if given.null else b"\n")
        else:
            yield path


def _listed(end: bytes) -> Iterator[str]:
    """Yield the paths on standard input; raises CnncError (E503) if there are none."""
    from cnnc.diagnostics import CnncError, Code
    from cnnc.inference.sources import read_paths

    empty = True
    for path in read_paths(sys.stdin.buffer, end) if sys.stdin else ():
        empty = False
        yield path
    if empty:
        raise CnncError.of(Code.PICTURE_UNREADABLE, "standard input lists no pictures")


def _batch(given: Namespace, model: "Model") -> int:
    if given.batch is not None:
        if given.batch > 1 and model.single:
            print("note: the model takes one picture at a time: --batch is ignored", file=sys.stderr)
        return int(given.batch)
    return ON_GPU if model.runner.choice.name != "cpu" and None not in model.contract.input.shape else 1


def _workers(given: Namespace, model: "Model") -> int:
    from cnnc.inference.pipeline import cores

    if given.workers is not None:
        return int(given.workers)
    if not _several(given):
        return 1
    return max(1, cores() // (given.threads or 1)) if model.runner.choice.name == "cpu" else cores()
