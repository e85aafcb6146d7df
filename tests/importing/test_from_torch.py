"""Torch modules become specs: `cnnc.from_torch`, and what it keeps of them."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import cnnc
from cnnc.diagnostics import CnncError, Code
from tests.command import run_command
from tests.importing.modules import MODULES, made

REGROUPED = ("dense", "vit")  # their scopes cannot all be the same: interleaved lists, and attention in parts


def inputs_of(name):
    return tuple(torch.randn(2, 3, 32, 32) for _ in range(2 if name == "siamese" else 1))


def state_of(module):
    return {key: each.clone() for key, each in module.state_dict().items()}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_becomes_a_spec_with_its_weights(name, tmp_path):
    module, inputs = made(name), inputs_of(name)
    state, modes = state_of(module), [each.training for each in module.modules()]
    found = cnnc.from_torch(module, inputs)
    torch.testing.assert_close(state_of(module), state, rtol=0, atol=0)
    assert [each.training for each in module.modules()] == modes
    counted = {key for key in state if not key.endswith("num_batches_tracked")}
    assert {*found.keys.values()} == counted
    assert name in REGROUPED or found.keys == dict(zip(counted, counted, strict=True))
    found.write(tmp_path / "net.yaml")
    compiled = cnnc.compile(tmp_path / "net.yaml", weights=tmp_path / "net.safetensors").eval()
    with torch.inference_mode():
        torch.testing.assert_close(compiled(*inputs), module(*inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "siamese"])
def test_a_checkpoint_of_the_module_loads(name, tmp_path):
    module, inputs = made(name), inputs_of(name)
    found = cnnc.from_torch(module, inputs)
    for each in module.parameters():
        each.data.normal_(0, 0.1)
    torch.save(module.state_dict(), tmp_path / "later.pt")
    compiled = cnnc.compile(found.spec, weights=tmp_path / "later.pt").eval()
    with torch.inference_mode():
        torch.testing.assert_close(compiled(*inputs), module(*inputs), rtol=1e-4, atol=1e-5)


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 4, 4)
        self.pos = nn.Parameter(torch.randn(1, 4, 16))

    def forward(self, x):
        return (self.conv(x).flatten(2).transpose(1, 2) + self.pos).mean(1)


def test_a_parameter_keeps_its_first_axis_of_1(tmp_path):
    module, x = Positions(), torch.randn(1, 3, 8, 8)
    found = cnnc.from_torch(module, x)
    torch.save(module.state_dict(), tmp_path / "w.pt")
    ours = cnnc.compile(found.spec, weights=tmp_path / "w.pt").eval()
    torch.testing.assert_close(ours(x), module(x))


class Trained(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4, momentum=0.3, eps=1e-3)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(4, 2)

    def forward(self, picture):
        return self.fc(self.drop(self.bn(self.conv(picture)).mean((2, 3))))


def test_what_happens_in_training_is_kept(tmp_path):
    module = Trained()
    found = cnnc.from_torch(module, torch.randn(1, 3, 8, 8), name="trained")
    assert found.spec["input"] == {"picture": [3, 8, 8]}
    assert found.spec["name"] == "trained"
    assert {"dropout": {"rate": 0.25}} in found.spec["nodes"]
    assert {"batch_norm": {"name": "bn", "eps": 0.001, "momentum": 0.3}} in found.spec["nodes"]
    torch.save(module.state_dict(), tmp_path / "w.pt")
    ours = cnnc.compile(found.spec, weights=tmp_path / "w.pt")
    x = torch.randn(4, 3, 8, 8)
    for each in (module, ours):
        each.train()
        torch.manual_seed(0)
        each(x)
    torch.testing.assert_close(ours.state_dict()["bn.running_var"], module.state_dict()["bn.running_var"])
    assert module.training


class Deciding(nn.Module):
    def forward(self, x):
        return torch.relu(x) if x.sum() > 0 else torch.sigmoid(x)


def test_a_forward_that_decides_by_values_is_refused():
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(Deciding(), torch.full((1, 3, 8, 8), 1e3))
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.NOT_VERIFIED
    assert "(`return torch.relu(x) if x.sum() > 0" in str(diagnostic.help)


class Spectral(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).abs()


class Cumulative(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 1)


@pytest.mark.parametrize("module", [Spectral(), Cumulative()])
def test_what_no_op_computes_is_refused(module):
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(module, torch.randn(1, 3, 8, 8))
    assert {each.code for each in caught.value.diagnostics} == {Code.NOT_IMPORTABLE}


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x, y):
        return {"a": self.conv(x), "b": torch.relu(self.conv(y))}["a"], torch.relu(y)


def test_several_outputs():
    found = cnnc.from_torch(Pair(), (torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8)))
    assert [*found.spec["inputs"]] == ["x", "y"]
    assert len(found.spec["outputs"]) == 2


NETS = """
import torch
from tests.importing.modules import made

