"""Weights matched by running: equal tensors in another order, parallel branches, and what computes something else."""

import json
import re
from functools import cache
from shutil import copytree

import numpy as np
import pytest
import torch
from onnx import helper
from safetensors.torch import save_file
from torch import nn

import cnnc
from cnnc.diagnostics import CnncError
from cnnc.targets.torch_module import lower, shapes
from cnnc.weights.layers import layers
from cnnc.weights.proposal import propose
from tests.by_hand import transformers
from tests.by_hand.compare import resized
from tests.command import run_command
from tests.onnx_files import network_of
from tests.thorough import thorough

CONV = {"kernel": 3, "padding": 1, "bias": False}


def conv(name, **more):
    return [{"conv": {"name": name, "out": 8, **CONV, **more}}, {"batch_norm": {"name": f"{name}n"}}]


SPEC = {
    "cnnc": 1,
    "name": "net",
    "input": {"image": [3, 10, 10]},
    "nodes": [
        *conv("stem"),
        {"relu": {"name": "s"}},
        *conv("a"),
        {"relu": {"name": "x"}},
        *conv("b", **{"from": "s"}),
        {"add": {"name": "sum", "from": ["x", "bn"]}},
        *conv("c"),
        *conv("d", **{"from": "sum"}),
        {"mul": {"from": ["cn", "dn"]}},
        "global_avg_pool",
        "flatten",
        {"linear": {"name": "q", "out": 8}},
        {"linear": {"name": "k", "from": "flatten", "out": 8}},
        {"sub": {"from": ["q", "k"]}},
        {"linear": {"name": "fc", "out": 4}},
    ],
}


class Swapped(nn.Module):
    """The same network, whose equal layers are registered in an order in which they do not run."""

    def __init__(self, *, stride=1, slope=0.0):
        super().__init__()
        for name in ("four", "one", "three", "two"):
            setattr(self, f"{name}_conv", nn.Conv2d(8, 8, 3, padding=1, bias=False, stride=stride))
        for name in ("three", "zero", "one", "four", "two"):
            setattr(self, f"{name}_norm", nn.BatchNorm2d(8))
        self.zero_conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.last, self.right, self.left = nn.Linear(8, 4), nn.Linear(8, 8), nn.Linear(8, 8)
        self.slope = slope

    def part(self, name, x):
        return getattr(self, f"{name}_norm")(getattr(self, f"{name}_conv")(x))

    def forward(self, x):
        x = torch.nn.functional.leaky_relu_(self.part("zero", x), self.slope)
        x = torch.relu(self.part("one", x)) + self.part("two", x)
        x = (self.part("three", x) * self.part("four", x)).mean((2, 3))
        return self.last(self.left(x) - self.right(x))


RIGHT = {
    **{"stem": "zero_conv", "stemn": "zero_norm", "a": "one_conv", "an": "one_norm", "b": "two_conv", "bn": "two_norm"},
    **{"q": "left", "k": "right", "fc": "last"},
}
EITHER = [{"c": "three", "d": "four"}, {"c": "four", "d": "three"}]  # factors of a product


def trained(module):
    """Give a module statistics, and weights that no two layers share."""
    torch.manual_seed(0)
    for each in module.parameters():
        each.data += 0.1 * torch.randn(each.shape)
    for _ in range(3):
        module(torch.randn(8, 3, 10, 10))
    return module.eval()


@pytest.fixture
def graph():
    return cnnc.load(SPEC)


def pairs(found):
    return {key.rpartition(".")[0]: name.rpartition(".")[0] for key, name in found.map.items()}


def require_right(found):
    either = [{**each, **{f"{ours}n": f"{name}_norm" for ours, name in each.items()}} for each in EITHER]
    either = [{ours: name if ours.endswith("n") else f"{name}_conv" for ours, name in each.items()} for each in either]
    assert pairs(found) in [{**RIGHT, **each} for each in either]


def require_same(graph, found, module):
    ours = lower(graph, found.weights).eval()
    pictures = torch.randn(4, 3, 10, 10)
    torch.testing.assert_close(ours(pictures), module(pictures), rtol=1e-4, atol=1e-5)
    assert found.difference < 1e-5


def test_order_of_keys_and_shapes_alone_would_mislead(graph):
    module = Swapped()
    theirs = layers({key: tuple(each.shape) for key, each in module.state_dict().items()})
    found = propose(graph, shapes(graph), theirs, ordered=True, by_order=True)
    assert pairs(found).items() != RIGHT.items()


def test_equal_tensors_of_a_module_are_matched_as_they_run(graph):
    module = trained(Swapped())
    before = {key: each.clone() for key, each in module.state_dict().items()}
    found = cnnc.match_by_running(graph, module)
    require_right(found)
    require_same(graph, found, module)
    assert all(each.equal(before[key]) for key, each in module.state_dict().items()), "it is the caller's"
    assert not module.training


