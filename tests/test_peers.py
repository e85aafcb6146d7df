"""The hand-written networks have the published sizes: a comparison with them is a comparison with the papers."""

import pytest
import torch
from torch import nn

from tests.peers import INPUTS, PEERS, copy_parameters

# spec: parameters, running statistics, multiply-adds of convolutions and linear layers, features that come out
SIZES = {
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


def multiply_adds(module, x):
    """The multiply-adds of a forward pass of `x` (one sample), and the shape that comes out."""
    total = 0

    def count(layer, _inputs, output):
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    shape = tuple(module(x).shape)
    return total, shape


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_has_the_published_size(name):
    params, statistics, macs, features = SIZES[name]
    with torch.device("meta"):
        peer = PEERS[name]().eval()
        x = torch.empty(1, *INPUTS[name])
    assert sum(p.numel() for p in peer.parameters()) == params
    assert sum(b.numel() for key, b in peer.named_buffers() if "num_batches" not in key) == statistics
    assert multiply_adds(peer, x) == (macs, (1, features))


def test_googlenet_at_224_has_the_published_cost():
    with torch.device("meta"):
        macs, _ = multiply_adds(PEERS["googlenet"]().eval(), torch.empty(1, 1, 224, 224))
    assert macs == 1_502_982_144


def test_parameters_are_copied_in_order_of_definition():
    source, target = PEERS["lenet_bn"]().eval(), PEERS["lenet_bn"]().eval()
    x = torch.randn(2, 1, 28, 28)
    assert not torch.equal(source(x), target(x))
    copy_parameters(source, target)
    torch.testing.assert_close(source(x), target(x), rtol=0, atol=0)