def residual(): return made("residual")
def number(): return 3
def failing(): raise ValueError("no such\\nweights")
ready = torch.nn.Conv2d(3, 4, 1)
"""


class Viewed(torch.nn.Module):
    """A convolution whose weight is kept in another shape."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(8, 27))

    def forward(self, x):
        return torch.nn.functional.conv2d(x, self.weight.view(8, 3, 3, 3)).mean((2, 3))


def test_a_weight_may_have_another_shape_in_the_module():
    found = cnnc.from_torch(Viewed(), torch.randn(2, 3, 8, 8))
    assert "weight" in found.keys.values()


class Shifted(torch.nn.Module):
    def __init__(self, persistent):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.register_buffer("pos", torch.randn(1, 4, 6, 6), persistent=persistent)

    def forward(self, x):
        return torch.relu(self.conv(x) + self.pos)


@pytest.mark.parametrize("persistent", [True, False])
def test_a_buffer_that_becomes_a_weight_is_named(persistent):
    assert cnnc.from_torch(Shifted(persistent), torch.randn(2, 3, 8, 8)).buffers == ("pos",)


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "some_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("some_nets", None)


def test_the_command_imports_what_a_factory_makes(nets):
    words = ("import", "some_nets:residual", "--allow-code", "--input-size", "3,32,32")
    done = run_command(*words, "--mean", "0.5,0.5,0.5", "--mode", "bgr")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "of the module, batches 1 and 3" in done.stdout
    graph = cnnc.load("residual.yaml")
    assert (graph.inputs[0].picture.mode, graph.inputs[0].picture.mean) == ("bgr", (0.5, 0.5, 0.5))
    assert run_command("build", "residual.yaml", "--weights", "residual.safetensors", "--target", "onnx").exit_code == 0
    Path("residual.yaml").write_text("mine")
    assert run_command(*words).exit_code == 1  # it exists already
    assert Path("residual.yaml").read_text() == "mine"
    done = run_command(*words, "--overwrite")
    assert done.exit_code == 0
    assert "note: how pictures for `x` were prepared is not known" in done.stderr
    assert cnnc.load("residual.yaml").name == "residual"
    Path("real").mkdir()
    Path("residual.yaml").rename("real/residual.yaml")
    Path("residual.yaml").symlink_to("real/residual.yaml")
    Path("residual.map.yaml").write_text("of another network")
    assert run_command(*words).exit_code == 1
    assert run_command(*words, "--overwrite").exit_code == 0
    assert Path("residual.yaml").is_symlink()
    assert cnnc.load("real/residual.yaml").name == "residual"
    assert not Path("residual.map.yaml").exists()
    assert str(nets) not in sys.path


