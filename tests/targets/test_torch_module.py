"""The torch module: keys are spec paths, every scope has a forward of its own, and torch's tools take it."""

import copy
import pickle

import pytest
import torch
from torch.fx import GraphModule

from cnnc.compiler import load
from cnnc.targets.torch_module import lower
from tests.live import live
from tests.networks import forked, open_size, residual


def draw(graph, batch=2):
    return torch.randn(batch, *graph.inputs[0].type.shape, generator=torch.Generator().manual_seed(1))


def test_keys_are_paths_in_the_order_of_use():
    keys = list(lower(residual()).state_dict())
    assert keys[:3] == ["stem.weight", "norm.weight", "norm.bias"]
    assert "layer1.0.conv1.weight" in keys
    assert keys.index("layer1.1.bn1.bias") < keys.index("layer2.0.shortcut.bias") < keys.index("head.weight")
    repeated = ["conv.0.weight", "conv.0.bias", "conv.1.weight", "conv.1.bias"]
    assert list(lower(forked()).state_dict()) == [*repeated, "fork.scale.weight"]


def test_a_scope_is_a_module_with_a_forward_of_its_own():
    module = lower(residual())
    assert isinstance(module.layer1, GraphModule)
    inner = getattr(module.layer2, "0")
    assert type(inner).__name__ == "residual"
    assert "relu + shortcut" in inner.code
    assert "layer1 = self.layer1(norm)" in module.code


def test_variables_are_called_like_the_nodes():
    nodes = [{"conv": {"name": "Stem", "out": 2, "kernel": 1}}, {"relu": {"name": "Rect"}}]
    module = lower(load({"cnnc": 1, "name": "net", "input": {"image": [1, 4, 4]}, "nodes": nodes}))
    assert "Stem = self.Stem(image)" in module.code
    assert "Rect = " in module.code


def test_a_scope_with_several_outputs_gives_a_tuple():
    module = lower(forked())
    a, b = module.get_submodule("fork")(torch.randn(1, 4, 8, 8))
    assert a.shape == b.shape == (1, 2, 8, 8)
    left, aux = module(torch.randn(1, 2, 8, 8))
    assert (left.shape, aux.shape) == ((1, 2, 8, 8), (1, 4, 8, 8))


def test_a_seed_gives_the_same_weights_and_leaves_the_callers_random_state():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, same, other = (lower(residual(), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["stem.weight"], other["stem.weight"])


def test_given_weights_are_held_and_trainable():
    graph = residual()
    weights = lower(graph, seed=3).state_dict()
    module = lower(graph, weights)
    assert module.get_parameter("stem.weight").data_ptr() == weights["stem.weight"].data_ptr()
    assert all(each.requires_grad for each in module.parameters())


def test_weights_must_be_complete():
    weights = lower(residual()).state_dict()
    del weights["stem.weight"]
    with pytest.raises(RuntimeError, match=r"stem\.weight"):
        lower(residual(), weights)


def test_it_trains_in_a_plain_loop():
    graph = residual()
    module = lower(graph)
    x, target = draw(graph, 8), torch.arange(8) % 3
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(module(x), target)
        module.zero_grad()
        loss.backward()
        with torch.no_grad():
            for each in module.parameters():
                each.add_(each.grad, alpha=-0.1)
        losses.append(loss.item())
    assert min(losses[-5:]) < losses[0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_it_can_be_copied_and_pickled(again):
    graph = residual()
    module = live(graph)
    other = again(module)
    assert list(other.state_dict()) == list(module.state_dict())
    assert torch.equal(other(draw(graph)), module(draw(graph)))


def test_thirty_nested_scopes_and_a_long_chain_are_no_trouble():
    blocks: dict[str, object] = {"b0": {"nodes": [{"relu": {"name": "inmost"}}]}}
    for depth in range(1, 30):
        blocks[f"b{depth}"] = {"nodes": ["relu", {f"b{depth - 1}": {"name": "inner"}}]}
    deep = load({"cnnc": 1, "name": "deep", "input": {"x": [1, 2, 2]}, "blocks": blocks, "nodes": ["b29"]})
    x = torch.tensor([[[[-1.0, 2.0], [3.0, -4.0]]]])
    assert torch.equal(lower(deep)(x), x.relu())
    chain = load({"cnnc": 1, "name": "chain", "input": {"x": [1, 2, 2]}, "nodes": [{"relu": {"repeat": 2000}}]})
    assert torch.equal(lower(chain)(x), x.relu())


@pytest.mark.parametrize("name", ["self", "torch", "print", "lambda_", "x"])
def test_an_input_may_have_a_name_that_python_uses(name):
    graph = load({"cnnc": 1, "name": "n", "input": {name: [1, 2, 2]}, "nodes": ["relu"]})
    assert lower(graph)(torch.ones(1, 1, 2, 2)).sum() == 4


def test_open_sizes_run_at_any_size_that_fits():
    module = lower(open_size())
    assert module(torch.zeros(1, 1, 6, 10)).shape == (1, 1, 6, 10)


def test_the_code_of_each_module_is_generated_once(monkeypatch):
    """fx would generate that of inner modules again for each module around them."""
    generate, seen = torch.fx.Graph.python_code, []

    def counted(graph, *given, **more):
        seen.append(graph)
        return generate(graph, *given, **more)

    monkeypatch.setattr(torch.fx.Graph, "python_code", counted)
    modules = list(lower(residual()).modules())
    assert len(seen) == sum(isinstance(each, GraphModule) for each in modules) > 3
