"""What a build writes, and what it refuses before it has made anything."""

import pytest

from cnnc.compiler import load
from cnnc.diagnostics import CnncError
from cnnc.runtime.export import require_targets


def graph_of(nodes, **more):
    return load({"cnnc": 1, "name": "n", "input": {"image": [1, 64, 64]}, "nodes": nodes, **more})


def test_the_size_of_an_onnx_file_is_without_heads_for_training():
    heads = [{"flatten": {"name": "f"}}, {"linear": {"name": "aux", "out": 140_000}}]
    small = [*heads, {"linear": {"name": "fc", "from": "f", "out": 2}}]
    graph = graph_of(small, outputs={"fc": "fc", "aux": {"from": "aux", "only": "train"}})
    assert require_targets(graph, ["onnx", "onnx"], 20) == ("onnx",)
    with pytest.raises(CnncError, match="an ONNX file holds at most 2 GiB"):
        require_targets(graph_of(heads), ["onnx"], 20)