@pytest.mark.parametrize(
    ("model", "options", "code", "says"),
    [
        ("some_nets:residual", [], 2, "--allow-code"),
        ("some_nets:residual", ["--allow-code"], 2, "--input-size"),
        ("some_nets:number", ["--allow-code", "--input-size", "3,8,8"], 1, "returns a int"),
        ("some_nets:failing", ["--allow-code", "--input-size", "3,8,8"], 1, "ValueError: no such"),
        ("some_nets", ["--allow-code", "--input-size", "3,8,8"], 1, "name what makes it: some_nets:FACTORY"),
        ("./some_nets.py", ["--allow-code", "--input-size", "3,8,8"], 1, "name what makes it: some_nets:FACTORY"),
        ("some_nets:nothing", ["--allow-code", "--input-size", "3,8,8"], 1, "AttributeError"),
        ("some_nets:residuel", ["--allow-code", "--input-size", "3,8,8"], 1, "did you mean `some_nets:residual`?"),
        ("no_nets:residual", ["--allow-code", "--input-size", "3,8,8"], 1, "start the command in its folder"),
        ("no_nets:residual", ["--allow-code", "--input-size", "3,8,8"], 1, "ModuleNotFoundError"),
    ],
)
def test_what_is_no_module_is_refused(nets, model, options, code, says):
    done = run_command("import", model, *options)
    assert done.exit_code == code
    assert says in done.stderr
    assert not [*nets.glob("*.yaml")]


@pytest.mark.parametrize("model", ["some_nets:ready", "./some_nets.py:ready"])
def test_the_command_imports_a_module_and_takes_paths_of_files(nets, model):
    done = run_command("import", model, "--allow-code", "--input-size", "3,8,8")
    assert done.exit_code == 0, done.stderr
    assert cnnc.load("ready.yaml").nodes[0].op.name == "conv"


class Limited(nn.Module):
    """A module that decides by a value, in the same way for all usual inputs: a trace lacks the other branch."""

    def __init__(self, limit=1e6):
        super().__init__()
        self.limit = limit

    def forward(self, x):
        if x.max() > self.limit:
            return torch.sigmoid(x)
        return torch.relu(x) if x.shape[1] > 1 else x


def test_lines_that_decide_by_a_value_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.importing.modules.made", Limited)
    words = ("--allow-code", "--input-size", "3,8,8", "-o", tmp_path / "net.yaml")
    done = run_command("import", "tests.importing.modules:made", *words)
    assert done.stderr.count("a single value in") == 1
    assert "(`if x.max() > self.limit:`)" in done.stderr


class Gate(nn.Module):
    """A branch behind a factor that is zero at first, as in LayerScale."""

    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, x):
        branch = torch.relu(x) if x.mean() > 0 else torch.sigmoid(x)
        return x + self.gamma * branch


