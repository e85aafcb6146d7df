"""The twelve networks of the course notes: every number and every printed shape, from the specs themselves."""

from pathlib import Path

import pytest

from cnnc.compiler import check, load

SPECS = Path(__file__).parents[2] / "specs"

# parameters, running statistics, MACs, and the features that come out
NUMBERS = {
    "lenet": (61_706, 0, 416_520, 10),
    "lenet_max": (44_426, 0, 281_640, 10),
    "lenet_bn": (44_878, 452, 281_640, 10),
    "alexnet": (46_764_746, 0, 938_146_176, 10),
    "vgg11": (128_806_154, 0, 7_547_232_256, 10),
    "vgg11_small": (43_093_322, 0, 512_155_648, 10),
    "nin": (1_992_166, 0, 762_297_352, 10),
    "googlenet": (5_977_530, 0, 276_066_304, 10),
    "resnet18": (11_178_378, 7_808, 1_734_890_496, 10),
    "resnet152": (60_192_808, 151_424, 11_513_626_624, 1000),
    "densenet": (758_226, 6_608, 129_077_168, 10),
    "densenet_bottleneck": (979_938, 10_208, 182_668_208, 10),
}
INPUTS = {
    "lenet": [1, 28, 28],
    "lenet_max": [1, 28, 28],
    "lenet_bn": [1, 28, 28],
    "googlenet": [1, 96, 96],
    "densenet": [1, 96, 96],
    "densenet_bottleneck": [1, 96, 96],
    "resnet152": [3, 224, 224],
}

# what the notes print, in their order: a node's path and the shape of its output
PRINTED = {
    "alexnet": [
        ("conv", "96×54×54"),
        ("max_pool", "96×26×26"),
        ("conv_2", "256×26×26"),
        ("max_pool_2", "256×12×12"),
        ("conv_3", "384×12×12"),
        ("conv_4", "384×12×12"),
        ("conv_5", "256×12×12"),
        ("max_pool_3", "256×5×5"),
        ("flatten", "6400"),
        ("linear", "4096"),
        ("linear_2", "4096"),
        ("linear_3", "10"),
    ],
    "vgg11": [
        ("stage.0", "64×112×112"),
        ("stage.1", "128×56×56"),
        ("stage.2", "256×28×28"),
        ("stage.3", "512×14×14"),
        ("stage.4", "512×7×7"),
        ("flatten", "25088"),
        ("linear", "4096"),
        ("linear_2", "4096"),
        ("linear_3", "10"),
    ],
    "nin": [
        ("nin_block", "96×54×54"),
        ("max_pool", "96×26×26"),
        ("nin_block_2", "256×26×26"),
        ("max_pool_2", "256×12×12"),
        ("nin_block_3", "384×12×12"),
        ("max_pool_3", "384×5×5"),
        ("nin_block_4", "10×5×5"),
        ("global_avg_pool", "10×1×1"),
        ("flatten", "10"),
    ],
    "googlenet": [
        ("max_pool", "64×24×24"),
        ("max_pool_2", "192×12×12"),
        ("max_pool_3", "480×6×6"),
        ("max_pool_4", "832×3×3"),
        ("flatten", "1024"),
        ("linear", "10"),
    ],
    "resnet18": [
        ("conv", "64×112×112"),
        ("max_pool", "64×56×56"),
        ("layer1", "64×56×56"),
        ("layer2", "128×28×28"),
        ("layer3", "256×14×14"),
        ("layer4", "512×7×7"),
        ("flatten", "512"),
        ("linear", "10"),
    ],
    "lenet_max": [
        ("conv", "6×24×24"),
        ("max_pool", "6×12×12"),
        ("conv_2", "16×8×8"),
        ("max_pool_2", "16×4×4"),
        ("flatten", "256"),
        ("linear", "120"),
        ("linear_2", "84"),
        ("linear_3", "10"),
    ],
    "densenet_bottleneck": [
        ("conv", "64×48×48"),
        ("max_pool", "64×24×24"),
        ("dense_layer", "192×24×24"),
        ("transition", "96×12×12"),
        ("dense_layer_2", "224×12×12"),
        ("transition_2", "112×6×6"),
        ("dense_layer_3", "240×6×6"),
        ("transition_3", "120×3×3"),
        ("dense_layer_4", "248×3×3"),
        ("flatten", "248"),
        ("linear", "10"),
    ],
}
INCEPTION_CHANNELS = {
    "inception3a": 256,
    "inception3b": 480,
    "inception4a": 512,
    "inception4b": 512,
    "inception4c": 512,
    "inception4d": 528,
    "inception4e": 832,
    "inception5a": 832,
    "inception5b": 1024,
}


