"""Each network computes what the same network written by hand computes, in torch and in onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
import torch

import cnnc
from tests.peers import PEERS

SPECS = Path(__file__).parent.parent / "specs"
LARGE = {"vgg11", "resnet152", "alexnet", "vgg11_small"}  # their size is in layers that the others have too


@pytest.fixture(params=sorted(PEERS))
def pair(request):
    """A network by hand and from its spec, with the same weights, in eval mode."""
    torch.manual_seed(0)
    peer = PEERS[request.param]()
    for module in peer.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    module = cnnc.compile(SPECS / f"{request.param}.yaml")
    ours, theirs = module.state_dict(), peer.state_dict()
    assert [tuple(each.shape) for each in ours.values()] == [tuple(each.shape) for each in theirs.values()]
    module.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    return request.param, peer.eval(), module.eval()


def test_a_compiled_network_computes_what_its_peer_does(pair):
    name, peer, module = pair
    (each,) = cnnc.load(SPECS / f"{name}.yaml").inputs
    x = torch.rand(2, *each.type.shape)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), peer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(PEERS.keys() - LARGE))
def test_a_network_trains_as_its_peer_does(name):
    torch.manual_seed(0)
    peer = PEERS[name]()
    module = cnnc.compile(SPECS / f"{name}.yaml")
    module.load_state_dict(dict(zip(module.state_dict(), peer.state_dict().values(), strict=True)))
    (each,) = cnnc.load(SPECS / f"{name}.yaml").inputs
    x, y = torch.rand(2, *each.type.shape), torch.tensor([1, 2])
    gradients = []
    for network in (module, peer):
        torch.manual_seed(1)  # for dropout
        loss = torch.nn.functional.cross_entropy(network.train()(x), y)
        loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    ours, theirs = gradients
    assert torch.linalg.vector_norm(ours - theirs) <= 1e-3 * torch.linalg.vector_norm(theirs)


@pytest.mark.parametrize("name", ["lenet_bn", "googlenet", "densenet_bottleneck"])
def test_an_exported_file_computes_what_the_peer_does(name, tmp_path):
    import onnxruntime as ort
    from safetensors.torch import save_file

    torch.manual_seed(0)
    peer = PEERS[name]().eval()
    keys = cnnc.compile(SPECS / f"{name}.yaml").state_dict()
    weights = tmp_path / "weights.safetensors"
    save_file(dict(zip(keys, peer.state_dict().values(), strict=True)), weights)
    built = cnnc.build(SPECS / f"{name}.yaml", targets=["onnx"], weights=weights, out=tmp_path)
    (each,) = cnnc.load(SPECS / f"{name}.yaml").inputs
    x = torch.rand(5, *each.type.shape)
    session = ort.InferenceSession(built.folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        np.testing.assert_allclose(session.run(None, {each.name: x.numpy()})[0], peer(x).numpy(), rtol=1e-3, atol=1e-5)
