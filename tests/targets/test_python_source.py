"""The Python source: it runs with torch alone and is the same network."""

import pytest
import torch

from cnnc.compiler import load
from cnnc.targets import python_source
from tests.live import live
from tests.networks import forked, open_size, residual


def compiled(graph):
    """The class of the network, from its source."""
    source = python_source.write(graph)
    names: dict[str, type[torch.nn.Module]] = {}
    exec(compile(source, "network.py", "exec"), names)
    return source, names[graph.name.capitalize()]


def outputs(module, x):
    with torch.inference_mode():
        result = module.eval()(x)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("graph", [residual(), forked(), open_size()], ids=lambda graph: graph.name)
def test_it_has_the_same_keys_and_computes_the_same(graph):
    module = live(graph)
    _, network = compiled(graph)
    other = network()
    assert list(other.state_dict()) == list(module.state_dict())
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, *(size or 8 for size in graph.inputs[0].type.shape))
    for a, b in zip(outputs(other, x), outputs(module, x), strict=True):
        assert torch.equal(a, b)


def test_a_list_has_no_gap_where_a_round_of_it_has_no_module():
    """The first pool is written in functions, because torch's module allows no padding beyond half the kernel."""
    pools = {"avg_pool": {"kernel": 73, "padding": "same_lower", "count_padding": False, "repeat": 2}}
    rounds = {"name": "x", "over": {"v": [1, 0]}, "nodes": [{"scale": {"when": "$(v == 1)"}}, "relu"]}
    shared = {"name": "y", "over": {"v": [1, 0]}, "share": "x", "nodes": [{"scale": {"when": "$(v == 1)"}}, "tanh"]}
    nodes = [{"each": rounds}, {"each": shared}, pools]
    graph = load({"cnnc": 1, "name": "net", "input": {"image": [3, 2, 1]}, "nodes": nodes})
    module, (_, network) = live(graph), compiled(graph)
    other = network()
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, 3, 2, 1)
    assert torch.equal(*(outputs(each, x)[0] for each in (other, module)))


def test_the_network_says_what_it_returns_where_that_is_several():
    spec = {"cnnc": 1, "name": "net", "input": {"x": [4]}, "nodes": ["relu", "tanh"]}
    one, two = (python_source.write(load({**spec, "outputs": some})) for some in (["tanh"], ["tanh", "relu"]))
    assert "Returns tanh, relu." in two
    assert "Returns" not in one


def test_it_needs_torch_alone():
    lines = python_source.write(forked()).splitlines()
    imports = [line for line in lines if line.startswith(("import", "from"))]
    assert imports == ["import torch", "import torch.nn.functional as F", "from torch import Tensor, nn"]


def test_blocks_that_differ_in_numbers_share_a_class():
    spec = {
        "cnnc": 1,
        "name": "n",
        "input": {"image": [1, 4, 4]},
        "blocks": {"b": {"params": {"out": None}, "nodes": [{"conv": {"out": "$out", "kernel": 1}}, "relu"]}},
        "nodes": [{"b": {"name": "first", "out": 2}}, {"b": {"name": "second", "out": 3}}],
    }
    source, _ = compiled(load(spec))
    assert source.count("class B(") == source.count("class ") - 1 == 1
    assert "self.second = B(in_channels=2, out_channels=3)" in source


def test_blocks_whose_parameters_differ_in_shape_share_a_class():
    spec = {
        "cnnc": 1,
        "name": "n",
        "input": {"image": [2, 4, 4]},
        "blocks": {"b": {"nodes": ["scale"]}},
        "nodes": [{"b": {"name": "first"}}, {"conv": {"out": 3, "kernel": 1}}, {"b": {"name": "second"}}],
    }
    source, network = compiled(load(spec))
    assert source.count("class B(") == source.count("class ") - 1 == 1
    assert {key: tuple(each.shape) for key, each in network().state_dict().items() if "scale" in key} == {
        "first.scale.weight": (2, 1, 1),
        "second.scale.weight": (3, 1, 1),
    }


def test_it_reads_as_if_written_by_hand():
    source = python_source.write(residual())
    assert "        x = self.norm(x)\n        x = self.layer1(x)\n" in source
    assert "nn.Conv2d(in_channels=2, out_channels=4, kernel_size=3, padding=1, bias=False)" in source
    assert " = None" not in source


