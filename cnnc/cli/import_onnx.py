"""`cnnc import`: write the spec and the weights of an existing network, in an ONNX file or a torch module."""

import os
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.build import shown_progress
from cnnc.cli.imported import on_pictures, print_written
from cnnc.cli.options import SECONDS
from cnnc.cli.parser import Number, OneOf, Parser, SeveralOf, WrongCall
from cnnc.diagnostics import CnncError, Code
from cnnc.inference.providers import TIMEOUT

if TYPE_CHECKING:
    from cnnc.importing.flat_spec import Imported

FACTORY = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")  # on Windows, C:net.onnx has a dot after the colon
PACKAGE = re.compile(r"[A-Za-z_][\w.]*")
MOST_LABELS = 10**6  # bytes of a file of labels


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc import`."""
    model = "An ONNX file of opset 9 to 26, in float32, or package.module:factory, which makes a torch module."
    parser.argument("model", model)
    out = "The spec to write; its weights get the same name with the suffix .safetensors. Default: NAME.yaml."
    parser.option("--out", "-o", metavar="SPEC", help=out)
    parser.option("--name", help="The name of the network; default: that of the ONNX file or the factory.")
    parser.flag("--flat", help="Leave the nodes in one list, without blocks.")
    numbers = SeveralOf(Number(float, least=-(10**9), most=10**9))
    parser.option("--mean", type=_Listed(numbers), help="The mean to subtract from the pixels, a number per channel.")
    parser.option("--std", type=_Listed(numbers), help="The standard deviation to divide by, a number per channel.")
    parser.option("--mode", type=OneOf(("grey", "rgb", "bgr")), help="The channels of the picture; default: rgb.")
    parser.option("--scale", type=OneOf(("1", "255")), help="The value of white before --mean and --std are applied.")
    size = Number(least=1, most=65_536)
    parser.option("--resize", type=size, help="Resize the shorter side of the picture to this size.")
    parser.option("--crop", type=size, help="Crop this size from the centre, after --resize.")
    parser.option("--labels", metavar="FILE", help="A text file with the name of a class in each line.")
    shape = "The shape of an input with open sizes, without the batch, in the order of the file, which may be H,W,C; "
    shape += "NAME may be left out if there is one input."
    parser.option("--input-size", metavar="[NAME=]C,H,W", repeat=True, help=shape)
    parser.flag("--overwrite", help="Replace the spec and its weights if they exist.")
    code = "Run the Python code of package.module:factory; modules in the current folder come first."
    parser.flag("--allow-code", help=code)
    parser.flag("--allow-external", help="Read weights in other files of the model's folder.")
    limit = "Time limit for each run of the ONNX file, which is in a process of its own."
    parser.option("--timeout", metavar="SECONDS", type=SECONDS, default=TIMEOUT, help=limit)


class _Listed:
    """The type of an option that takes several numbers, which may be equal."""

    def __init__(self, kind: SeveralOf) -> None:
        self._kind = kind

    def __call__(self, text: str) -> list[float]:
        return [self._kind(each)[0] for each in text.split(",")]


def run(given: Namespace) -> int:
    """Write the spec and its weights, print how close the spec is, and return the exit code."""
    from cnnc.artifacts.contract import CONTRACT
    from cnnc.compiler import load
    from cnnc.files.onnx_header import read_model
    from cnnc.formatting.texts import write_for
    from cnnc.importing.importer import Described, as_list, read, require_new, with_blocks, write
    from cnnc.importing.proof import prove

    factory = FACTORY.fullmatch(_dotted(given.model))
    spec = Path(given.out or f"{given.name or (factory[2] if factory else Path(given.model).stem)}.yaml")
    if spec.suffix not in (".yaml", ".yml", ".json"):
        raise WrongCall(f"--out: a spec ends in .yaml, .yml or .json, got {given.out}")
    described = Described(_picture(given), _labels(given.labels), _sizes(given.input_size), given.name)
    require_new((spec, spec.with_suffix(".safetensors")), overwrite=given.overwrite)
    if factory:
        from cnnc.cli.import_torch import run_factory

        return run_factory(given, factory[1], factory[2], described, spec)
    _require_file(given.model)
    with shown_progress() as progress:
        progress("reading the model")
        imported = read(given.model, described, allow_external=given.allow_external)
        imported = as_list(imported) if given.flat else with_blocks(imported)
        progress("running both networks")
        proof = prove(imported, Path(given.model), allow_external=given.allow_external, timeout=given.timeout)
    text = write_for(spec, imported.spec)
    write(imported, text, spec, overwrite=given.overwrite)
    graph = load(imported.spec)
    known = described.picture or CONTRACT in read_model(given.model).metadata
    remarks = [*_remarks(imported), *(() if known else on_pictures(graph))]
    print_written(spec, text, graph, imported.weights, str(proof), remarks)
    return 0


def _dotted(model: str) -> str:
    """Return `package.module:factory` for `package/module.py:factory`."""
    path, python, factory = model.partition(".py:")
    return f"{_package(path)}:{factory}" if python else model


def _package(path: str) -> str:
    return path.removeprefix(f".{os.sep}").removesuffix(".py").replace(os.sep, ".")


def _require_file(model: str) -> None:
    """Raise E501 for the name of a Python module, which says nothing of its factory."""
    name, is_python = _package(model), model.endswith(".py")
    if PACKAGE.fullmatch(name) and (is_python or not (model.endswith(".onnx") or os.path.exists(model))):
        message = f"cannot read the model {model}: it is no ONNX file"
        help = f"for a torch module, name what makes it: {name}:FACTORY, with --allow-code"
        raise CnncError.of(Code.MODEL_UNREADABLE, message, help=help)


def _remarks(imported: "Imported") -> Iterator[str]:
    """Yield which inputs have another order of axes in the spec."""
    shapes = imported.spec.get("inputs") or imported.spec["input"]
    for name in sorted(imported.channels_last):
        given = shapes[imported.inputs[name]]
        sizes = given["shape"] if isinstance(given, dict) else given
        shown = "×".join("?" if each is None else str(each) for each in sizes)
        yield f"`{imported.inputs[name]}` is channels first in the spec, {shown}, and channels last in the file"


def _picture(given: Namespace) -> dict[str, Any]:
    """Return the fields of the picture that are given."""
    fields = {name: getattr(given, name) for name in ("mode", "resize", "crop", "mean", "std")}
    scale = None if given.scale is None else int(given.scale)
    return {name: each for name, each in {**fields, "scale": scale}.items() if each is not None}


def _labels(path: str | None) -> list[str]:
    """Return the lines of the file, without empty ones at its end; raises E508."""
    if path is None:
        return []
    from cnnc.files.checks import require_file

    if require_file(path, Code.DATA_UNREADABLE, "labels") > MOST_LABELS:
        raise CnncError.of(Code.DATA_UNREADABLE, f"cannot read the labels {path}: it has over {MOST_LABELS:,} bytes")
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")  # str.splitlines would also split at U+2028
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CnncError.of(Code.DATA_UNREADABLE, f"cannot read the labels {path}: {reason}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise CnncError.of(Code.DATA_UNREADABLE, f"cannot read the labels {path}: all its lines are empty")
    return lines


def _sizes(given: list[str] | None) -> dict[str, list[int]]:
    """Return the shapes of inputs by name; raises WrongCall."""
    kind: Callable[[str], float] = Number(least=1, most=2**31 - 1)
    found = {}
    for each in given or ():
        name, _, sizes = each.rpartition("=")
        if name in found:
            raise WrongCall(f"--input-size: {name or 'the input'} is given twice", "write NAME=C,H,W for each input")
        try:
            found[name] = [int(kind(size)) for size in sizes.split(",")]
        except Exception as error:
            raise WrongCall(f"--input-size: expected [NAME=]C,H,W, got {each!r}") from error
    return found
