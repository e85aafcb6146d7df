"""What a build writes, and what it refuses before it has made anything."""

import time

import pytest

import cnnc
from cnnc.compiler import load
from cnnc.diagnostics import CnncError
from cnnc.runtime.export import require_targets
from cnnc.targets.verify import Verification


def graph_of(nodes, **more):
    return load({"cnnc": 1, "name": "n", "input": {"image": [1, 64, 64]}, "nodes": nodes, **more})


def test_the_size_of_an_onnx_file_is_without_heads_for_training():
    heads = [{"flatten": {"name": "f"}}, {"linear": {"name": "aux", "out": 140_000}}]
    small = [*heads, {"linear": {"name": "fc", "from": "f", "out": 2}}]
    graph = graph_of(small, outputs={"fc": "fc", "aux": {"from": "aux", "only": "train"}})
    assert require_targets(graph, ["onnx", "onnx"], 20) == ("onnx",)
    with pytest.raises(CnncError, match="an ONNX file holds at most 2 GiB"):
        require_targets(graph_of(heads), ["onnx"], 20)


def test_pt2_is_written_when_nothing_else_runs_the_module(tmp_path, monkeypatch):
    """torch.export swaps the weights of a module, for all threads: torch's own answer has to be there before."""
    calm = Verification.reference

    def slow(self):
        time.sleep(1.5)
        return calm(self)

    monkeypatch.setattr(Verification, "reference", slow)
    spec = {"cnnc": 1, "name": "n", "input": {"x": [1, 6, 6]}, "nodes": [{"conv": {"out": 2, "kernel": 3}}, "relu"]}
    for _ in range(2):  # the first of a process has imports to wait for
        assert cnnc.build(spec, targets="pt2", out=tmp_path).agreements[0].sensitivity
    built = cnnc.build(spec, targets=["pt2", "onnx"], out=tmp_path)
    assert [each.target for each in built.agreements] == ["pt2", "onnx"]
