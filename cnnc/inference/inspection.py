"""Describe an ONNX file without running it: the implementation of `cnnc inspect`.

Takes a path and returns an `Inspection`: the contract, preprocessing, labels, hashes, tools and spec that cnnc has
written into the file, and the inputs, outputs, operators and sizes of any ONNX file. Imports neither torch, onnx nor
onnxruntime.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from cnnc.artifacts import contract as keys
from cnnc.artifacts.contract import Contract, InputContract, OutputContract
from cnnc.columns import left, widest
from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.diagnostics.render import as_json, visible
from cnnc.files import onnx_seal
from cnnc.files.onnx_graph import GraphValue, Structure, read_structure
from cnnc.files.onnx_header import ModelFile, read_model, unreadable
from cnnc.inference.integrity import open_model

_SHOWN = 12  # digits of a hash, and items of a list


@dataclass(frozen=True)
class Inspection:
    """The description of a file. `contract` and `spec` are None for a file that cnnc did not make.

    `hashes` maps `file` and `spec` to whether the hash holds, or to None without a hash. `files` maps the names of the
    file and of its external data to their sizes in bytes. `faults` are errors for which `infer` refuses the file.
    """

    path: str
    files: Mapping[str, int]
    structure: Structure
    contract: Contract | None
    spec: Mapping[str, Any] | None
    hashes: Mapping[str, bool | None]
    metadata: Mapping[str, str]
    tools: Mapping[str, str]
    faults: tuple[Diagnostic, ...]

    @property
    def operators(self) -> dict[str, int]:
        """The number of nodes of each operator, the most frequent first."""
        return dict(Counter(node.op for node in self.structure.nodes).most_common())

    @property
    def precision(self) -> dict[str, Any] | None:
        """The metadata of a file in int8 or fp16: its precision, calibration, and layers in float32."""
        try:
            about = json.loads(self.metadata[keys.PRECISION])
        except (LookupError, ValueError, RecursionError):
            return None
        return about if isinstance(about, dict) else None

    def as_json(self) -> dict[str, Any]:
        """The object that `cnnc inspect --format json` prints; its keys are a stable interface for other programs."""
        structure = self.structure
        return {
            "model": self.path,
            "files": dict(self.files),
            "producer": structure.producer,
            "ir": structure.ir,
            "opsets": structure.opsets,
            "inputs": [asdict(each) for each in structure.inputs],
            "outputs": [asdict(each) for each in structure.outputs],
            "operators": self.operators,
            "weights": {"elements": dict(structure.elements), "bytes": structure.bytes},
            "precision": self.precision,
            "contract": json.loads(self.contract.to_json()) if self.contract else None,
            "hashes": dict(self.hashes),
            "spec_sha256": self.metadata.get(keys.SPEC_SHA256),
            "weights_sha256": self.metadata.get(keys.WEIGHTS_SHA256),
            "tools": dict(self.tools),
            "spec": self.spec,
            "diagnostics": [as_json(each) for each in self.faults],
        }

    def as_text(self) -> str:
        """A line for each fact, with its name."""
        rows = [(name, visible(text)) for name, text in self._rows()]
        width = widest(name for name, _ in rows)
        lines = [f"{left(name, width)}  {text}" for name, text in rows]
        return "\n".join([visible(self.path), *lines])

    def _rows(self) -> Iterator[tuple[str, str]]:
        structure, about = self.structure, self.contract
        yield from (("size", f"{name}: {size:,} bytes") for name, size in self.files.items())
        opsets = ", ".join(f"{domain or 'ONNX'} {version}" for domain, version in structure.opsets.items())
        yield "format", f"opset {opsets}; IR {structure.ir}; written by {structure.producer or 'an unknown tool'}"
        for each in structure.inputs:
            yield "input", _port(each)
            for source in about.inputs if about else ():
                if source.name == each.name:
                    yield from (("", line) for line in _preprocessing(source))
        held = {each.name: _held(each) for each in about.described} if about else {}
        for each in structure.outputs:
            yield "output", _port(each) + (f" ({held[each.name]})" if held.get(each.name) else "")
        if about:
            yield "labels", _some(about.labels, len(about.labels)) if about.labels else "none"
        yield "nodes", _some([f"{count} {op}" for op, count in self.operators.items()], len(structure.nodes))
        kinds = " and ".join(f"{count:,} {kind}" for kind, count in structure.elements.items())
        yield "weights", f"{kinds or 'none'}: {structure.bytes:,} bytes{self._hash_of(keys.WEIGHTS_SHA256)}"
        if self.precision:
            yield "precision", _precision(self.precision)
        if self.spec is not None:
            damaged = "" if self.hashes["spec"] else ", which is not its hash"
            yield "spec", f"{self.spec.get('name', 'unnamed')}{self._hash_of(keys.SPEC_SHA256)}{damaged}"
        if self.tools:
            yield "built by", ", ".join(f"{name} {version}" for name, version in self.tools.items())
        yield "hash", self._state()
        if about is None:
            yield "contract", "none: cnnc did not make this file"

    def _hash_of(self, key: str) -> str:
        return f", SHA-256 {self.metadata[key][:_SHOWN]}…" if key in self.metadata else ""

    def _state(self) -> str:
        holds = self.hashes["file"]
        if holds is None:
            return "none"
        return "holds: the file is as cnnc wrote it" if holds else "does not hold: the file has changed"


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Describe the ONNX file at `path`; raises CnncError (E501) if it cannot be read.

    A file that was damaged or rewritten but can still be read has `faults`.
    """
    file = read_model(path)
    faults = _faults(file.path)
    try:
        return _described(file, faults)
    except CnncError:
        if faults:  # damage is the likely cause
            raise CnncError(faults) from None
        raise