def checked(name, **settings):
    found = check(SPECS / f"{name}.yaml", set=settings)
    assert found.ok, found.diagnostics
    return found.as_json()


def spelt(shape):
    return "×".join(map(str, shape))


def after(nodes, path):
    """The shape behind a node, or behind the last node of a scope, as the notes print it."""
    return spelt([node["shape"] for node in nodes if node["name"] == path or node["name"].startswith(f"{path}.")][-1])


def test_there_is_a_spec_for_every_network():
    assert {path.stem for path in SPECS.glob("*.yaml")} >= NUMBERS.keys()


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name):
    found = checked(name)
    params, running, macs, classes = NUMBERS[name]
    totals = found["totals"]
    assert (totals["params"], totals["buffers"], totals["macs"]) == (params, running, macs)
    assert [each["shape"] for each in found["inputs"].values()] == [INPUTS.get(name, [1, 224, 224])]
    assert [each["shape"] for each in found["outputs"].values()] == [[classes]]


@pytest.mark.parametrize("name", NUMBERS)
def test_the_rows_add_up_to_the_totals(name):
    found = checked(name)
    for key in ("params", "macs"):
        assert sum(node[key] for node in found["nodes"]) == found["totals"][key]


@pytest.mark.parametrize("name", PRINTED)
def test_printed_shapes(name):
    nodes = checked(name)["nodes"]
    assert [(path, after(nodes, path)) for path, _ in PRINTED[name]] == PRINTED[name]


def test_googlenet_at_224():
    assert checked("googlenet", size=224)["totals"]["macs"] == 1_502_982_144


def test_output_channels_of_the_inception_blocks():
    nodes = checked("googlenet")["nodes"]
    assert {path: int(after(nodes, path).split("×")[0]) for path in INCEPTION_CHANNELS} == INCEPTION_CHANNELS


def test_running_statistics_are_not_parameters():
    graph = load(SPECS / "lenet_bn.yaml")
    norms = [node for node in graph.nodes if node.op.name == "batch_norm"]
    assert sum(node.cost.buffers for node in norms) == sum(node.cost.params for node in norms) == 452


# -- the blocks of the notes, by themselves


def block(source, name, attributes, image):
    """One instance of a block of a spec on an input of its own: its parameters, and its output's shape."""
    blocks = load(SPECS / f"{source}.yaml").spec["blocks"]
    spec = {"cnnc": 1, "name": "one", "input": {"x": image}, "blocks": blocks, "nodes": [{name: attributes}]}
    found = check(spec)
    assert found.ok, found.diagnostics
    told = found.as_json()
    return told["totals"]["params"], told["nodes"][-1]["shape"]


def test_a_residual_block():
    assert block("resnet18", "residual", {"channels": 3}, [3, 6, 6]) == (180, [3, 6, 6])
    assert block("resnet18", "residual", {"channels": 6, "stride": 2}, [3, 6, 6]) == (546, [6, 3, 3])


def test_a_dense_block():
    assert block("densenet", "dense_layer", {"growth": 10, "repeat": 2}, [3, 8, 8]) == (1_492, [23, 8, 8])


@pytest.mark.parametrize(
    ("paths", "channels", "params"),
    [
        ({"c1": 64, "c2": [96, 128], "c3": [16, 32], "c4": 32}, (192, 256), 163_696),
        ({"c1": 128, "c2": [128, 192], "c3": [32, 96], "c4": 64}, (256, 480), 388_736),
    ],
)
def test_an_inception_block(paths, channels, params):
    before, behind = channels
    assert block("googlenet", "inception", paths, [before, 12, 12]) == (params, [behind, 12, 12])


@pytest.mark.parametrize(
    ("conv", "image", "shape"),
    [
        ({"kernel": 3, "padding": 1}, 8, [8, 8]),
        ({"kernel": [5, 3], "padding": [2, 1]}, 8, [8, 8]),
        ({"kernel": 3, "padding": 1, "stride": 2}, 8, [4, 4]),
        ({"kernel": [3, 5], "padding": [0, 1], "stride": [3, 4]}, 8, [2, 2]),
        ({"kernel": 5, "repeat": 10}, 240, [200, 200]),
        ({"kernel": 3, "padding": "same", "stride": 2}, 8, [4, 4]),
    ],
)
def test_what_a_convolution_leaves(conv, image, shape):
    spec = {"cnnc": 1, "name": "one", "input": {"x": [1, image, image]}, "nodes": [{"conv": {"out": 1, **conv}}]}
    assert check(spec).as_json()["nodes"][-1]["shape"] == [1, *shape]
