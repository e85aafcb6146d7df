"""The published networks that are compared with hand-written torch modules, each with a small size of both."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import nn

from tests.by_hand import (
    attention,
    darknet,
    detr,
    hrnet,
    mixers,
    nf_resnet,
    pictures,
    pyramid,
    res2net,
    two_inputs,
    unet,
)

WIDTHS = [16, 32]
ONE = [1, 1, 1, 1]


class Network(NamedTuple):
    """A spec, the module, its parameters at full size, and a small size of both."""

    spec: str
    module: Callable[..., nn.Module]
    parameters: int
    small: Mapping[str, Any] = MappingProxyType({})


NETWORKS = [
    Network("specs/zoo/unet", unet.UNet, 31_030_658, {"width": 2, "size": 188}),
    Network("specs/zoo/unet_padded", unet.PaddedUNet, 31_031_810, {"width": 4}),
    Network("specs/zoo/fpn_resnet50", pyramid.FPN, 26_852_416, {"width": 8, "out": 16, "depths": ONE}),
    # torchvision's 34,014,999 parameters, and 53,120 of the batch norms, which are constants there
    Network(
        "specs/zoo/retinanet_resnet50",
        pyramid.RetinaNet,
        34_068_119,
        {"width": 4, "out": 8, "depths": ONE, "convs": 1, "size": 128},
    ),
    # the published 41,524,768, 53,120 of the batch norms, and 102,400 of the positions, which are waves there
    Network(
        "specs/zoo/detr_resnet50",
        detr.DETR,
        41_680_288,
        {"size": 64, "depths": ONE, "width": 4, "features": 16, "heads": 2, "hidden": 32, "layers": 2, "dropout": 0},
    ),
    Network("specs/zoo/cbam_resnet18", attention.CBAMResNet18, 11_779_392, {"widths": WIDTHS, "classes": 10}),
    Network("specs/zoo/eca_resnet18", attention.ECAResNet18, 11_689_536, {"widths": WIDTHS, "classes": 10}),
    Network("specs/zoo/res2net50", res2net.Res2Net50, 25_699_120, {"channels": [8, 16], "depths": [2, 1]}),
    Network("specs/zoo/espcn_x3", pictures.ESPCN, 22_729),
    Network("specs/zoo/dcgan", pictures.Generator, 3_576_704, {"width": 8}),
    Network("specs/zoo/siamese", two_inputs.Siamese, 38_951_745, {"width": 4, "features": 32}),
    Network("specs/zoo/mlp_mixer_s16", mixers.MlpMixer, 18_528_264, {"width": 64, "depth": 2}),
    Network("specs/zoo/convmixer_768_32", mixers.ConvMixer, 21_110_248, {"width": 16, "depth": 2}),
    Network("specs/zoo/cspdarknet", darknet.CSPDarknet, 4_171_456, {"width": 8, "depths": ONE, "size": 64}),
    Network("tests/published/hrnet", hrnet.HRNet, 2_260_049, {"width": 4, "depth": 1, "modules": 2, "size": 64}),
    Network("tests/published/nf_resnet", nf_resnet.NFResNet, 25_557_048, {"widths": WIDTHS, "depths": [2, 1]}),
    Network("tests/published/picture_and_vector", two_inputs.PictureAndVector, 2_386),
]
