"""Dense blocks whose layers list the outputs of all layers before them."""

import pytest
import torch

import cnnc
from cnnc.recover.structured import structured

LAYERS = 4


def dense(layers=LAYERS, scope="block"):
    """A dense block as torchvision has it: each layer, and the end, concatenates what there is; and the paths."""
    nodes, made, paths = [{"conv": {"name": "stem", "out": 4, "kernel": 1, "from": "x"}}], ["stem"], {}
    for at in range(layers):
        source = made[0] if at == 0 else f"join{at}"
        if at:
            nodes.append({"concat": {"name": source, "from": [*made]}})
            paths[source] = f"{scope}.layer{at}.cat"
        nodes.append({"conv": {"name": f"conv{at}", "out": 2, "kernel": 3, "padding": 1, "from": source}})
        paths[f"conv{at}"] = f"{scope}.layer{at}.conv"
        made.append(f"conv{at}")
    nodes += [{"concat": {"name": "end", "from": made}}, "global_avg_pool"]
    paths["end"] = f"{scope}.cat"
    return {"cnnc": 1, "name": "net", "input": {"x": [3, 8, 8]}, "nodes": nodes}, paths


@pytest.mark.parametrize("named", [True, False])
def test_layers_are_alike_and_the_values_stay(named):
    spec, paths = dense()
    found = structured(spec, paths if named else None)
    assert not found.faults
    joined = [{"conv": {"out": 2, "kernel": 3, "padding": 1}}, {"concat": {"from": ["input", "conv"]}}]
    (block,) = found.spec["blocks"].values()
    assert block["nodes"] == joined
    flat = cnnc.compile(spec).eval()
    keys = found.keys(cnnc.load(spec), flat.state_dict())
    ours = cnnc.compile(found.spec).eval()
    ours.load_state_dict({keys[key]: each for key, each in flat.state_dict().items()})
    if named:
        assert "block.layer3.conv.weight" in ours.state_dict()
    with torch.inference_mode():
        x = torch.randn(2, 3, 8, 8)
        assert torch.equal(ours(x), flat(x))


def test_two_concatenations_with_the_same_start_stay():
    spec, paths = dense(layers=2)
    found = structured(spec, paths)
    assert [len(node.inputs) for node in found.graph.nodes if node.op.name == "concat"] == [2, 3]
