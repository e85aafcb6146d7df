"""The Triton target: a model repository for NVIDIA's Triton Inference Server, with the ONNX model.

Takes a graph and writes a folder, which `tritonserver --model-repository` takes:

    NAME/config.pbtxt    names, types and shapes of inputs and outputs, dynamic batching
    NAME/labels.txt      a class name per line, if the network has labels
    NAME/1/model.onnx    the model, version 1

`config.pbtxt` is a `ModelConfig` in protobuf's text format, whose schema is
https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics.render import visible

if TYPE_CHECKING:
    from cnnc.graph.graph import Graph, Input

MODEL, LABELS, CONFIG = "model.onnx", "labels.txt", "config.pbtxt"
LARGEST_BATCH = 64


def model_in(repository: Path) -> Path:
    """Return the path of the model in a repository that `write_around` has written, or in an empty one."""
    return next(iter(sorted(repository.glob(f"*/1/{MODEL}"))), repository / "1" / MODEL)


def texts(graph: "Graph", *, uint8: bool = False) -> dict[str, str]:
    """Return the contents of the files beside the model, by name; `uint8` is as in `cnnc build`."""
    found = {CONFIG: "\n".join(_config(graph, uint8)) + "\n"}
    if graph.labels and graph.labelled:
        found[LABELS] = "".join(f"{visible(label)}\n" for label in graph.labels)
    return found


def _config(graph: "Graph", uint8: bool) -> Iterator[str]:
    labelled = graph.labelled[0] if graph.labels and graph.labelled else None
    yield f"name: {_quoted(graph.name)}"
    yield 'backend: "onnxruntime"'
    yield f"max_batch_size: {LARGEST_BATCH}"
    yield from (_port("input", each.name, *_taken(each, uint8)) for each in graph.inputs)
    for each in graph.outputs:
        labels = f" label_filename: {_quoted(LABELS)}" if each is labelled else ""
        yield _port("output", each.name, "TYPE_FP32", graph.type_of(each.ref).shape, labels)
    yield "dynamic_batching { }"


def _taken(each: "Input", uint8: bool) -> tuple[str, Sequence[int | None], str]:
    """Return the type, the shape and the layout of an input."""
    shape = each.type.shape
    if uint8:
        return "TYPE_UINT8", (*shape[1:], shape[0]), " format: FORMAT_NHWC"
    return "TYPE_FP32", shape, " format: FORMAT_NCHW" if each.picture else ""


def _port(kind: str, name: str, type: str, shape: Sequence[int | None], more: str) -> str:
    sides = ", ".join("-1" if side is None else str(side) for side in shape)
    return f"{kind} {{ name: {_quoted(name)} data_type: {type} dims: [ {sides} ]{more} }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
