"""torchvision's own networks become short specs with the same keys; skipped if torchvision is not installed."""

import pytest
import torch

import cnnc
from cnnc.analysis.cost import totals

# the most lines of a spec
CLASSIFIERS = {
    "alexnet": 30,
    "convnext_tiny": 52,
    "densenet121": 50,
    "efficientnet_b0": 80,
    "efficientnet_v2_s": 90,
    "googlenet": 60,
    "inception_v3": 100,
    "mnasnet0_5": 75,
    "mobilenet_v2": 65,
    "mobilenet_v3_small": 95,
    "regnet_x_400mf": 55,
    "regnet_y_400mf": 62,
    "resnet18": 40,
    "resnet50": 45,
    "resnext50_32x4d": 45,
    "shufflenet_v2_x0_5": 62,
    "squeezenet1_1": 40,
    "vgg11_bn": 55,
    "vit_b_32": 50,
    "wide_resnet50_2": 45,
}
SEGMENTATIONS = {"deeplabv3_mobilenet_v3_large": 135, "fcn_resnet50": 55, "lraspp_mobilenet_v3_large": 120}
# these need a map: layers are in lists with what has no parameters, or tokens have an axis of 1 for the batch
MAPPED = ("convnext_tiny", "vit_b_32")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torchvision, about its defaults
@pytest.mark.parametrize(("name", "lines"), [*CLASSIFIERS.items(), *SEGMENTATIONS.items()])
def test_a_network_of_torchvision_becomes_a_short_spec(name, lines):
    models = pytest.importorskip("torchvision.models")
    parts = {"weights_backbone": None} if name in SEGMENTATIONS else {}
    module = models.get_model(name, weights=None, **parts)
    found = cnnc.from_torch(module, torch.rand(2, 3, 224, 224))
    assert found.largest < 1e-5
    assert found.text.count("\n") <= lines
    unused = {key.rpartition(".")[0] for key in found.unused}  # of heads for the training
    assert all("aux" in each.lower() for each in unused)
    kept = [key for key in module.state_dict() if key.rpartition(".")[0] not in unused]
    assert {*found.keys.values()} == {key for key in kept if not key.endswith("num_batches_tracked")}
    assert bool(found.map) == (name in MAPPED)
    used = (each for name, each in module.named_parameters() if name not in found.unused)
    assert totals(cnnc.load(found.spec)).params == sum(each.numel() for each in used)
