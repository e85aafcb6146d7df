"""The spec target: what is written is the network, with all its outputs, and what is changed is refused."""

import pytest

import cnnc
from cnnc.diagnostics import CnncError
from cnnc.recover.compare import difference

NETWORK = {
    "cnnc": 1,
    "name": "headed",
    "params": {"classes": 3, "width": 4},
    "input": {"image": [2, 12, 12]},
    "labels": ["a", "b", "c"],
    "outputs": {"logits": "fc", "aux": {"from": "early", "only": "train", "weight": 0.25}},
    "blocks": {
        "unit": {
            "params": {"out": None},
            "nodes": [
                {"conv": {"name": "conv", "out": "$out", "kernel": 3, "padding": 1, "bias": False}},
                {"batch_norm": {"name": "bn"}},
                {"relu": {}},
            ],
        }
    },
    "nodes": [
        {"unit": {"name": "first", "repeat": 2, "out": "$width"}},
        {"unit": {"name": "last", "out": "$(2 * width)"}},
        "global_avg_pool",
        "flatten",
        {"linear": {"name": "fc", "out": "$classes"}},
        {"global_avg_pool": {"name": "pooled", "from": "first"}},
        "flatten",
        {"linear": {"name": "early", "out": "$classes"}},
    ],
}


def test_the_written_spec_is_the_network_with_its_train_only_outputs(tmp_path):
    graph = cnnc.load(NETWORK, set={"width": 6})
    built = cnnc.build(NETWORK, set={"width": 6}, targets=["spec"], out=tmp_path)
    assert list(built.files) == ["headed.spec.yaml", "headed.safetensors", "manifest.json"]
    path = built.folder / "headed.spec.yaml"
    again = cnnc.load(path)
    assert difference(graph, again, graph.nodes) is None
    assert [node.keys for node in again.nodes if node.cost.params] == [n.keys for n in graph.nodes if n.cost.params]
    assert "repeat: 2" in path.read_text(encoding="utf-8")
    cnnc.compile(path, weights=built.folder / "headed.safetensors")


def test_a_changed_file_is_refused(tmp_path):
    built = cnnc.build(NETWORK, targets=["spec"], out=tmp_path)
    path = built.folder / "headed.spec.yaml"
    cnnc.verify(NETWORK, path)
    text = path.read_text(encoding="utf-8")
    for old, new in (("- relu", "- tanh"), ("linear: {name: fc", "linear: {name: fd"), ("cnnc: 1", "cnnc: 9")):
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(CnncError):
            cnnc.verify(NETWORK, path)