def _faults(path: str) -> tuple[Diagnostic, ...]:
    """Return the errors for which `infer` refuses the file because of its hash."""
    try:
        open_model(path).require_intact()
    except CnncError as error:
        return tuple(error.diagnostics)
    return ()


def _described(file: ModelFile, faults: tuple[Diagnostic, ...]) -> Inspection:
    text = file.metadata.get(keys.CONTRACT)
    spec = _data(file, keys.SPEC)
    sealed = onnx_seal.is_sealed(file.head) or onnx_seal.KEY in file.metadata
    return Inspection(
        path=file.path,
        files=_files(file),
        structure=read_structure(file.path),
        contract=None if text is None else Contract.from_json(text),
        spec=spec,
        hashes={"file": not faults if sealed else None, "spec": None if spec is None else _is_spec(spec, file)},
        metadata=file.metadata,
        tools={str(name): str(version) for name, version in (_data(file, keys.TOOLS) or {}).items()},
        faults=faults,
    )


def _files(file: ModelFile) -> dict[str, int]:
    """Return the sizes of the file and of the external data that its metadata names, if that is there."""
    found = {os.path.basename(file.path): os.path.getsize(file.path)}
    name = os.path.basename(str((_data(file, onnx_seal.DATA) or {}).get("name", "")))
    beside = os.path.join(os.path.dirname(file.path), name)
    if name and os.path.isfile(beside):
        found[name] = os.path.getsize(beside)
    return found


def _data(file: ModelFile, key: str) -> dict[str, Any] | None:
    """Return the JSON object in an entry of the metadata; None without the entry. Raises E501 for another value."""
    if key not in file.metadata:
        return None
    try:
        found = json.loads(file.metadata[key])
    except (ValueError, RecursionError) as error:
        raise unreadable(file.path, f"its {key} metadata is malformed") from error
    if not isinstance(found, dict):
        raise unreadable(file.path, f"its {key} metadata is not a JSON object")
    return found


def _is_spec(spec: Mapping[str, Any], file: ModelFile) -> bool:
    return sha256(keys.canonical(spec).encode()).hexdigest() == file.metadata.get(keys.SPEC_SHA256)


def require_spec(found: Inspection) -> Mapping[str, Any]:
    """Return the spec in the file; raises CnncError (E501) if there is none."""
    if found.spec is None:
        raise CnncError.of(
            Code.MODEL_UNREADABLE,
            f"the model {found.path} contains no spec",
            help="only the .onnx files of `cnnc build` contain their spec",
        )
    return found.spec


def _port(value: GraphValue) -> str:
    return f"{value.name}: {value.type} {' × '.join('?' if side is None else str(side) for side in value.shape)}"


_MODES = {"rgb": "an RGB", "bgr": "a BGR", "grey": "a grey"}


def _preprocessing(about: InputContract) -> Iterator[str]:
    """Yield the steps from a picture to the input, in words."""
    if about.mode is None:
        yield "not a picture"
        return
    resize = _pair(about.resize) if isinstance(about.resize, tuple) else ""
    if isinstance(about.resize, int):
        resize = f"shorter side to {about.resize}"
    elif not resize and about.crop is None and None not in about.shape:
        resize = _pair(about.shape[1:])
    crop = f", {_pair(about.crop)} cropped from the centre" if about.crop else ""
    yield f"{_MODES[about.mode]} picture{f', resized: {resize} ({about.interpolation})' if resize else ''}{crop}"
    mean = f", minus the mean {_listed(about.mean)}" if any(about.mean) else ""
    std = f", divided by {_listed(about.std)}" if any(each != 1 for each in about.std) else ""
    yield f"values 0..{about.scale}{mean}{std}{'; the file computes these from uint8 pixels' if about.uint8 else ''}"


def _precision(about: Mapping[str, Any]) -> str:
    """Return the precision in words; the metadata may be that of a newer cnnc."""
    by, kept = about.get("calibration"), about.get("in_float32")
    calibrated = f", calibrated with {by.get('pictures')} pictures ({by.get('method')})" if isinstance(by, dict) else ""
    names = [str(each) for each in kept] if isinstance(kept, list) else []
    return f"{about.get('precision')}{calibrated}{f'; in float32: {_some(names, len(names))}' if names else ''}"


def _held(about: OutputContract) -> str:
    """Return what an output holds, and the kind of its scores if it has classes."""
    has_classes = about.kind in (None, "classes", "probabilities", "segmentation")
    scores = about.scores.replace("_", " ") if about.scores and has_classes else ""
    return ", ".join(filter(None, (about.kind, scores)))


def _pair(sides: tuple[int | None, ...]) -> str:
    return " × ".join("any" if side is None else str(side) for side in sides)


def _listed(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


def _some(items: "list[str] | tuple[str, ...]", count: int) -> str:
    """Return the count and the first items."""
    return f"{count:,}: {', '.join(items[:_SHOWN])}{', …' if len(items) > _SHOWN else ''}"
