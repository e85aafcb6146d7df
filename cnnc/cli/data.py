"""`cnnc data pack`: the pictures of a data set, decoded and resized, in one file that trains faster."""

import os
import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.options import add_set, note, parameters
from cnnc.cli.parser import Number, Parser, WrongCall
from cnnc.cli.progress import ProgressLine

if TYPE_CHECKING:
    from cnnc.data.dataset import Labelling
    from cnnc.data.frame import Frame

ACTIONS = ("pack",)


def add_options(parser: Parser) -> None:
    """Add the arguments and options of `cnnc data`."""
    parser.argument("action", "pack: write the pictures, decoded and resized, to one file.")
    parser.argument("data", "The name of a data set, or the path of its file or folder.")
    parser.option("--out", "-o", metavar="FILE", required=True, help="Write to this file, which ends in .npz.")
    parser.option("--spec", metavar="SPEC", help="Prepare the pictures for this network: size, crop and grey.")
    add_set(parser, help="Set a parameter of the spec; may be repeated.")
    parser.option("--size", metavar="HxW", help="Without a spec: the height and width, such as 224x224.")
    masks = "For a segmentation: the folder of masks, if they are not in DATA/masks and the pictures in DATA/images."
    parser.option("--masks", metavar="FOLDER", help=masks)
    part = Number(float, least=0, most=1)
    parser.option("--val-split", type=part, help="Hold out this fraction of the training set as test set.")
    parser.option("--seed", type=Number(least=0, most=2**63 - 1), default=0, help="Seed of --val-split.")
    parser.option("--limit", type=Number(least=1), help="Use only this many examples of each part.")
    parser.flag("--skip-unreadable", help="Leave out pictures that cannot be read.")
    parser.flag("--overwrite", help="Replace the file if it exists.")


def run(given: Namespace) -> int:
    """Write the pack, and return the exit code."""
    from cnnc.data.dataset import describe
    from cnnc.data.folder import note_on_skipped
    from cnnc.data.load import load
    from cnnc.data.pack import pack
    from cnnc.diagnostics.missing_packages import NEEDS, require
    from cnnc.diagnostics.render import visible

    _require_call(given)
    require(NEEDS["train"], "packing data")
    out = Path(given.out)
    frame, target = _for_spec(given) if given.spec else _for_size(given)
    data = load(
        given.data,
        limit=given.limit,
        val_split=given.val_split,
        seed=given.seed,
        skip_unreadable=given.skip_unreadable,
        target=target,
    )
    for remark in note_on_skipped(data.source, data.train, data.test):
        note(remark)
    count = len(data.train) + (len(data.test) if data.test is not None else 0)
    with ProgressLine("pictures", lambda: count) as line:
        packed = pack(data, frame, out, line.add)
    print(f"{visible(str(out))}  {packed.bytes:,} bytes")
    print(describe(load(out, target=target)))
    return 0


def _require_call(given: Namespace) -> None:
    """Raise WrongCall for options that do not go together, or a file that exists."""
    if given.action not in ACTIONS:
        raise WrongCall(f"cnnc data has no action {given.action!r}", "`cnnc data pack DATA --size HxW -o FILE.npz`")
    if (given.spec is None) == (given.size is None):
        raise WrongCall("cnnc data pack needs either --spec SPEC or --size HxW")
    if given.set and given.spec is None:
        raise WrongCall("--set needs --spec")
    if Path(given.out).suffix != ".npz":
        raise WrongCall(f"--out: a pack ends in .npz, got {given.out}")
    if os.path.exists(given.out) and not given.overwrite:
        raise WrongCall(f"--out: {given.out} exists", "choose another name, or replace it with --overwrite")


def _for_spec(given: Namespace) -> "tuple[Frame, Labelling]":
    """Return the frame of the spec's input, and what its labels must be."""
    from cnnc.compiler import load
    from cnnc.data.frame import Frame
    from cnnc.data.preprocess import Preprocess
    from cnnc.language.recipe import Train
    from cnnc.train.compatibility import require_one_size, require_picture, target_of

    graph = load(given.spec, set=parameters(given.set))
    require_picture(graph)
    preprocess = Preprocess(graph.inputs[0])
    require_one_size(preprocess)
    preprocess.require(*preprocess.frame(), 3 if preprocess.takes_colours else 1)
    return Frame(preprocess), target_of(graph, Train.model_validate({"masks": given.masks}))


def _for_size(given: Namespace) -> "tuple[Frame, Labelling]":
    """Return a frame of the size, for pictures with classes."""
    from cnnc.data import masks
    from cnnc.data.dataset import CLASS
    from cnnc.data.frame import Frame
    from cnnc.data.pictures import MAX_PIXELS
    from cnnc.data.preprocess import Preprocess
    from cnnc.diagnostics import CnncError, Code
    from cnnc.graph.graph import Input, Picture
    from cnnc.ops.types import TensorType

    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", given.size)
    if size is None or 0 in (height := int(size[1]), width := int(size[2])):
        raise WrongCall(f"--size: expected HEIGHTxWIDTH, such as 224x224, got {given.size!r}")
    if height * width > MAX_PIXELS:
        raise WrongCall(f"--size: {given.size} are {height * width:,} pixels; the limit is {MAX_PIXELS:,}")
    if given.masks or masks.find(Path(given.data)):
        message = f"{given.data} has masks, which are packed for the network that learns them"
        raise CnncError.of(Code.DATA_MISFIT, message, help="use `--spec SPEC` in place of `--size`")
    shape = TensorType((3, height, width))
    return Frame(Preprocess(Input("image", shape, Picture("rgb", (), (), (height, width))))), CLASS
