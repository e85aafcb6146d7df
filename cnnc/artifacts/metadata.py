"""Metadata of a build: the `metadata_props` in the ONNX file, and the manifest next to the files.

Takes a proved graph and the results of a build; returns plain data. Nothing depends on the time or the location of a
build: the same spec, weights and tools give the same record.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from cnnc.analysis.accepted_sizes import Rules, size_rules
from cnnc.analysis.cost import totals
from cnnc.analysis.receptive_field import receptive_fields
from cnnc.artifacts import contract
from cnnc.artifacts.contract import Contract, InputContract, OutputContract
from cnnc.graph.graph import Graph, Input, Node, Output, Picture, Ref
from cnnc.ops.types import CHANNELS, MODES, TensorType
from cnnc.verification.verify import Agreement
from cnnc.version import __version__

TOOLS = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime")


def metadata(graph: Graph, weights_sha256: str, *, uint8: bool = False) -> dict[str, str]:
    """Return the `metadata_props` of the graph's ONNX file: its contract, spec, hashes, and the tools used."""
    about = contract_of(graph)
    return {
        contract.CONTRACT: replace(about, input=replace(about.input, uint8=uint8)).to_json(),
        contract.VERSION: __version__,
        contract.SPEC: json.dumps(graph.spec, ensure_ascii=False),  # unsorted: the first output is the prediction
        contract.SPEC_SHA256: spec_hash(graph.spec),
        contract.WEIGHTS_SHA256: weights_sha256,
        contract.TOOLS: json.dumps(tools()),
    }


def contract_of(graph: Graph) -> Contract:
    """Return the contract of a graph without train-only outputs: its preprocessing, and what its outputs are."""
    first = next((each for each in graph.inputs if each.picture), graph.inputs[0])
    return Contract(
        input=_of_input(graph, first),
        outputs=tuple(each.name for each in graph.outputs),
        labels=graph.labels,
        scores=scores_of(graph, graph.outputs[0].ref),
        more_inputs=tuple(_of_input(graph, each) for each in graph.inputs if each is not first),
        details=tuple(_of_output(graph, each, first) for each in graph.outputs),
    )


def _of_input(graph: Graph, given: Input) -> InputContract:
    picture = given.picture
    return InputContract(
        name=given.name,
        shape=given.type.shape,
        mode=picture.mode if picture else None,
        mean=picture.mean if picture else (),
        std=picture.std if picture else (),
        resize=picture.resize if picture else None,
        crop=picture.crop if picture else None,
        interpolation=picture.interpolation if picture else "bilinear",
        scale=picture.scale if picture else 1,
        **({} if given.type.known else _demanded(given.type, size_rules(graph))),
    )


def _of_output(graph: Graph, output: Output, source: Input) -> OutputContract:
    """Return what an output holds. Without `as`, the kind of one with an open size depends on the size."""
    shape, kind = graph.type_of(output.ref), graph.kind_of(output)
    return OutputContract(
        name=output.name,
        kind=kind if output.kind or shape.known else None,
        scores=scores_of(graph, output.ref),
        stride=stride_of(graph, output.ref, source) if kind == "segmentation" else None,
        **(_pixels(graph, output.ref, source.picture) if kind == "picture" else {}),
    )


def stride_of(graph: Graph, ref: Ref, source: Input) -> tuple[float, float] | None:
    """Return the pixels of an input between two pixels of a value, down and across; None if they are not known."""
    field = receptive_fields(graph, source.name).get(ref.node)
    if field is None or field.height.stride is None or field.width.stride is None:
        return None
    return float(field.height.stride), float(field.width.stride)


def _pixels(graph: Graph, ref: Ref, source: Picture | None) -> dict[str, Any]:
    """Return the fields for a picture as an output: its mode, and the range of its values.

    A tanh gives -1..1 and a sigmoid 0..1. Otherwise the values are normalised as those of the picture that goes in, if
    both have as many channels, or else in 0..1.
    """
    channels = graph.type_of(ref).channels
    mode = "bgr" if source and source.mode == "bgr" and channels == 3 else MODES[channels]
    last = _source(graph, ref)
    if last and (last.op.name == "tanh" or getattr(last.op, "kind", None) == "tanh"):  # `activation: {kind: tanh}`
        return {"mode": mode, "mean": (0.5,) * channels, "std": (0.5,) * channels}
    if source is None or CHANNELS[source.mode] != channels or scores_of(graph, ref) == "probabilities":
        return {"mode": mode}
    return {"mode": mode, "mean": source.mean, "std": source.std, "scale": source.scale}


