"""Metadata of a build: the `metadata_props` in the ONNX file, and the manifest next to the files.

Takes a proved graph and the results of a build; returns plain data. Nothing depends on the time or the location of a
build: the same spec, weights and tools give the same record.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from cnnc.analysis.accepted_sizes import Rules, size_rules
from cnnc.analysis.cost import totals
from cnnc.artifacts import contract
from cnnc.artifacts.contract import Contract, InputContract
from cnnc.graph.graph import Graph, Ref
from cnnc.ops.types import TensorType
from cnnc.verification.verify import Agreement
from cnnc.version import __version__

TOOLS = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime")


def metadata(graph: Graph, weights_sha256: str) -> dict[str, str]:
    """Return the `metadata_props` of the graph's ONNX file: its contract, spec, hashes, and the tools used."""
    return {
        contract.CONTRACT: contract_of(graph).to_json(),
        contract.VERSION: __version__,
        contract.SPEC: json.dumps(graph.spec, ensure_ascii=False),  # unsorted: the first output is the prediction
        contract.SPEC_SHA256: spec_hash(graph.spec),
        contract.WEIGHTS_SHA256: weights_sha256,
        contract.TOOLS: json.dumps(tools()),
    }


def contract_of(graph: Graph) -> Contract:
    """Return the contract of a graph without train-only outputs: its preprocessing, and what its outputs are."""
    first = graph.inputs[0]
    picture = first.picture if len(graph.inputs) == 1 else None
    about = InputContract(
        name=first.name,
        shape=first.type.shape,
        mode=picture.mode if picture else None,
        mean=picture.mean if picture else (),
        std=picture.std if picture else (),
        resize=picture.resize if picture else None,
        crop=picture.crop if picture else None,
        interpolation=picture.interpolation if picture else "bilinear",
        scale=picture.scale if picture else 1,
        **({} if first.type.known else _demanded(first.type, size_rules(graph))),
    )
    names = tuple(each.name for each in graph.outputs)
    return Contract(input=about, outputs=names, labels=graph.labels, scores=scores_of(graph, graph.outputs[0].ref))


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
    while (node := graph.node.get(ref.node)) is not None:
        if node.op.gives not in ("input", "reordered input"):
            return node.op.gives
        ref = node.inputs[0]
    return "logits"  # the value is an input


@dataclass(frozen=True, slots=True)
class Record:
    """A build's options: the seed of the weights, or their file, its map and its key, and the opset."""

    seed: int
    weights: str | None
    map: str | None
    opset: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A staged file of a build: its path, its hash, and its size in bytes."""

    path: Path
    sha256: str
    bytes: int


def written(path: Path) -> WrittenFile:
    """Return the record of a file that has just been written."""
    with path.open("rb") as file:
        return WrittenFile(path, file_digest(file, "sha256").hexdigest(), path.stat().st_size)


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
        "tools": tools(),
        "inputs": {each.name: list(each.type.shape) for each in graph.inputs},
        "outputs": {each.name: list(graph.type_of(each.ref).shape) for each in graph.outputs if not each.train_only},
        "totals": {
            "params": sums.params,
            "buffers": sums.buffers,
            "macs": sums.macs,
            "activation_bytes": sums.activation_bytes,
        },
        "files": {each.path.name: {"sha256": each.sha256, "bytes": each.bytes} for each in files},
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
