"""Parts of torch modules that become specs: outputs, layers that ONNX lacks, and numbers that are tensors."""

import pytest
import torch
from torch import nn

import cnnc
from cnnc.diagnostics import CnncError, Code


class NotInOnnx(nn.Module):
    """Torch's exporter has neither the dropout of channels in training nor windows of unequal size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.drop = nn.Dropout2d(0.3)
        self.pools = nn.Sequential(nn.AdaptiveAvgPool2d((3, 5)), nn.AdaptiveMaxPool2d(2))

    def forward(self, x):
        return self.pools(self.drop(self.conv(x))), self.conv(x)


def test_what_torch_cannot_export_is_imported(capfd):
    found = cnnc.from_torch(NotInOnnx(), torch.randn(1, 3, 8, 8))
    text = found.text
    assert "dropout: {rate: 0.3, channels: true}" in text
    assert "adaptive_avg_pool: {size: [3, 5]}" in text
    assert "adaptive_max_pool: {size: 2}" in text
    assert not any(each.name.isdigit() for each in cnnc.load(found.spec).outputs)
    assert capfd.readouterr() == ("", "")


class Viewed(nn.Module):
    """A layer that takes something else than the maps that its op expects."""

    def __init__(self, view, layer):
        super().__init__()
        self.view, self.layer = view, layer

    def forward(self, x):
        return self.layer(self.view(torch.relu(x)))


@pytest.mark.parametrize(
    ("view", "layer"),
    [
        (lambda x: x.flatten(1), nn.Dropout2d()),
        (lambda x: x.flatten(2), nn.Dropout1d()),
        (lambda x: x.unsqueeze(2), nn.Dropout3d()),
        (lambda x: x.flatten(2), nn.AdaptiveAvgPool2d((5, 3))),
    ],
)
def test_refusals_have_the_names_of_torch(view, layer):
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(Viewed(view, layer), torch.randn(1, 3, 4, 4))
    name = type(layer).__name__
    assert f"node '/layer/{name}' ({name}) cannot be imported" in str(caught.value)


class ChannelsLast(nn.Module):
    """A block of ConvNeXt, whose layers after the first take a map with its channels last."""

    def __init__(self):
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.LayerNorm(4)
        self.pwconv1, self.pwconv2 = nn.Linear(4, 8), nn.Linear(8, 4)
        self.gamma = nn.Parameter(torch.rand(4))

    def forward(self, x):
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


def test_layers_on_channels_last_are_those_on_channels_first(tmp_path):
    module, x = ChannelsLast(), torch.randn(1, 4, 8, 8)
    found = cnnc.from_torch(module, x)
    ops = ["conv", "layer_norm", "conv", "gelu", "conv", "scale", "add"]
    assert [node.op.name for node in cnnc.load(found.spec).nodes] == ops
    found.write(tmp_path / "net.yaml")
    torch.save(module.state_dict(), tmp_path / "w.pt")
    ours = cnnc.compile(found.spec, weights=tmp_path / "w.pt", map=tmp_path / "net.map.yaml").eval()
    torch.testing.assert_close(ours(x), module(x))


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x.permute(0, 3, 1, 2))


def test_the_input_of_a_module_stays_as_it_is():
    assert cnnc.from_torch(Turned(), torch.randn(1, 8, 6, 3)).spec["input"] == {"x": [8, 6, 3]}


class ScaledNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.gamma = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x):
        return torch.relu(self.norm(x) * self.gamma)


def test_a_factor_after_a_norm_stays_a_tensor_of_its_own():
    assert "gamma" in cnnc.from_torch(ScaledNorm(), torch.randn(1, 3, 8, 8)).keys.values()


def test_a_map_is_written_if_keys_differ(tmp_path):
    module, x = ScaledNorm(), torch.randn(1, 3, 8, 8)
    cnnc.from_torch(module, x).write(tmp_path / "net.yaml")
    module.gamma.data.fill_(3)
    torch.save(module.state_dict(), tmp_path / "later.pt")
    ours = cnnc.compile(tmp_path / "net.yaml", weights=tmp_path / "later.pt", map=tmp_path / "net.map.yaml").eval()
    torch.testing.assert_close(ours(x), module.eval()(x))


class Nested(nn.Module):
    def forward(self, x):
        return {"a": torch.relu(x)}, [torch.sigmoid(x)]


class Named(nn.Module):
    def forward(self, x):
        return {"mask": torch.sigmoid(x), "edges": torch.relu(x)}


def test_outputs_of_a_dict_keep_their_names():
    spec = cnnc.from_torch(Named(), torch.randn(1, 3, 8, 8)).spec
    assert [*spec["outputs"]] == ["mask", "edges"]
    graph = cnnc.load(spec)
    assert [graph.node[each.ref.node].op.name for each in graph.outputs] == ["sigmoid", "relu"]


class WithNone(nn.Module):
    def forward(self, x):
        return torch.relu(x), None


def test_nested_outputs_are_flattened():
    assert len(cnnc.from_torch(Nested(), torch.randn(1, 3, 8, 8)).spec["outputs"]) == 2
    assert "outputs" not in cnnc.from_torch(WithNone(), torch.randn(1, 3, 8, 8)).spec


class Temperature(nn.Module):
    """A number that is a tensor becomes a number in the spec, so the spec is another with random weights."""

    def __init__(self, decides):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.gamma = nn.Parameter(torch.zeros(4, 1, 1))
        self.register_buffer("temperature", torch.tensor(2.0))
        self.decides = decides

    def forward(self, image):
        x = self.conv(image) * self.temperature
        return x + self.gamma * (torch.sigmoid(x) if self.decides and image.mean() > 0 else torch.relu(x))


def test_numbers_that_are_tensors_are_proved_with_random_weights_too():
    found = cnnc.from_torch(Temperature(decides=False), torch.randn(1, 3, 8, 8))
    assert found.keys == {key: key for key in ("conv.weight", "conv.bias", "gamma.weight")} | {"gamma.weight": "gamma"}
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(Temperature(decides=True), torch.randn(1, 3, 8, 8))
    assert caught.value.diagnostics[0].code == Code.NOT_VERIFIED


class NormAct(nn.BatchNorm2d):
    """A batch norm with an activation inside, as timm has it."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Dropout(0.0), nn.ReLU()

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