def _demanded(type: TensorType, rules: Rules) -> dict[str, Any]:
    """Return a contract's fields for open heights and widths; empty if several inputs need different sizes."""
    if rules.examples:
        return {}
    tall, wide = rules.by_side
    height, width = (size or rule.start for size, rule in zip(type.space, rules.by_side, strict=True))
    divisors, remainders, others = (
        (tall.divisor, wide.divisor),
        (tall.remainders, wide.remainders),
        (tall.others, wide.others),
    )
    return {
        "smallest": (height, width),
        "divisor": divisors[0] if divisors[0] == divisors[1] else divisors,
        "remainders": None if remainders == ((0,), (0,)) else remainders,
        "others": others if any(others) else None,
        "either": rules.either,
    }


def scores_of(graph: Graph, ref: Ref) -> str:
    """Return the kind of scores of a value, one of `contract.SCORES`, by the op that computes it."""
    node = _source(graph, ref)
    return node.op.gives if node else "logits"  # without a node, the value is an input


def _source(graph: Graph, ref: Ref) -> Node | None:
    """Return the node that computes a value, before nodes that only pass on or reorder its elements."""
    while (node := graph.node.get(ref.node)) is not None:
        if node.op.gives not in ("input", "reordered input"):
            return node
        ref = node.inputs[0]
    return None


@dataclass(frozen=True, slots=True)
class Record:
    """A build's options: the seed of the weights, or their file, its map and its key, the opset, the input's type."""

    seed: int
    weights: str | None
    map: str | None
    opset: int
    key: str | None = None
    uint8: bool = False


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A staged file of a build: its path, its hash, its size in bytes, and its name in the folder of the build."""

    path: Path
    sha256: str
    bytes: int
    name: str


def written(path: Path, stage: Path | None = None) -> WrittenFile:
    """Return the record of a file that has just been written, directly in the folder `stage` or deeper."""
    name = path.name if stage is None else path.relative_to(stage).as_posix()
    with path.open("rb") as file:
        return WrittenFile(path, file_digest(file, "sha256").hexdigest(), path.stat().st_size, name)


def manifest(
    graph: Graph, record: Record, weights_sha256: str, files: Iterable[WrittenFile], agreements: Iterable[Agreement]
) -> dict[str, Any]:
    """Return the record of a build, with every file's hash and every target's distance from torch."""
    sums = totals(graph)
    return {
        "name": graph.name,
        "spec_sha256": spec_hash(graph.spec),
        "weights": record.weights,
        "map": record.map,
        "key": record.key,
        "weights_sha256": weights_sha256,
        "seed": record.seed if record.weights is None else None,
        "opset": record.opset,
        "uint8": record.uint8,
        "tools": tools(),
        "inputs": {each.name: list(each.type.shape) for each in graph.inputs},
        "outputs": {each.name: list(graph.type_of(each.ref).shape) for each in graph.outputs if not each.train_only},
        "totals": {
            "params": sums.params,
            "buffers": sums.buffers,
            "macs": sums.macs,
            "activation_bytes": sums.activation_bytes,
        },
        "files": {each.name: {"sha256": each.sha256, "bytes": each.bytes} for each in files},
        "verification": {
            each.target: {
                "largest_absolute": each.largest_absolute,
                "largest_relative": each.largest_relative,
                "sensitivity": each.sensitivity,
                "own_sensitivity": each.own_sensitivity,
            }
            for each in agreements
        },
        "spec": graph.spec,
    }


def tools() -> dict[str, str]:
    """Return the versions of the tools that a build uses."""
    found = {name: next(iter(distributions(name=name)), None) for name in TOOLS}
    return {"cnnc": __version__, **{name: each.version for name, each in found.items() if each is not None}}


def spec_hash(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resolved spec."""
    return sha256(contract.canonical(spec).encode()).hexdigest()