@pytest.mark.parametrize("description", ['ends in "', "back\\slash", '"""', "two\nlines", " ", "long " * 40])
def test_a_description_cannot_break_it(description):
    spec = {"cnnc": 1, "name": "n", "description": description, "input": {"image": [1, 2, 2]}, "nodes": ["relu"]}
    source, _ = compiled(load(spec))
    assert max(map(len, source.splitlines())) <= 120


@pytest.mark.parametrize("op", [{"scale": {}}, {"prelu": {}}, {"conv": {"out": 300, "kernel": 3, "padding": 1}}])
def test_long_lines_are_wrapped(op):
    [(name, attributes)] = op.items()
    node = {name: {"name": "a-" + "very-" * 9 + "long-name", **attributes}}
    source, _ = compiled(load({"cnnc": 1, "name": "n", "input": {"image": [100, 2, 2]}, "nodes": [node]}))
    assert max(map(len, source.splitlines())) <= 120


CHAINS = {
    "cnnc": 1,
    "name": "residual",  # which a block would like to be called as well
    "input": {"image": [1, 6, 6]},
    "blocks": {
        "residual": {
            "names": "index",
            "params": {"stride": None},
            "nodes": [{"conv": {"out": 2, "kernel": 1, "stride": "$stride"}}, "relu"],
        }
    },
    "nodes": [
        {"residual": {"name": "first", "stride": [1, 2]}},
        {"residual": {"name": "second", "stride": 2}},
        {"residual": {"name": "third", "stride": 1, "repeat": 2}},
        {"group": {"name": "head", "names": "index", "nodes": ["flatten", {"linear": {"out": 3}}]}},
    ],
    "outputs": {"map": "third", "scores": "head"},
}


def test_chains_are_sequential_and_the_network_has_its_name():
    source, network = compiled(load(CHAINS))
    assert issubclass(network, torch.nn.Module)
    for line in (
        "class Residual2(nn.Sequential):",
        "class ResidualChain(nn.Sequential):",
        "class Head(nn.Sequential):",
        "class Residual(nn.Module):",
        "    def __init__(self, in_channels: int, stride: tuple[int, int] | int) -> None:",
        '        """Returns map, scores."""',
        "        self.first = Residual2(in_channels=1, stride=(1, 2))",
    ):
        assert line in source.splitlines()
    assert "getattr" not in source
    module = live(load(CHAINS))
    other = network()
    other.load_state_dict(module.state_dict())
    for a, b in zip(outputs(other, torch.ones(2, 1, 6, 6)), outputs(module, torch.ones(2, 1, 6, 6)), strict=True):
        assert torch.equal(a, b)


LONG = {"out": 300, "kernel": [5, 3], "stride": [1, 2], "dilation": [1, 2], "padding": [6, 6], "bias": False}
CALL = """\
{0}nn.Conv2d(
{0}    in_channels={1},
{0}    out_channels=300,
{0}    kernel_size=(5, 3),
{0}    stride=(1, 2),
{0}    padding=6,
{0}    dilation=(1, 2),
{0}    bias=False,
{0})"""


def test_its_lines_are_broken_as_a_formatter_breaks_them():
    spec = {
        "cnnc": 1,
        "name": "n",
        "input": {"image": [200, 64, 64]},
        "nodes": [
            {"max_pool": {"kernel": 2, "padding": [0, 0, 1, 1]}},
            {"conv": {**LONG, "repeat": 2}},
            {"group": {"name": "tail", "names": "index", "nodes": [{"conv": LONG}, {"relu": {"name": "last"}}]}},
        ],
    }
    source, network = compiled(load(spec))
    pool = '        x = F.pad(image, [0, 1, 0, 1], "constant", float("-inf"))\n        x = self.max_pool(x)\n'
    assert pool in source
    assert f"        self.conv.append(\n{CALL.format(' ' * 12, 200)}\n        )\n" in source
    assert f'        self.add_module(\n            "0",\n{CALL.format(" " * 12, 300)},\n        )\n' in source
    module, x = live(load(spec)), torch.randn(1, 200, 64, 64)
    other = network()
    other.load_state_dict(module.state_dict())
    assert torch.equal(outputs(other, x)[0], outputs(module, x)[0])
