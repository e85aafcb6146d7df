"""Networks of the zoo against hand-written torch modules, which have torchvision's keys where it has the network."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from torch import nn

import cnnc
from tests.by_hand import inception, mobile, segmentation, transformers, yolov3_tiny
from tests.by_hand.compare import ROOT, Pair, parameters, resized
from tests.thorough import networks


class Network(NamedTuple):
    """A spec of the zoo, the module, a smaller size of the picture, and smaller parameters of both.

    `trains`: whether the training mode is compared too, which takes long for a large picture. `spaces`: further sizes.
    """

    spec: str
    module: Callable[..., nn.Module]
    size: int | None = None
    small: Mapping[str, Any] = MappingProxyType({})
    trains: bool = True
    spaces: tuple[tuple[int, int], ...] = ()


NETWORKS = [
    Network("inception_v3", inception.InceptionV3, trains=False),
    Network("regnet_y_400mf", mobile.RegNetY400MF, 64),
    Network("efficientnet_v2_s", mobile.EfficientNetV2S, 64),
    Network("mobilenet_v3_small", mobile.MobileNetV3Small, 64),
    Network("vit_b_16", transformers.ViT, None, {"depth": 1}),
    Network("convnext_tiny", transformers.ConvNeXtTiny, 64),
    Network("fcn_resnet50", segmentation.FCN),
    Network("deeplabv3_resnet50", segmentation.DeepLabV3, spaces=((8, 400),)),  # for a dilation of 36
    Network("lraspp_mobilenet_v3_large", mobile.LRASPP),
    Network("yolov3_tiny", yolov3_tiny.YoloV3Tiny, 64),
]


def place(network: Network) -> Path:
    return ROOT / f"specs/zoo/{network.spec}.yaml"


@pytest.mark.parametrize("network", networks(NETWORKS, place), ids=lambda network: network.spec)
def test_the_outputs_are_those_of_the_module(network, tmp_path):
    path = resized(network.spec, network.size, tmp_path) if network.size else place(network)
    pair = Pair(
        cnnc.load(path, set=network.small),
        network.module(**network.small),
        by_name=network.module is not yolov3_tiny.YoloV3Tiny,
    )
    assert parameters(pair.ours) == parameters(pair.theirs)
    pair.agree(*network.spaces)
    if network.trains:
        pair.agree_in_training()
