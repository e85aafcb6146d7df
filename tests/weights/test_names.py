"""Checkpoints of torchvision, timm and Keras: their names are matched without a question, and their values arrive."""

import random

import pytest
import torch
from safetensors.torch import save_file

import cnnc
from cnnc.targets.torch_module import lower, shapes
from cnnc.weights.layers import layers
from cnnc.weights.load import checkpoint, read_for
from cnnc.weights.names import plain
from cnnc.weights.proposal import propose
from tests.command import run_command
from tests.thorough import rows

RESNET50 = "specs/zoo/resnet50.yaml"
KERAS_ROLES = {
    "conv": {"weight": "kernel"},
    "bn": {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"},
}


@pytest.fixture(scope="module")
def graph():
    return cnnc.load(RESNET50)


def of_torchvision():
    """The keys of torchvision's ResNet-50, in its order, which are also timm's."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = ["conv1.weight", *(f"bn1.{role}" for role in norm)]
    for stage, count in enumerate((3, 4, 6, 3), 1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            for index in (1, 2, 3):
                keys += [f"{at}.conv{index}.weight", *(f"{at}.bn{index}.{role}" for role in norm)]
            if block == 0:
                keys += [f"{at}.downsample.0.weight", *(f"{at}.downsample.1.{role}" for role in norm)]
    return [*keys, "fc.weight", "fc.bias"]


def keras_name(layer, head="predictions"):
    """Keras' name of a layer of ResNet-50, by torchvision's."""
    if layer in ("conv1", "bn1", "fc"):
        return {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": head}[layer]
    stage, block, *rest = layer.removeprefix("layer").split(".")
    kind = "conv" if rest[-1] == "0" or rest[0].startswith("conv") else "bn"
    index = 0 if rest[0] == "downsample" else rest[0][-1]
    return f"conv{int(stage) + 1}_block{int(block) + 1}_{index}_{kind}"


def in_keras_order(layer):
    """Where Keras creates a layer: the shortcut's convolution before the third one, its norm before the third norm."""
    stage, block, *rest = layer.removeprefix("layer").split(".")
    places = ["conv1", "bn1", "conv2", "bn2", "downsample.0", "conv3", "downsample.1", "bn3"]
    return int(stage), int(block), places.index(".".join(rest))


def keras_keys(head="predictions", form="{0}/{1}:0"):
    """The keys of Keras' ResNet-50 in its order, by torchvision's; and the biases that torchvision has not."""
    names = list(dict.fromkeys(key.rpartition(".")[0] for key in of_torchvision()))
    inner = sorted((name for name in names if name.startswith("layer")), key=in_keras_order)
    keys, biases = {}, {}
    for layer in ["conv1", "bn1", *inner, "fc"]:
        name = keras_name(layer, head)
        if layer == "fc":
            roles = {"weight": "kernel", "bias": "bias"}
        else:
            roles = KERAS_ROLES["conv" if name.endswith("conv") else "bn"]
        keys |= {f"{layer}.{ours}": form.format(name, role) for ours, role in roles.items()}
        if name.endswith("conv"):
            biases[layer] = form.format(name, "bias")
    return keys, biases


def stored(shape):
    """A kernel's shape in Keras, by torch's."""
    return (*shape[2:], shape[1], shape[0]) if len(shape) > 1 else shape


def test_torchvisions_and_timms_keys_are_those_of_the_spec(graph):
    assert {*of_torchvision()} == {*shapes(graph)}


NORM_OF = {"conv": "bn", "downsample.0": "downsample.1"}


@pytest.mark.parametrize("form", ["{0}/{1}:0", "{0}/{0}/{1}:0", "resnet50/{0}/{1}", "{0}.{1}"])
@pytest.mark.parametrize("order", rows(["keras", "sorted", "shuffled"], quick=["shuffled"]))
@pytest.mark.parametrize("head", ["predictions", "probs"])
def test_keras_names_are_matched_without_a_question(graph, form, order, head):
    expected = shapes(graph)
    keys, biases = keras_keys(head, form)
    theirs = {name: expected[key] for key, name in keys.items()}
    theirs |= {name: expected[f"{layer}.weight"][:1] for layer, name in biases.items()}
    if order != "keras":
        names = sorted(theirs)
        random.Random(1).shuffle(names) if order == "shuffled" else None
        theirs = {name: theirs[name] for name in names}
    found = propose(graph, expected, layers(theirs), ordered=order != "sorted")
    assert (found.map, found.undecided, found.unused) == (keys, (), ())
    norms = {layer: layer.replace("conv", "bn").replace("sample.0", "sample.1") for layer in biases}
    assert found.minus == {f"{norms[layer]}.running_mean": name for layer, name in biases.items()}


SMALL = """cnnc: 1
name: net
input: {image: [3, 9, 12]}
nodes:
  - conv: {name: conv1, out: 4, kernel: 3, padding: 1, bias: BIAS}
  - batch_norm: {name: bn1}
  - relu
  - conv: {name: dw, out: 4, kernel: [3, 1], groups: 4, bias: false}
  - conv: {name: pw, out: 6, kernel: 1}
  - max_pool: {kernel: 3}
  - flatten
  - dropout: {rate: 0.5}
  - linear: {name: fc1, out: 8, act: relu}
  - linear: {name: fc2, out: 8}
"""
OF_KERAS = {
    "conv1.weight": "conv1/kernel:0",
    "conv1.bias": "conv1/bias:0",
    "bn1.weight": "bn1/gamma:0",
    "bn1.bias": "bn1/beta:0",
    "bn1.running_mean": "bn1/moving_mean:0",
    "bn1.running_var": "bn1/moving_variance:0",
    "dw.weight": "separable/depthwise_kernel:0",
    "pw.weight": "separable/pointwise_kernel:0",
    "pw.bias": "separable/bias:0",
    "fc1.weight": "fc1/kernel:0",
    "fc1.bias": "fc1/bias:0",
    "fc2.weight": "fc2/kernel:0",
    "fc2.bias": "fc2/bias:0",
}


def as_keras(key, value):
    """A tensor as Keras stores it; the first linear layer takes rows, columns, channels."""
    if key == "dw.weight":
        return value.permute(2, 3, 0, 1)
    if key == "fc1.weight":
        value = value.reshape(8, 6, 2, 4).permute(0, 2, 3, 1).reshape(8, 48)
    return value.permute(2, 3, 1, 0) if value.ndim == 4 else value.T if value.ndim == 2 else value


def test_keras_values_arrive_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, bias in (("with", "true"), ("net", "false")):
        (tmp_path / f"{name}.yaml").write_text(SMALL.replace("BIAS", bias))
    original = lower(cnnc.load("with.yaml"), seed=1)
    for _ in range(2):
        original(torch.randn(4, 3, 9, 12))  # so that the norm has statistics
    state = original.eval().state_dict()
    save_file({name: as_keras(key, state[key]).contiguous() for key, name in OF_KERAS.items()}, "keras.safetensors")
    done = run_command("weights", "net.yaml", "keras.safetensors", "-o", "map.yaml")
    assert done.exit_code == 0, done.stderr
    assert (
        '  bn1.running_mean: {tensor: "bn1/moving_mean:0", minus: "conv1/bias:0"}\n'
        in (tmp_path / "map.yaml").read_text()
    )
    module = cnnc.compile("net.yaml", weights="keras.safetensors", map="map.yaml").eval()
    pictures = torch.randn(5, 3, 9, 12)
    torch.testing.assert_close(module(pictures), original(pictures), rtol=1e-5, atol=1e-6)


def test_a_square_kernel_is_turned_by_its_name_alone(tmp_path):
    kernel = torch.arange(9.0).reshape(3, 3)
    save_file({"a/kernel": kernel, "a/bias": torch.zeros(3)}, tmp_path / "w.safetensors")
    found = checkpoint(tmp_path / "w.safetensors", {"fc.weight": (3, 3), "fc.bias": (3,)})
    assert found.tensors["a/kernel"].equal(kernel.T)
    own = checkpoint(tmp_path / "w.safetensors", {"a/kernel": (3, 3)})
    assert own.tensors["a/kernel"].equal(kernel)


def parallel(*names):
    """Layers of equal shapes side by side."""
    nodes = [{"linear": {"name": name, "from": "x", "out": 4}} for name in names]
    return cnnc.load({"cnnc": 1, "name": "n", "input": {"x": [4]}, "nodes": [*nodes, {"concat": {"from": [*names]}}]})


def proposal(ours, theirs):
    graph = parallel(*ours)
    keys = {f"{name}.{role}": (4, 4) if role == "weight" else (4,) for name in theirs for role in ("weight", "bias")}
    found = propose(graph, shapes(graph), layers(keys), ordered=True)
    return {key.split(".")[0]: name.rpartition(".")[0] for key, name in found.map.items()}


def test_words_of_one_meaning_decide_between_equal_shapes():
    assert proposal(["q", "k", "v"], ["value", "attn.key", "attn.query"]) == {
        "q": "attn.query",
        "k": "attn.key",
        "v": "value",
    }
    assert proposal(["conv", "downsample"], ["x.shortcut", "x.main"]) == {"conv": "x.main", "downsample": "x.shortcut"}


def test_a_norm_is_not_paired_with_the_convolution_after_it():
    """In theirs, `bn1` comes before `conv1`; only the names of the convolutions are known to match."""
    conv = {"conv": {"out": 4, "kernel": 3, "padding": 1, "bias": False}}
    graph = cnnc.load(
        {"cnnc": 1, "name": "n", "input": {"x": [4, 8, 8]}, "nodes": [conv, "batch_norm", conv, "batch_norm", conv]}
    )
    names = ["conv0", "bn1", "conv1", "bn2", "conv2"]
    ours = list(dict.fromkeys(key.rpartition(".")[0] for key in shapes(graph)))
    right = dict(zip(ours, names, strict=True))
    keys = {f"{right[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": shape for key, shape in shapes(graph).items()}
    found = propose(graph, shapes(graph), layers(dict(sorted(keys.items()))), ordered=False)
    assert all(right[key.rpartition(".")[0]] == name.rpartition(".")[0] for key, name in found.map.items())


def test_a_scope_that_is_alike_by_chance_does_not_decide():
    """Theirs has a scope with the layers of `two`, but none with those of `one`: the words for a shortcut count."""

    def scope(name, wide, inner):
        nodes = [{"linear": {"name": each, "out": out, "from": "input"}} for each, out in (("wide", wide), (inner, 4))]
        return {"group": {"name": name, "from": "x", "nodes": [*nodes, {"concat": {"from": ["wide", inner]}}]}}

    nodes = [scope("one", 8, "main"), scope("two", 16, "skip"), {"concat": {"from": ["one", "two"]}}]
    graph = cnnc.load({"cnnc": 1, "name": "n", "input": {"x": [4]}, "nodes": nodes})
    sizes = {"u.main": 4, "u.wide": 16, "v.shortcut": 4, "v.wide": 32, "extra": 16}
    keys = {
        f"{name}.{role}": (out, 4)[: 2 - (role == "bias")] for name, out in sizes.items() for role in ("weight", "bias")
    }
    found = propose(graph, shapes(graph), layers(keys), ordered=False).map
    assert found["one.main.weight"] == "u.main.weight"
    assert found["two.skip.weight"] == "v.shortcut.weight"


def test_names_that_decide_nothing_are_not_guessed():
    assert proposal(["left", "right"], ["a", "b"]) == {}
    assert proposal(["q", "k"], ["one.query", "two.query"]) == {}
    assert proposal(["fc", "other"], ["head.logits", "output"]) == {}


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("Mixed_5b.branch1x1.conv", "mixed5b/branch1x1/Conv2d"),
        ("layer1.0.bn1", "stage1.block0.norm1"),
        ("layer1.0.shortcut", "layer1_0.downsample"),
    ],
)
def test_names_that_are_spelt_alike(one, same):
    assert plain(one).replace("layer ", "") == plain(same).replace("layer ", "")


def test_a_map_with_minus_is_checked(tmp_path):
    save_file({"w": torch.ones(3), "b": torch.ones(2)}, tmp_path / "w.safetensors")
    graph = cnnc.load({"cnnc": 1, "name": "n", "input": {"x": [3]}, "nodes": [{"batch_norm": {"name": "bn"}}]})
    lines = [f"  bn.{role}: w\n" for role in ("weight", "bias", "running_var")]
    for bad, says in (("b", "is 2, `bn.running_mean` is 3"), ("c", "has no `c`")):
        (tmp_path / "map.yaml").write_text(
            "weights:\n" + "".join(lines) + f"  bn.running_mean: {{tensor: w, minus: {bad}}}\n"
        )
        with pytest.raises(cnnc.CnncError, match="E408") as caught:
            read_for(graph, tmp_path / "w.safetensors", tmp_path / "map.yaml")
        assert says in str(caught.value)
