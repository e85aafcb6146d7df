"""The command to run after a build: `cnnc infer` with the options that the network's inputs and outputs need.

Takes a proved graph without train-only outputs and the path of its ONNX file; returns one line for a shell.
"""

from shlex import quote

from cnnc.artifacts.class_scores import Ranked
from cnnc.graph.graph import Graph

SMALLEST = 16  # pixels of a picture that anybody classifies


def next_command(graph: Graph, model: str, ranked: Ranked | None) -> str:
    """Return the command; `ranked` are the pictures for which the first output is one score per class.

    A comment after it names the sizes of these pictures if there is a limit.
    """
    pictures = [each.name for each in graph.inputs if each.picture]
    values = [f"--input {each.name}=FILE" for each in graph.inputs if each.name not in pictures[:1]]
    words = [f"cnnc infer {quote(model)}", *["PICTURE"] * bool(pictures), *values]
    limit = _limit(ranked)
    first, *others = (graph.kind_of(each) for each in graph.outputs)
    kinds = {"classes" if limit else first, *others}
    if not kinds <= {"classes", "probabilities"}:
        words.append("--save FOLDER")
    return " ".join(words) + limit


def _limit(ranked: Ranked | None) -> str:
    if ranked is None or ranked.sizes is None or min(ranked.sizes[1]) < SMALLEST:
        return ""
    least, most = (f"{height} × {width}" for height, width in ranked.sizes)
    return f"  # of {least}{f' to {most}' if most != least else ''} pixels, which give one score a class"
