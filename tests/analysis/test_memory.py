"""Memory: what training keeps against what torch's graph holds, and how it grows with the batch."""

from pathlib import Path

import pytest
import torch

from cnnc.analysis.cost import totals
from cnnc.analysis.memory import memory
from cnnc.compiler import load
from cnnc.targets.torch_module import lower

SPECS = Path(__file__).parents[2] / "specs"


def held(graph, batch):
    """The bytes that a forward pass in training saves for the backward pass, but for parameters."""
    module = lower(graph).train()
    own = {each.untyped_storage().data_ptr() for each in module.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes(), tensor  # held, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(*(torch.randn(batch, *each.type.shape) for each in graph.inputs))
    return sum(size for size, _ in saved.values())


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("lenet", 0.0),
        ("lenet_bn", 0.05),  # the norms' own statistics, of few channels elsewhere
        ("resnet18", 0.01),
        ("googlenet", 0.0),
        ("densenet", 0.01),
        ("zoo/squeezenet1_0", 0.01),
        ("zoo/shufflenet_v2_x1_0", 0.1),  # whose shuffles are copies
    ],
)
def test_training_keeps_what_torch_keeps(name, within):
    graph = load(SPECS / f"{name}.yaml")
    assert memory(graph, 2).kept == pytest.approx(held(graph, 2), rel=within)


def spec(train=None, image=(1, 8, 8)):
    nodes = [{"conv": {"out": 2, "kernel": 3, "bias": False}}, "batch_norm", "relu", "global_avg_pool"]
    found = {"cnnc": 1, "name": "net", "input": {"image": list(image)}, "nodes": nodes}
    return load(found if train is None else {**found, "train": {"data": "mnist", **train}})


def test_what_training_alone_needs_costs_parameters_and_no_macs():
    conv = {"out": 2, "kernel": 3, "from": "image"}
    nodes = [{"conv": {"name": "main", **conv}}, {"conv": {"name": "aux", **conv}}]
    both = {"cnnc": 1, "name": "net", "input": {"image": [1, 8, 8]}, "nodes": nodes}
    outputs = {"main": "main", "aux": {"from": "aux", "only": "train"}}
    alone = totals(load({**both, "nodes": nodes[:1]}))
    assert totals(load({**both, "outputs": outputs})) == alone._replace(params=2 * alone.params)


def test_the_parts():
    found = memory(spec(), batch=3)
    assert found.weights == 4 * (18 + 4 + 4)  # the kernels, the norm's weight and bias, and its statistics
    assert found.gradients == 4 * (18 + 4)
    assert found.optimizer == 0  # plain gradient descent, which `cnnc train` does unless the recipe says more
    assert found.activations == 3 * totals(spec()).activation_bytes == 3 * 4 * (72 + 72)
    assert found.kept == 3 * 4 * (64 + 72 + 72)  # the picture, the conv's output, and the activation's
    assert found.inference == found.weights + found.activations
    assert found.training == found.weights + found.gradients + found.kept


@pytest.mark.parametrize(
    ("train", "numbers"),
    [
        ({"momentum": 0.9}, 1),
        ({"optimizer": "adamw"}, 2),
        ({"optimizer": "rmsprop"}, 1),
        ({"optimizer": "rmsprop", "momentum": 0.9}, 2),
    ],
)
def test_the_recipe_says_what_the_optimizer_remembers(train, numbers):
    assert memory(spec(train)).optimizer == numbers * 4 * 22


def test_a_view_is_kept_once():
    nodes = ["relu", "flatten", {"linear": {"out": 5}}]
    graph = load({"cnnc": 1, "name": "net", "input": {"image": [1, 8, 8]}, "nodes": nodes})
    assert memory(graph).kept == held(graph, 1) == 4 * 64


def test_open_sizes_leave_memory_open():
    found = memory(spec(image=(1, None, 8)))
    assert (found.activations, found.kept, found.inference, found.training) == (None,) * 4
    assert found.weights == 4 * 26
