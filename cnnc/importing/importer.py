"""Import an ONNX file: read it, make it a spec, prove the spec, and write it with its weights.

`read` is the way from a file to an `Imported`; `write` puts SPEC.yaml and SPEC.safetensors beside each other, both or
neither. Preprocessing, labels and kinds of outputs come from the contract of a file of cnnc, or from `Described`.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.artifacts.contract import Contract, InputContract
from cnnc.compiler import check, load
from cnnc.diagnostics import CnncError, Code
from cnnc.files.weights_stamp import write_stamped
from cnnc.files.write import place_of, reported, stage_file, staging
from cnnc.importing.flat_spec import Imported, flat_spec, with_outputs, with_preprocessing
from cnnc.importing.names import clean
from cnnc.importing.onnx_file import OnnxFile, open_onnx, refused, require_ports
from cnnc.importing.translate import translate
from cnnc.recover.classes import parametrized
from cnnc.recover.structured import structured

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SHORTER = 0.7  # how much shorter blocks must make a spec, to be worth the names of its nodes


@dataclass(frozen=True)
class Described:
    """What the user says about a file: the preprocessing of its picture, labels, and shapes of its inputs.

    `sizes` are shapes without the batch by the input's name; the name may be empty if there is one input.
    """

    picture: Mapping[str, Any] = field(default_factory=dict)
    labels: Sequence[str] = ()
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    name: str | None = None


def read(
    path: str | os.PathLike[str],
    described: Described | None = None,
    *,
    allow_external: bool = False,
    traced: bool = False,
) -> Imported:
    """Return the flat spec of the ONNX file at `path`, and its weights; nothing has been compared yet.

    `traced`: the file is of `torch_trace`, so its initializers are tensors of the module, none shared by accident.
    Raises CnncError: E501 if it is no ONNX model, E411 for all that cannot be imported.
    """
    about = described or Described()
    file = open_onnx(path, allow_external=allow_external)
    sizes = _sizes(file, about.sizes)
    require_ports(file, sizes)
    imported = flat_spec(translate(file, sizes, traced=traced), _name(file, about), traced=traced)
    spec = _described(file, imported, about)
    checked = check(spec)
    if not checked.ok:
        raise CnncError(
            replace(each, message=f"the spec of {path} is not valid: {each.message}") for each in checked.diagnostics
        )
    return replace(imported, spec=spec)


def with_blocks(imported: Imported) -> Imported:
    """Return the same network with blocks, groups and repetition, and its weights under the new keys."""
    before = load(imported.spec)
    found = structured(imported.spec, imported.paths, classes=True)
    if sum("." in path for path in imported.paths.values()) * 4 <= len(before.nodes):  # the paths describe no blocks
        unnamed = structured(imported.spec, classes=True)
        found = unnamed if len(json.dumps(unnamed.spec)) < SHORTER * len(json.dumps(found.spec)) else found
    keys = found.keys(before, imported.weights)
    return replace(
        imported,
        spec=found.spec,
        weights={keys[key]: array for key, array in imported.weights.items()},
        values={_moved(name, found.paths): value for name, value in imported.values.items()},
        paths={},
    )


def as_list(imported: Imported) -> Imported:
    """Return the same network as a list of nodes, with the number of classes as a parameter, if it is evident."""
    return replace(imported, spec=parametrized(imported.spec, load(imported.spec)))


def _moved(name: str, paths: Mapping[str, str]) -> str:
    """Return a value's name (`node` or `split.0`) with the node's new path."""
    if name in paths:
        return paths[name]
    node, _, port = name.rpartition(".")
    return f"{paths[node]}.{port}"


def _name(file: OnnxFile, about: Described) -> str:
    return about.name or clean(file.path.stem)


def _sizes(file: OnnxFile, given: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """Return the given shapes by input; raises E411 for one that does not fit."""
    shapes = {each.name: each.shape for each in file.inputs}
    found = {}
    for name, size in given.items():
        target = name or next(iter(shapes), "")
        own = shapes.get(target)
        if own is None or (not name and len(shapes) > 1):
            raise refused(file.path, f"it has the inputs {', '.join(shapes)}", "write `--input-size NAME=3,224,224`")
        if len(size) != len(own) - 1 or any(b not in (None, a) for a, b in zip(size, own[1:], strict=True)):
            shown = ["?" if each is None else each for each in own[1:]]
            raise refused(file.path, f"--input-size {list(size)} does not fit the shape of {target!r}, {shown}")
        found[target] = size
    return found


def _described(file: OnnxFile, imported: Imported, about: Described) -> dict[str, Any]:
    """Return the spec with its pictures, its kinds of outputs and its labels."""
    contract = file.contract
    pictures = _pictures(contract, imported) if contract else {}
    if about.picture:
        first = next(iter(imported.inputs.values()))
        pictures[first] = {**pictures.get(first, {}), **about.picture}
    spec = with_preprocessing(imported.spec, pictures)
    kinds = {}
    for each in contract.details if contract else ():
        if each.kind is not None and each.name in imported.outputs:
            kinds[imported.outputs[each.name]] = each.kind
    labels = about.labels or (contract.labels if contract else None)
    plain = with_outputs(spec, {}, labels)
    return with_outputs(plain, _unusual(plain, kinds), None)


def _unusual(spec: dict[str, Any], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of outputs that differ from those that their shapes have without `as`."""
    graph = check({name: each for name, each in spec.items() if name != "labels"}).graph
    if graph is None:
        return {}
    return {
        each.name: kinds[each.name]
        for each in graph.outputs
        if kinds.get(each.name, graph.kind_of(each)) != graph.kind_of(each)
    }