class NotFinite(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.conv.weight.data.fill_(float("nan"))

    def forward(self, x):
        return self.conv(x)


def test_a_difference_that_the_modules_own_zeros_hide_is_found():
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(Gate(), torch.randn(1, 3, 8, 8))
    assert caught.value.diagnostics[0].code == Code.NOT_VERIFIED


def test_what_is_not_finite_proves_nothing():
    with pytest.raises(CnncError, match="NaN or infinity"):
        cnnc.from_torch(NotFinite(), torch.randn(1, 3, 8, 8))


class WithAHead(nn.Module):
    """A network with a head for the training, as torchvision's GoogLeNet."""

    def __init__(self):
        super().__init__()
        self.fc, self.aux = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return (self.fc(x), self.aux(x)) if self.training else self.fc(x)


def test_parameters_that_only_the_training_uses_are_named(tmp_path, monkeypatch):
    assert cnnc.from_torch(WithAHead(), torch.randn(1, 4)).unused == ("aux.weight", "aux.bias")
    monkeypatch.setattr("tests.importing.modules.made", WithAHead)
    words = ("--allow-code", "--input-size", "4", "-o", tmp_path / "net.yaml")
    done = run_command("import", "tests.importing.modules:made", *words)
    assert "so the spec lacks them: aux.weight, aux.bias" in done.stderr


class Versioned(nn.Linear):
    """As torchvision's MNASNet: what a state_dict means depends on the version of the module that wrote it."""

    _version = 2

    def _load_from_state_dict(self, state, prefix, metadata, *others):
        if metadata.get("version") is None:
            raise ValueError("version should be set")
        super()._load_from_state_dict(state, prefix, metadata, *others)


def test_a_module_may_ask_for_the_version_of_a_state_dict():
    found = cnnc.from_torch(Versioned(4, 3), torch.randn(1, 4))
    assert [*found.weights] == ["linear.weight", "linear.bias"]


def test_a_module_without_weights_yet_is_refused():
    with pytest.raises(CnncError, match="LazyLinear"):
        cnnc.from_torch(nn.LazyLinear(3), torch.randn(1, 3, 8, 8))


def test_refusals_name_the_module_not_a_temporary_file():
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(Cumulative(), torch.randn(1, 3, 8, 8))
    assert "Cumulative" in str(caught.value)
    assert "module.onnx" not in str(caught.value)


TWO = """
import os
import torch
from torch import nn

class Two(nn.Module):
    def forward(self, a, b):
        return torch.relu(a), torch.sigmoid(b)

def moving():
    os.chdir("..")
    return Two()

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.register_buffer("mean", torch.zeros(3, 8, 8))

    def forward(self, x):
        for _ in range(3):
            x = torch.tanh(x * self.scale)
        return x - self.mean
"""


def test_sizes_of_inputs_go_by_name_and_notes_say_what_changes(tmp_path, monkeypatch):
    (tmp_path / "two_inputs.py").write_text(TWO)
    monkeypatch.chdir(tmp_path)
    words = ("import", "two_inputs:Two", "--allow-code", "--input-size", "b=3,16,16", "--input-size")
    assert run_command(*words, "a=3,8,8", "-o", "two.yaml").exit_code == 0
    assert cnnc.load("two.yaml").inputs[0].type.shape == (3, 8, 8)
    for last in ("c=3,8,8", "b=3,8,8"):
        assert run_command(*words, last, "-o", "no.yaml").exit_code == 2
    assert run_command("import", "two_inputs:moving", "--allow-code", *words[3:], "a=3,8,8").exit_code == 0
    done = run_command("import", "two_inputs:Tied", "--allow-code", "--input-size", "3,8,8", "-o", "tied.yaml")
    assert "the buffer `mean` has become a weight" in done.stderr
    tied = cnnc.load("tied.yaml")
    assert [node.shares for node in tied.nodes if node.op.name == "scale"] == [None, "scale", "scale"]
    sys.modules.pop("two_inputs", None)


def test_a_failing_trace_prints_nothing_and_says_one_line(capfd):
    with pytest.raises(CnncError) as caught:
        cnnc.from_torch(Spectral(), torch.randn(1, 3, 8, 8))
    assert capfd.readouterr() == ("", "")
    assert len(caught.value.diagnostics[0].message.splitlines()) == 1


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1))
        self.register_buffer("unused", torch.ones(7))

    def forward(self, x):
        return torch.relu((x - self.mean) / self.std)


def test_buffers_that_become_weights_are_named():
    assert cnnc.from_torch(Normalised(), torch.randn(1, 3, 8, 8)).buffers == ("mean", "std")
    assert cnnc.from_torch(made("residual"), torch.randn(1, 3, 32, 32)).buffers == ()


class LinearOfPixels(nn.Module):
    """Like the blocks of ConvNeXt and the image encoder of SAM: a norm, tensors and a linear layer on channels last."""

    def __init__(self, tensors):
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 8, 1), nn.LayerNorm(8), nn.Linear(8, 4)
        if tensors:
            self.at, self.rows = nn.Parameter(torch.randn(1, 8, 6, 8)), nn.Parameter(torch.randn(8, 1, 1))

    def forward(self, x):
        x = self.norm(self.conv(x).permute(0, 2, 3, 1))
        x = (x + self.at) * self.rows if hasattr(self, "at") else x
        return self.linear(x).permute(0, 3, 1, 2)


@pytest.mark.parametrize("tensors", [False, True])
def test_checkpoints_of_a_module_with_channels_last_load(tensors, tmp_path):
    module = LinearOfPixels(tensors).eval()
    found = cnnc.from_torch(module, torch.randn(1, 3, 8, 6))
    assert {*found.keys.values()} == module.state_dict().keys()
    found.write(tmp_path / "net.yaml")
    torch.save(module.state_dict(), tmp_path / "own.pt")
    words = (
        "--weights",
        str(tmp_path / "own.pt"),
        "--map",
        str(tmp_path / "net.map.yaml"),
        "-o",
        str(tmp_path / "out"),
    )
    done = run_command("build", str(tmp_path / "net.yaml"), "--target", "onnx", *words)
    assert done.exit_code == 0, done.stderr
