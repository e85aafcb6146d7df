"""The published networks: parameters, MACs, and a state_dict by which torchvision's checkpoints load.

`tests/data/zoo.json.gz` holds what torchvision's models say of themselves: of each the input, the parameters, the MACs
of its convolutions and linear layers at that input, and the shape of every tensor of its state_dict.
"""

import gzip
import json
from pathlib import Path
from shutil import copytree

import pytest

import cnnc
from cnnc.analysis.cost import totals
from cnnc.targets.torch_module import shapes
from tests.by_hand.networks import NETWORKS
from tests.thorough import networks

ROOT = Path(__file__).parents[2]
ZOO = json.loads(gzip.decompress((ROOT / "tests/data/zoo.json.gz").read_bytes()))
PLACES = {"resnet152": ROOT / "specs/resnet152.yaml"}
PARAMETERS = {"yolov3_tiny": 8_852_366}  # of networks that torchvision does not have
WITH_AUXILIARY = ("fcn_resnet50", "deeplabv3_resnet50")  # torchvision runs their auxiliary heads in evaluation, too
COUNTER = "num_batches_tracked"


def place(name):
    return PLACES.get(name, ROOT / f"specs/zoo/{name}.yaml")


@pytest.fixture(params=networks(sorted(ZOO), place))
def published(request):
    return cnnc.load(place(request.param)), ZOO[request.param]


def with_size(name, size, folder):
    """The spec with a fixed input, where its own is open."""
    copytree(ROOT / "specs", folder / "specs")
    path = folder / place(name).relative_to(ROOT)
    path.write_text(path.read_text(encoding="utf-8").replace("null, null", f"{size}, {size}"), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_costs_are_the_published_ones(name, tmp_path):
    said = ZOO[name]
    graph = cnnc.load(with_size(name, said["input"][-1], tmp_path))
    assert [list(each.type.shape) for each in graph.inputs] == [said["input"]]
    assert totals(graph).params == said["params"]
    macs = sum(node.cost.macs for node in graph.nodes) if name in WITH_AUXILIARY else totals(graph).macs
    assert macs - sum(node.cost.macs for node in graph.nodes if node.op.name == "attention") == said["macs"]


def test_checkpoints_load_by_name(published):
    graph, said = published
    ours = {key: list(shape) for key, shape in shapes(graph).items() if not key.endswith(COUNTER)}
    theirs = {key: shape for key, shape in said["state_dict"].items() if not key.endswith(COUNTER)}
    assert ours == theirs
    assert list(ours) == list(theirs)  # in their order, too


def test_every_spec_of_the_zoo_is_held_to_numbers():
    specs = {path.stem for path in (ROOT / "specs/zoo").glob("*.yaml")}
    by_hand = {network.spec.removeprefix("specs/zoo/") for network in NETWORKS if network.spec.startswith("specs/zoo/")}
    assert specs == (ZOO.keys() | PARAMETERS.keys() | by_hand) - PLACES.keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_the_published_ones(name):
    assert totals(cnnc.load(place(name))).params == PARAMETERS[name]
