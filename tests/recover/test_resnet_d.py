"""ResNet-D with squeeze-and-excitation: its shortcuts have an average pool, but for that of the first stage."""

from copy import deepcopy

import pytest

import cnnc
from cnnc.recover.fits import Usable, of_known
from cnnc.recover.flat import flat_with_paths
from cnnc.recover.structured import structured


def group(name, *nodes, **others):
    return {"group": {"name": name, "nodes": [*nodes], **others}}


def conv(name, out, **others):
    return {"conv": {"name": name, "out": out, "kernel": 1, "bias": False, **others}}


def bottleneck(name, out, stride, *, squeeze, is_first):
    pool = [{"avg_pool": {"kernel": 2}}] if stride > 1 else []
    shortcut = group("downsample", *pool, conv("1", out), {"batch_norm": {"name": "2"}})
    gate = group(
        "se",
        "global_avg_pool",
        {"conv": {"name": "fc1", "out": squeeze, "kernel": 1, "act": "relu"}},
        {"conv": {"name": "fc2", "out": out, "kernel": 1, "act": "sigmoid"}},
        {"mul": {"from": ["input", "fc2"]}},
    )
    layers = [
        conv("conv1", out // 4),
        {"relu": {}},
        conv("conv2", out // 4, kernel=3, stride=stride, padding=1),
        {"relu": {}},
        conv("conv3", out),
        gate,
    ]
    if is_first:
        layers[0]["conv"]["from"] = "input"
    join = {"add": {"from": ["se", "downsample" if is_first else "input"]}}
    return group(name, *([shortcut] if is_first else []), *layers, join, "relu")


def recovered():
    stages = [("layer1", 64, 1, 8), ("layer2", 128, 2, 8), ("layer3", 256, 2, 16)]
    nodes = [
        group(name, *(bottleneck(str(at), out, 1 if at else stride, squeeze=s, is_first=not at) for at in range(3)))
        for name, out, stride, s in stages
    ]
    spec = {"cnnc": 1, "input": {"x": [3, 32, 32]}, "nodes": [conv("stem", 16), *nodes]}
    listed = flat_with_paths(cnnc.load(spec))
    return structured(listed.spec, listed.paths).spec


def test_a_pool_that_some_shortcuts_lack_depends_on_the_stride():
    spec = recovered()
    assert [*spec["blocks"]] == ["squeeze_excitation", "downsample", "bottleneck"]
    assert spec["blocks"]["downsample"]["nodes"][0]["avg_pool"]["when"] == "$avg_pool"
    assert spec["blocks"]["bottleneck"]["nodes"][0]["downsample"] == {
        "name": "downsample",
        "out": "$out",
        "avg_pool": "$(stride != 1)",
        "when": "$(stride != 1 or input.channels != out)",
    }


def test_a_block_has_a_parameter_for_the_channels_that_it_gives():
    """And another for the narrow layer of its gate, although a multiple of the input's channels fits both."""
    assert recovered()["nodes"][1:] == [
        {"bottleneck": {"name": "layer1", "repeat": 3, "out": 64, "squeeze": 8}},
        {"bottleneck": {"name": "layer2", "repeat": 3, "out": 128, "squeeze": 8, "stride": "$(2 if i == 0 else 1)"}},
        {"bottleneck": {"name": "layer3", "repeat": 3, "out": 256, "squeeze": 16, "stride": "$(2 if i == 0 else 1)"}},
    ]


def test_widths_and_strides_can_be_changed():
    spec = recovered()
    for at, change in ((1, {"out": 32}), (2, {"stride": 1}), (0, {"out": 64})):
        changed = deepcopy(spec)
        next(iter(changed["nodes"][at].values())).update(change)
        assert cnnc.check(changed).ok


@pytest.mark.parametrize(
    ("text", "known", "wanted", "says"),
    [
        ("6 * input.channels", [96, 144], [4, 6], "input.channels // 4"),
        ("2 * input.channels", [64, 128], [16, 32], "input.channels // 2"),
        ("input.channels // 4", [8, 16], [16, 32], "input.channels // 2"),
        ("4 * width", [64, 128], [192, 384], "12 * width"),
        ("expand * input.channels", [48, 96], [12, 24], "expand * input.channels // 4"),
    ],
)
def test_multiples_of_multiples_are_in_lowest_terms(text, known, wanted, says):
    assert of_known("out", wanted, [Usable(text, known)]) == says