def test_a_fresh_module_is_matched_although_its_norms_are_all_alike(graph):
    require_right(cnnc.match_by_running(graph, Swapped()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A trained module and the folder of its ONNX file, which torch takes seconds for; keys are those of the module."""

    @cache
    def write(batch):
        module, folder = trained(Swapped()), tmp_path_factory.mktemp("exported")
        inputs = (torch.randn(batch, 3, 10, 10),)
        torch.onnx.export(module, inputs, folder / "theirs.onnx", dynamo=True, optimize=False, verbose=False)
        return module, folder

    return write


@pytest.fixture
def original(exported, tmp_path):
    """Writes the file of a trained module, with batch norms, and gives both."""

    def write(batch=1):
        module, folder = exported(batch)
        copytree(folder, tmp_path, dirs_exist_ok=True)
        return module, tmp_path / "theirs.onnx"

    return write


@pytest.mark.parametrize("batch", [1, pytest.param(3, marks=thorough)])
def test_an_onnx_file_is_matched_as_it_runs(graph, original, batch):
    module, path = original(batch)
    found = cnnc.match_by_running(graph, path)
    require_right(found)
    require_same(graph, found, module)
    # the file has no counts of batches, which begin anew
    assert {int(value) for key, value in found.weights.items() if key.endswith("num_batches_tracked")} == {0}


class Doubled(Swapped):
    """The same network, with a second output that is not that of the graph."""

    def forward(self, x):
        features = []
        hook = self.left.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        scores = super().forward(x)
        hook.remove()
        return scores, 2 * features[0]


def test_every_output_must_agree():
    graph = cnnc.load({**SPEC, "outputs": ["fc", "flatten"]})
    with pytest.raises(CnncError, match="all layers have counterparts, but the outputs differ"):
        cnnc.match_by_running(graph, trained(Doubled()))


def test_a_checkpoint_is_matched_against_an_onnx_file(original, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(SPEC))
    module, _ = original()
    state = {f"other.{key.replace('_', '.')}": each for key, each in module.state_dict().items()}
    save_file({key: each for key, each in state.items() if each.ndim}, "theirs.safetensors")
    done = run_command("weights", "net.json", "theirs.safetensors", "--against", "theirs.onnx", "-o", "map.yaml")
    assert done.exit_code == 0, done.stderr
    assert "theirs.onnx and the network return the same, within" in capfd.readouterr().err
    ours = cnnc.compile("net.json", weights="theirs.safetensors", map="map.yaml").eval()
    pictures = torch.randn(4, 3, 10, 10)
    torch.testing.assert_close(ours(pictures), module(pictures), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("no_child")
def test_a_checkpoint_with_other_values_is_refused(original, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(SPEC))
    original()
    torch.save(Swapped().state_dict(), "other.pth")
    done = run_command("weights", "net.json", "other.pth", "--against", "theirs.onnx", "-o", "map.yaml")
    said = done.stderr
    assert (done.exit_code, "E407" in said) == (1, True)
    assert "other.pth has no tensor with the values of `zero_conv.weight`" in said
    assert not (tmp_path / "map.yaml").exists()


@pytest.mark.parametrize(
    ("module", "layer"), [(Swapped(slope=0.3), "`a`"), (Swapped(stride=2), "`a`"), (nn.Conv2d(3, 8, 1), "`stem`")]
)
def test_another_network_is_refused_at_the_first_layer_that_differs(graph, module, layer):
    with pytest.raises(CnncError, match="E407") as caught:
        cnnc.match_by_running(graph, trained(module))
    assert layer in caught.value.diagnostics[0].message


def test_folded_norms_and_missing_files_are_named(tmp_path, graph):
    cnnc.build(SPEC, targets=["onnx"], out=tmp_path)
    with pytest.raises(CnncError, match=r"E407.*the network has batch norms, but the original has none"):
        cnnc.match_by_running(graph, tmp_path / "net/net.onnx")
    with pytest.raises(CnncError, match=r"E402"):
        cnnc.match_by_running(graph, tmp_path / "none.onnx")


@pytest.mark.usefixtures("no_child")
def test_another_number_of_inputs_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weight = np.ones((2, 4), np.float32)
    nodes = [helper.make_node("Gemm", [x, "w"], [y], transB=1) for x, y in (("x", "a"), ("z", "b"))]
    nodes.append(helper.make_node("Add", ["a", "b"], ["y"]))
    shapes = {"inputs": {"x": ("N", 4), "z": ("N", 4)}, "outputs": {"y": ("N", 2)}}
    (tmp_path / "two.onnx").write_bytes(network_of(*nodes, **shapes, weights={"w": weight}).SerializeToString())
    save_file({"w": torch.from_numpy(weight)}, "theirs.safetensors")
    spec = {"cnnc": 1, "name": "n", "input": {"x": [4]}, "nodes": [{"linear": {"out": 2, "bias": False}}]}
    (tmp_path / "net.json").write_text(json.dumps(spec))
    done = run_command("weights", "net.json", "theirs.safetensors", "--against", "two.onnx", "-o", "map.yaml")
    said = done.stderr
    assert (done.exit_code, "E407" in said) == (1, True), said
    assert "the original has 2 inputs, but the network has 1" in said


def test_a_module_with_another_number_of_inputs_is_refused():
    class Two(nn.Module):
        def forward(self, a, b):
            return a + b

    spec = {"cnnc": 1, "name": "n", "input": {"x": [4]}, "nodes": [{"linear": {"out": 2, "bias": False}}]}
    with pytest.raises(CnncError, match=r"E407.*the original takes \(a, b\), but the network has 1 input"):
        cnnc.match_by_running(cnnc.load(spec), Two())


def test_choices_that_fit_only_at_first_are_undone():
    nodes = [{"linear": {"name": name, "from": "x", "out": 6, "bias": False}} for name in "abcd"]
    nodes += [{"sub": {"from": ["a", "b"]}}, {"relu": {"name": "e"}}, {"sub": {"name": "f", "from": ["c", "d"]}}]
    nodes += [{"sub": {"name": "g", "from": ["e", "f"]}}, {"linear": {"name": "last", "out": 2}}]
    graph = cnnc.load({"cnnc": 1, "name": "n", "input": {"x": [5]}, "nodes": nodes})

    class Theirs(nn.Module):
        def __init__(self):
            super().__init__()
            for name in ("four", "three", "two", "one"):
                setattr(self, name, nn.Linear(5, 6, bias=False))
            self.last = nn.Linear(6, 2)

        def forward(self, x):
            four, three, two, one = self.four(x), self.three(x), self.two(x), self.one(x)
            return self.last(torch.relu(one - two) - (three - four))

    found = cnnc.match_by_running(graph, Theirs())
    assert pairs(found) == {"a": "one", "b": "two", "c": "three", "d": "four", "last": "last"}


class Heads(nn.Module):
    """Two heads, the second of which keeps NaN and infinity of its weights."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.a(x), torch.nn.functional.softplus(self.b(x))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_outputs_that_are_not_finite_prove_nothing(value):
    nodes = [{"linear": {"name": "a", "out": 3}}, {"linear": {"name": "b", "from": "x", "out": 3}}, "softplus"]
    outputs = {"one": "a", "two": "softplus"}
    graph = cnnc.load({"cnnc": 1, "name": "n", "input": {"x": [4]}, "nodes": nodes, "outputs": outputs})
    assert cnnc.match_by_running(graph, Heads()).difference < 1e-5
    module = Heads()
    module.b.weight.data[0] = value
    with pytest.raises(CnncError, match=r"E407.*an output is not finite") as caught:
        cnnc.match_by_running(graph, module)
    assert "outputs must be finite" in caught.value.diagnostics[0].help


class Pooled(nn.Module):
    """A module that rounds up where its input's size is odd, or that takes only small inputs."""

    def __init__(self, *, ceil, least=False, largest=10**6):
        super().__init__()
        self.conv, self.ceil, self.least, self.largest = nn.Conv2d(3, 4, 3, padding=1), ceil, least, largest

    def forward(self, x):
        if x.shape[-1] > self.largest:
            raise ValueError(f"size {x.shape[-1]}\nis too large")
        x = nn.functional.max_pool2d(self.conv(x), 2, ceil_mode=self.ceil)
        return x.mean((2, 3)) if self.least else x


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ({"ceil": True}, r"the shape of an output differs at \d+ x \d+: \(2, 4,"),
        ({"ceil": True, "least": True}, r"with the original's own weights, the outputs differ by .* at \d+ x \d+"),
        ({"ceil": False, "largest": 32}, r"the original fails at \d+ x \d+: size \d+$"),
    ],
)
def test_open_sizes_are_compared_at_several(module, message):
    least = module.get("least")
    nodes = [{"conv": {"name": "conv", "out": 4, "kernel": 3, "padding": 1}}, {"max_pool": {"kernel": 2}}]
    nodes += ["global_avg_pool", "flatten"] if least else []
    source = {"cnnc": 1, "name": "n", "input": {"x": [3, None, None]}, "nodes": nodes}
    graph = cnnc.load(source)
    assert cnnc.match_by_running(graph, Pooled(ceil=False, least=least)).difference < 1e-5
    with pytest.raises(CnncError, match="E407") as caught:
        cnnc.match_by_running(graph, Pooled(**module))
    assert re.search(message, caught.value.diagnostics[0].message), caught.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("spec", "size", "params", "module"),
    [
        ("vit_b_16", 224, {"depth": 2, "classes": 10}, lambda: transformers.ViT(depth=2, classes=10)),
        pytest.param("convnext_tiny", 64, {}, transformers.ConvNeXtTiny, marks=thorough),
    ],
)
def test_networks_with_tokens_are_matched(spec, size, params, module, tmp_path):
    """Parameters that no module uses alone, attention that returns a tuple, norms with the channels last."""
    found = cnnc.match_by_running(cnnc.load(resized(spec, size, tmp_path), set=params), module())
    assert found.difference < 1e-5
    assert all(ours == theirs for ours, theirs in found.map.items())
