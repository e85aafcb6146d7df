"""Layers that networks of today have, written with functions of torch: each becomes a few ops of the spec."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import cnnc


class ChannelConv(nn.Module):
    """Attention over channels by a convolution along them (ECA)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        gate = self.conv(x.mean((2, 3)).view(x.shape[0], 1, -1)).sigmoid()
        return x * gate.view(x.shape[0], -1, 1, 1)


class ResponseNorm(nn.Module):
    """The global response norm of ConvNeXt V2."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4))

    def forward(self, x):
        norm = x.norm(p=2, dim=(2, 3), keepdim=True)
        return x + self.weight.view(1, -1, 1, 1) * (x * (norm / (norm.mean(1, keepdim=True) + 1e-6)))


class Context(nn.Module):
    """The mean of all positions, weighed by a softmax (GCNet)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        weights = self.conv(x).reshape(-1, 1, x.shape[2] * x.shape[3]).softmax(-1).unsqueeze(3)
        context = x.reshape(-1, x.shape[1], x.shape[2] * x.shape[3]).unsqueeze(1) @ weights
        return x + context.view(-1, x.shape[1], 1, 1)


class Selecting(nn.Module):
    """Branches that are weighed per channel (SKNet, ResNeSt)."""

    def forward(self, x):
        branches = torch.stack([x, x.relu()], 1)
        gate = branches.sum(1).mean((2, 3))
        gate = torch.stack([gate, -gate], 1)[..., None, None].softmax(1)
        return (branches * gate).sum(1)


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised."""

    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(flat, None, None, training=True, momentum=0.0).reshape_as(self.weight)
        return functional.conv2d(x, weight, self.bias, padding=1)


class PaddedAsTensorFlow(nn.Conv2d):
    """A convolution whose padding is computed from the size of its input."""

    def forward(self, x):
        sides = []
        for size in x.shape[:1:-1]:
            pad = torch.clamp(((torch.as_tensor(size) / 2).ceil() - 1) * 2 + 3 - size, min=0).int()
            sides += [pad // 2, pad - pad // 2]
        return functional.conv2d(functional.pad(x, sides), self.weight, self.bias, 2)


class Summed(nn.Module):
    """A sum in steps, of which only the last one is used."""

    def forward(self, x):
        total = x.relu()
        for each in (x.sigmoid(), x.tanh(), x):
            total = total + each
        return total


class NormedTokens(nn.Module):
    """A norm of the tokens of a map in the order of its positions, as between the stages of MetaFormer."""

    def __init__(self):
        super().__init__()
        self.fc, self.norm = nn.Linear(4, 6), nn.LayerNorm(6)

    def forward(self, x):
        tokens = self.fc(x.flatten(2).transpose(1, 2)).view(-1, x.shape[2], x.shape[3], 6)
        return self.norm(tokens).permute(0, 3, 1, 2)


class Shifted(nn.Module):
    """A pool behind more padding than it may have itself."""

    def forward(self, x):
        return functional.avg_pool2d(functional.pad(x, (-1, 1, -1, 1)), 1, 2)


STACKS = "relu concat reshape sum global_avg_pool reshape affine reshape concat reshape softmax reshape mul reshape sum"
LAYERS = {
    ChannelConv: (ChannelConv, "global_avg_pool reshape conv sigmoid reshape mul"),
    ResponseNorm: (ResponseNorm, "square sum sqrt mean affine div mul scale add"),
    Context: (Context, "conv reshape softmax reshape reshape matmul reshape add"),
    Selecting: (Selecting, STACKS),
    Standardised: (lambda: Standardised(4, 6, 3), "conv"),
    PaddedAsTensorFlow: (lambda: PaddedAsTensorFlow(4, 6, 3), "conv"),
    Summed: (Summed, "relu sigmoid tanh add"),
    NormedTokens: (NormedTokens, "tokens linear layer_norm untokens"),
    Shifted: (Shifted, "slice slice pad avg_pool"),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_becomes_ops(kind):
    make, ops = LAYERS[kind]
    found = cnnc.from_torch(make().eval(), torch.randn(2, 4, 8, 6))
    assert [each.op.name for each in cnnc.load(found.spec).nodes] == ops.split()
