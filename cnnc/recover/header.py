"""The keys of a spec around its nodes: inputs, outputs, labels, budget, and the training recipe.

Takes a proved graph; returns plain data. Parameters are settled, so nothing here contains an expression.
"""

from collections.abc import Mapping
from typing import Any

from cnnc.graph.graph import Graph, Input, Output, Picture, Ref
from cnnc.ops.types import MODES, TensorType
from cnnc.recover.words import unused

Plain = dict[str, Any]


def before_nodes(graph: Graph) -> Plain:
    """Return the keys up to the inputs."""
    about = {"description": graph.description} if graph.description else {}
    key = "input" if len(graph.inputs) == 1 else "inputs"
    found: Plain = {"cnnc": 1, "name": graph.name, **about, key: {each.name: _input(each) for each in graph.inputs}}
    if graph.labels:
        found["labels"] = [*graph.labels]
    found |= {key: graph.spec[key] for key in ("budget", "train") if graph.spec.get(key)}
    return found


def _input(given: Input) -> Any:
    shape, picture = list(given.type.shape), given.picture
    about = _picture(picture, given.type) if picture else {}
    return {"shape": shape, **about} if about else shape


def _picture(picture: Picture, shape: TensorType) -> Plain:
    """Return the keys of a picture that differ from their defaults."""
    found: Plain = {}
    if picture.mode != MODES.get(shape.channels):
        found["mode"] = picture.mode
    if picture.scale != 1:
        found["scale"] = picture.scale
    if any(picture.mean):
        found["mean"] = list(picture.mean)
    if any(each != 1 for each in picture.std):
        found["std"] = list(picture.std)
    if picture.resize is not None:
        found["resize"] = list(picture.resize) if isinstance(picture.resize, tuple) else picture.resize
    if picture.crop is not None:
        found["crop"] = picture.crop[0] if picture.crop[0] == picture.crop[1] else list(picture.crop)
    if picture.interpolation != "bilinear":
        found["interpolation"] = picture.interpolation
    return found


def outputs(graph: Graph, spelt: Mapping[Ref, str], last: Ref | None) -> Plain:
    """Return the key `outputs`, or nothing if the spec shows its last node alone, under its own name.

    `spelt` are the names of the values. The output of a spec without `outputs` has its node's path as its name, which
    may contain dots; no spec can give such a name.
    """
    shown = graph.outputs
    only = shown[0] if len(shown) == 1 and _is_plain(shown[0]) else None
    if only and only.ref == last and (only.name == spelt[only.ref] == only.ref.node or "." in only.name):
        return {}
    names = [spelt[each.ref] if "." in each.name and _is_plain(each) else each.name for each in shown]
    if all(map(_is_plain, shown)) and names == [spelt[each.ref] for each in shown] and len({*names}) == len(names):
        return {"outputs": names if len(shown) > 1 else names[0]}
    taken = {each.name for each in graph.inputs} | {each.name for each in shown}
    for at, each in enumerate(shown):
        if "." in each.name:
            names[at] = unused(names[at].replace(".", "_"), taken)
            taken.add(names[at])
    return {"outputs": {name: _output(each, spelt[each.ref]) for name, each in zip(names, shown, strict=True)}}


def _is_plain(output: Output) -> bool:
    return output.kind is None and not output.train_only


def _output(output: Output, source: str) -> Any:
    about: Plain = {"as": output.kind} if output.kind else {}
    if output.train_only:
        about["only"] = "train"
    if output.weight is not None:
        about["weight"] = output.weight
    return {"from": source, **about} if about else source
