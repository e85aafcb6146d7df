"""Each network computes what the same network written by hand computes, in torch and in onnxruntime."""

from pathlib import Path

import pytest
import torch

import cnnc
from cnnc.verification.compare import compare, sensitivity
from tests.live import enlivened
from tests.peers import PEERS
from tests.thorough import rows, thorough

SPECS = Path(__file__).parent.parent / "specs"
SIDES = {"resnet18": 96, "resnet152": 96}  # of a smaller picture, which convolutions and a global pool take as well
LARGE = {"vgg11", "resnet152", "alexnet", "vgg11_small"}  # their size is in layers that the others have too
QUICK = sorted(PEERS.keys() - LARGE)


@pytest.fixture(params=rows(sorted(PEERS), quick=QUICK))
def pair(request):
    """A network by hand and from its spec, with the same live weights, in eval mode."""
    peer = live_peer(request.param)
    module = cnnc.compile(SPECS / f"{request.param}.yaml")
    ours, theirs = module.state_dict(), peer.state_dict()
    assert [tuple(each.shape) for each in ours.values()] == [tuple(each.shape) for each in theirs.values()]
    module.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    return request.param, peer, module.eval()


def live_peer(name):
    torch.manual_seed(0)
    with torch.device("meta"):  # to draw numbers that are then overwritten takes as long as the rest
        peer = PEERS[name]()
    return enlivened(peer.to_empty(device="cpu").eval(), [picture(name)])


def picture(name):
    (each,) = cnnc.load(SPECS / f"{name}.yaml").inputs
    return torch.randn(2, *each.type.shape)[..., : SIDES.get(name), : SIDES.get(name)]


def near(a, b):
    """An answer is another's, and depends on its input."""
    assert compare(a.numpy(), b.numpy()).ok
    assert sensitivity(b.numpy()) > 100


def test_a_compiled_network_computes_what_its_peer_does(pair):
    name, peer, module = pair
    x = picture(name)
    with torch.inference_mode():
        near(module(x), peer(x))


@pytest.mark.parametrize("name", QUICK)
def test_a_network_trains_as_its_peer_does(name):
    torch.manual_seed(0)
    peer = PEERS[name]()
    module = cnnc.compile(SPECS / f"{name}.yaml")
    module.load_state_dict(dict(zip(module.state_dict(), peer.state_dict().values(), strict=True)))
    x, y = picture(name), torch.tensor([1, 2])
    gradients = []
    for network in (module, peer):
        torch.manual_seed(1)  # for dropout
        loss = torch.nn.functional.cross_entropy(network.train()(x), y)
        loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    ours, theirs = gradients
    assert torch.linalg.vector_norm(ours - theirs) <= 1e-3 * torch.linalg.vector_norm(theirs)


@pytest.mark.parametrize("name", ["lenet_bn", pytest.param("googlenet", marks=thorough), "densenet_bottleneck"])
def test_an_exported_file_computes_what_the_peer_does(name, tmp_path):
    import onnxruntime as ort
    from safetensors.torch import save_file

    peer = live_peer(name)
    keys = cnnc.compile(SPECS / f"{name}.yaml").state_dict()
    weights = tmp_path / "weights.safetensors"
    save_file(dict(zip(keys, peer.state_dict().values(), strict=True)), weights)
    built = cnnc.build(SPECS / f"{name}.yaml", targets=["onnx"], weights=weights, out=tmp_path)
    (each,) = cnnc.load(SPECS / f"{name}.yaml").inputs
    x = torch.randn(5, *each.type.shape)
    session = ort.InferenceSession(built.folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        near(torch.from_numpy(session.run(None, {each.name: x.numpy()})[0]), peer(x))
