"""Ten networks, written by hand in torch as people write them, and their ONNX files by both of torch's exporters."""

import logging
import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import nn


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU6(), nn.AvgPool2d(2)
        )
        self.classifier = nn.Sequential(nn.Linear(16 * 7 * 7, 32), nn.Tanh(), nn.Dropout(), nn.Linear(32, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class Unit(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = (
            None
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Unit(8, 8, 1), Unit(8, 8, 1))
        self.layer2 = nn.Sequential(Unit(8, 16, 2), Unit(16, 16, 1))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(x.view(x.size(0), -1))


class Branches(nn.Module):
    def __init__(self, channels, widths):
        super().__init__()
        one, three, five, pool = widths
        self.b1 = nn.Conv2d(channels, one, 1)
        self.b2_1, self.b2_2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, three, 3, padding=1)
        self.b3_1, self.b3_2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, five, 5, padding=2)
        self.b4 = nn.Conv2d(channels, pool, 1)

    def forward(self, x):
        pooled = F.max_pool2d(x, 3, 1, 1)
        parts = [self.b1(x), self.b2_2(F.relu(self.b2_1(x))), self.b3_2(F.relu(self.b3_1(x))), self.b4(pooled)]
        return torch.cat([F.relu(each) for each in parts], dim=1)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.lrn = nn.LocalResponseNorm(5)
        self.inception3a, self.inception3b = Branches(8, (4, 6, 4, 2)), Branches(16, (8, 6, 4, 6))
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        x = self.inception3b(self.inception3a(self.lrn(F.relu(self.stem(x)))))
        return F.log_softmax(self.fc(x.mean((2, 3))), dim=1)


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 4 * k) for k in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(8 + 4 * k, 4, 3, padding=1, bias=False) for k in range(3))
        self.norm, self.last = nn.BatchNorm2d(20), nn.Linear(20, 10)

    def forward(self, x):
        x = self.conv0(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        x = F.avg_pool2d(F.relu(self.norm(x)), 2, ceil_mode=True)
        return self.last(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Depthwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(),
            nn.Conv2d(8, 8, 3, 1, 2, dilation=2, groups=8), nn.BatchNorm2d(8), nn.SiLU(),
            nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.LeakyReLU(0.1),
            nn.Conv2d(16, 16, 3, padding=1, groups=4), nn.PReLU(16), nn.Mish(), nn.Softplus(), nn.ELU(),
        )  # fmt: skip
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.conv = nn.Conv2d(16, 8, 3, 2)
        self.classifier = nn.Linear(8, 10)

    def forward(self, x):
        x = self.conv(self.pad(self.layers(x)))
        return self.classifier(F.adaptive_max_pool2d(x, 1).squeeze(-1).squeeze(-1))


class Squeeze(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.reduce, self.expand = nn.Linear(16, 4), nn.Linear(4, 16)
        self.head = nn.Conv2d(16, 10, 1)

    def forward(self, x):
        x = F.gelu(self.conv(x))
        x = x * torch.sigmoid(self.fc2(F.relu(self.fc1(self.pool(x)))))
        s = F.hardsigmoid(self.expand(F.relu(self.reduce(self.pool(x).view(x.shape[0], 16)))))
        x = x * s.view(x.shape[0], 16, 1, 1)
        return torch.softmax(self.head(x).mean(dim=[2, 3]), dim=-1)


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.up1 = nn.ConvTranspose2d(16, 16, 2, 2)
        self.up2 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.join1, self.join2 = nn.Conv2d(32, 8, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)
        self.norm, self.instance = nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(F.max_pool2d(a, 2)))
        c = F.relu(self.middle(F.max_pool2d(b, 2)))
        c = self.norm(self.join1(torch.cat([self.up1(c), b], 1)))
        c = self.instance(self.join2(torch.cat([self.up2(c), a], 1)))
        return self.out(F.interpolate(F.avg_pool2d(c, 2), size=(32, 32), mode="nearest"))


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 2, 1)
        self.branch = nn.Sequential(
            nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8)
        )
        self.up = nn.PixelShuffle(2)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        a, b = self.conv(x).chunk(2, dim=1)
        x = torch.cat((a, self.branch(b)), 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        return self.fc(self.up(x)[:, :, 2:-2, ::2].mean([2, 3]))


class Block(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.heads, self.qkv, self.proj = heads, nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.mlp = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def attend(self, x):
        n, t, size = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * (size // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, t, size))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 24, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 24))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, 24))
        self.blocks = nn.Sequential(Block(24, 3), Block(24, 3))
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)
        self.norm, self.head = nn.LayerNorm(24, eps=1e-6), nn.Linear(24, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        x = self.blocks(x)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.norm(x)[:, 0])


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.Flatten(), nn.Linear(392, 16)
        )

    def forward(self, left, right):
        a, b = self.encoder(left), self.encoder(right)
        return torch.abs(F.normalize(a, dim=1) - F.normalize(b, dim=1)).sum(dim=1, keepdim=True)


MODULES = {
    "plain": Plain,
    "residual": Residual,
    "inception": Inception,
    "dense": Dense,
    "depthwise": Depthwise,
    "squeeze": Squeeze,
    "unet": Unet,
    "shuffle": Shuffle,
    "vit": Vit,
    "siamese": Siamese,
}


def made(name):
    """The module, in evaluation, with statistics that a batch norm has after training."""
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.running_mean.normal_()
            each.running_var.uniform_(0.5, 2)
            each.weight.data.uniform_(0.5, 2)
            each.bias.data.normal_()
    return module


def export(name, path, *, dynamo, free=True):
    """Write the module's ONNX file, whose batch is `free` or 1; return the module."""
    module, data = exported(name, dynamo, free)
    path.write_bytes(data)
    return module


@cache  # torch takes seconds for a file, which several tests read
def exported(name, dynamo, free):
    module = made(name)
    inputs = tuple(torch.randn(2 if free and dynamo else 1, 3, 32, 32) for _ in range(2 if name == "siamese" else 1))
    names = ["left", "right"][: len(inputs)] if len(inputs) > 1 else ["image"]
    more = {}
    if free and dynamo:
        more["dynamic_shapes"] = tuple({0: torch.export.Dim("batch")} for _ in inputs)
        if len(inputs) == 2:
            batch = torch.export.Dim("batch")
            more["dynamic_shapes"] = ({0: batch}, {0: batch})
    elif free:
        more["dynamic_axes"] = {each: {0: "batch"} for each in [*names, "scores"]}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, path, dynamo=dynamo, input_names=names, output_names=["scores"],
            external_data=False, verbose=False, **more,
        )  # fmt: skip
        return module, path.read_bytes()