def _pictures(contract: Contract, imported: Imported) -> dict[str, dict[str, Any]]:
    return {
        imported.inputs[each.name]: _picture(each)
        for each in contract.inputs
        if each.mode is not None and each.name in imported.inputs
    }


def _picture(given: InputContract) -> dict[str, Any]:
    """Return the fields of a picture that differ from those of an input without any."""
    usual = {1: "grey", 3: "rgb"}[int(given.shape[0] or 0)]
    fields: dict[str, Any] = {
        "mode": None if given.mode == usual else given.mode,
        "resize": None if given.resize is None else given.resize if isinstance(given.resize, int) else [*given.resize],
        "interpolation": None if given.interpolation == "bilinear" else given.interpolation,
        "crop": None if given.crop is None else [*given.crop],
        "scale": None if given.scale == 1 else given.scale,
        "mean": [*given.mean] or None,
        "std": [*given.std] or None,
    }
    return {name: each for name, each in fields.items() if each is not None}


def write(imported: Imported, text: str, spec: Path, *, map: str = "", overwrite: bool = False) -> Path:
    """Write the text of the spec, its weights and a `map`, if any, beside it, all or none; returns the weights' path.

    Raises E405 if one of them exists already, unless they may be overwritten, or cannot be written.
    """
    weights = spec.with_suffix(".safetensors")
    texts = {**({map_of(spec): map} if map else {}), spec: text}
    require_new((weights, map_of(spec), spec), overwrite=overwrite)
    with staging(spec.parent) as stage:
        stage_file(
            stage / weights.name, lambda file: write_stamped(file, imported.weights, imported.spec.get("labels"))
        )
        for path, content in texts.items():
            stage_file(stage / path.name, content.encode())
        with reported(spec):
            _place(stage, (weights, map_of(spec), spec))
    return weights


def map_of(spec: Path) -> Path:
    """Return the path of the map from the keys of a spec to those of the network that it was imported from."""
    return spec.with_suffix(".map.yaml")


def require_new(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Raise E405 if one of the files exists already, unless they may be overwritten; a folder never is."""
    for path in paths:
        if os.path.lexists(path) and (os.path.isdir(path) or not overwrite):
            message = f"cannot write {path}: {'it is a folder' if os.path.isdir(path) else 'it exists already'}"
            help = "choose another name with -o, or replace the spec and its weights with --overwrite"
            raise CnncError.of(Code.NOT_WRITTEN, message, help=help)


def _place(stage: Path, paths: Sequence[Path]) -> None:
    """Move staged files to their places, and remove the others; if one cannot be moved, all are as they were."""
    places = {path: place_of(path) for path in paths}
    kept: dict[Path, Path] = {}
    try:
        for path, place in places.items():
            if os.path.exists(place):
                kept[path] = stage / f"old-{path.name}"
                shutil.copy2(place, kept[path])
        for path, place in places.items():
            if os.path.exists(stage / path.name):
                (stage / path.name).replace(place)
            else:
                place.unlink(missing_ok=True)
    except BaseException:
        for path, place in places.items():
            if path in kept:
                kept[path].replace(place)
            else:
                place.unlink(missing_ok=True)
        raise