class PaddedConv(nn.Conv2d):
    """A convolution with padding of its own before it."""

    def forward(self, x):
        return super().forward(nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"))


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = PaddedConv(3, 4, 3), NormAct(4)
        self.head = nn.Sequential()
        self.head.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.bn(self.conv(x)))


def test_layers_with_others_inside_keep_their_names():
    found = cnnc.from_torch(Layers(), torch.randn(1, 3, 8, 8))
    assert [*found.keys] == [*found.keys.values()]
    head = {"name": "head", "nodes": ["global_avg_pool", "flatten", {"linear": {"name": "fc", "out": "$classes"}}]}
    assert found.spec["nodes"][2:] == [{"batch_norm": {"name": "bn"}}, "relu", {"group": head}]


class Dropping(nn.Module):
    """Functional dropouts, which take the mode of the module around them, and a norm that takes it as well."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 2)
        self.register_buffer("mean", torch.rand(4))
        self.register_buffer("var", torch.rand(4) + 1)

    def forward(self, x):
        x = nn.functional.dropout2d(self.conv(x), 0.1, training=self.training)
        x = nn.functional.batch_norm(x, self.mean, self.var, training=self.training)
        x = nn.functional.dropout(x.mean((2, 3)), 0.25, self.training)
        return self.fc(nn.functional.dropout(x, 0.3, training=False))


class DroppingInCpp(Dropping):
    """A function without an override in Python, which takes no other mode than a bool."""

    def forward(self, x):
        return super().forward(torch.dropout(x, 0.2, self.training))


@pytest.mark.parametrize(("kind", "rates"), [(Dropping, [0.1, 0.25]), (DroppingInCpp, [])])
def test_functional_dropouts_are_kept(kind, rates):
    module = kind()
    found = cnnc.from_torch(module, torch.randn(1, 3, 8, 8))
    dropouts = [node.op for node in cnnc.load(found.spec).nodes if node.op.name == "dropout"]
    assert [(each.rate, each.channels) for each in dropouts] == [(rate, rate == 0.1) for rate in rates]
    assert all(each.training is True for each in module.modules())
