"""Networks with shared parameters: every target gives what a hand-written module gives, with each tensor once."""

import onnx
import pytest
import torch
from torch import nn

import cnnc
from cnnc.targets.choices import Target
from cnnc.targets.loaded_onnx import LoadedOnnx
from cnnc.targets.module_scopes import ModuleScope, divide
from cnnc.targets.registry import TABLE
from tests.nets import conv, net

ENCODER = {"nodes": [conv(8, 3, bias=False), "batch_norm", "relu", conv(6, 3, act="prelu")]}
HEAD = {
    "outputs": {"wide": "upsample", "deep": "tanh"},
    "nodes": [conv(4, 3, padding=1), "tanh", {"group": {"nodes": ["scale"]}}, {"upsample": {"size": [12, 9]}}],
}


def siamese():
    nodes = [
        {"encoder": {"name": "a", "from": "left"}},
        {"encoder": {"name": "b", "from": "right", "share": "a"}},
        {"sub": {"from": ["a", "b"]}},
    ]
    inputs = {"left": [3, 10, 10], "right": [3, 10, 10]}
    return {"cnnc": 1, "name": "net", "inputs": inputs, "blocks": {"encoder": ENCODER}, "nodes": nodes}


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.PReLU()
        )

    def forward(self, left, right):
        return self.a(left) - self.a(right)


def unrolled():
    """A recurrent cell on the same map four times, one step of which is also an output."""
    cell = {"nodes": [conv(4, 3, padding=1), "tanh"]}
    nodes = [{"cell": {"name": "first"}}, {"cell": {"name": "rest", "repeat": 3, "share": "first"}}]
    return net(*nodes, blocks={"cell": cell}, outputs={"last": "rest", "second": "rest.0"})


class Unrolled(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        states = []
        for _ in range(4):
            x = torch.tanh(self.c(x))
            states.append(x)
        return states[3], states[1]


def pyramid():
    """A head on two levels whose code differs, because a size does, and a norm for each level."""
    nodes = [
        {"head": {"name": "p3"}},
        {"max_pool": {"name": "pool", "kernel": 2, "from": "image"}},
        {"batch_norm": {"name": "n3", "from": "p3.wide"}},
        {"head": {"name": "p4", "from": "pool", "share": "p3"}},
        {"batch_norm": {"name": "n4", "from": "p4.deep"}},
    ]
    head = {**HEAD, "nodes": [*HEAD["nodes"][:-1], {"upsample": {"size": "$([input.height + 4, 9])"}}]}
    return net(*nodes, blocks={"head": head}, outputs={"a": "n3", "b": "n4", "c": "p4.wide"})


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.s = nn.Conv2d(4, 4, 3, padding=1), nn.ParameterList([torch.ones(4, 1, 1)])
        self.n3, self.n4 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        deep = [torch.tanh(self.c(each)) for each in (x, nn.functional.max_pool2d(x, 2))]
        wide = [nn.functional.interpolate(self.s[0] * each, (each.shape[2] + 4, 9)) for each in deep]
        return self.n3(wide[0]), self.n4(deep[1]), wide[1]


def folded():
    """A convolution whose uses all have the same norm, one with another norm, and one with none."""
    nodes = [
        conv(4, 3, name="a"),
        {"batch_norm": {"name": "n"}},
        conv(4, 3, name="b", share="a", **{"from": "image"}),
        {"batch_norm": {"name": "m", "share": "n"}},
        {"add": {"name": "s", "from": ["n", "m"]}},
        conv(4, 1, name="c"),
        {"batch_norm": {"name": "o"}},
        conv(4, 1, name="d", share="c", **{"from": "s"}),
        {"batch_norm": {"name": "p"}},
        conv(4, 1, name="e", share="c", **{"from": "s"}),
    ]
    return net(*nodes, outputs=["o", "p", "e"])


class Folded(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.c = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.o, self.p = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        s = self.n(self.a(x)) + self.n(self.a(x))
        return self.o(self.c(s)), self.p(self.c(s)), self.c(s)


def own_norms():
    """A head whose convolutions are those of another level, with a norm of each level's own, of which one is nested."""
    head = {
        "nodes": [
            conv(4, 3, name="a", padding=1, bias=False),
            {"batch_norm": {"name": "n", "share": False}},
            {"group": {"name": "g", "nodes": [conv(4, 1, name="b"), {"batch_norm": {"name": "m", "share": False}}]}},
            "relu",
            conv(3, 1, name="out"),
        ]
    }
    nodes = [
        {"head": {"name": "p3"}},
        {"max_pool": {"name": "pool", "kernel": 2, "from": "image"}},
        {"head": {"name": "p4", "from": "pool", "share": "p3"}},
    ]
    return net(*nodes, blocks={"head": head}, outputs=["p3", "p4"])


class OwnNorms(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n3 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.b, self.m3 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.out, self.n4, self.m4 = nn.Conv2d(4, 3, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        levels = (x, self.n3, self.m3), (nn.functional.max_pool2d(x, 2), self.n4, self.m4)
        return tuple(self.out(torch.relu(m(self.b(n(self.a(each)))))) for each, n, m in levels)


def train_only():
    """The first use is only for training, so a deployed network has the parameters of a node that it lacks."""
    spec = siamese()
    spec["nodes"][2:] = [{"global_avg_pool": {"name": "aux", "from": "a"}}, {"relu": {"name": "main", "from": "b"}}]
    return {**spec, "outputs": {"main": "main", "aux": {"from": "aux", "only": "train"}}}


class TrainOnly(Siamese):
    def forward(self, left, right):
        aux = self.a(left).mean((2, 3), keepdim=True)
        return torch.relu(self.a(right)), aux


def partly_train_only():
    """A block whose first use gives one value only for training, so that a deployed network lacks a part of it."""
    left = {"group": {"name": "left", "nodes": [conv(4, 3, name="c", bias=False), {"batch_norm": {"name": "n"}}]}}
    two = {"outputs": ["left", "right"], "nodes": [left, conv(4, 3, name="right", **{"from": "input"})]}
    nodes = [{"two": {"name": "x"}}, {"two": {"name": "y", "from": "image", "share": "x"}}]
    outputs = {"a": "y.left", "b": "x.right", "c": "y.right", "aux": {"from": "x.left", "only": "train"}}
    return net(*nodes, blocks={"two": two}, outputs=outputs)


class PartlyTrainOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.n, self.right = nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        aux, left = self.n(self.c(x)), self.n(self.c(x))
        return left, self.right(x), self.right(x), aux


def chain_train_only():
    """The last round is only for training, so a deployed chain has the parameters of a round that it does not run."""
    x, y = ({"name": name, "over": {"v": [0, 1]}, "nodes": [conv(4, 1, name="c")]} for name in "xy")
    nodes = [{"each": x}, {"relu": {"name": "aux"}}, {"each": {**y, "from": "x.0", "share": "x"}}]
    return net(*nodes, outputs={"y": "y", "aux": {"from": "aux", "only": "train"}})


class ChainTrainOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.a(x)
        return self.b(self.a(x)), torch.relu(self.b(x))


def bare():
    """Tensors that are no module's: a parameter, and the projections of attention."""
    nodes = [
        {"tokens": {"name": "t"}},
        {"attention": {"name": "x", "heads": 2}},
        {"attention": {"name": "y", "heads": 2, "share": "x"}},
        {"parameter": {"name": "p", "shape": [64, 4], "deviation": 1}},
        {"parameter": {"name": "q", "shape": [64, 4], "deviation": 1, "share": "p"}},
        {"mul": {"name": "scaled", "from": ["y", "p"]}},
        {"add": {"from": ["scaled", "q"]}},
    ]
    return net(*nodes)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.MultiheadAttention(4, 2, batch_first=True)
        self.p = nn.Parameter(torch.randn(64, 4))

    def forward(self, image):
        t = image.flatten(2).transpose(1, 2)
        for _ in range(2):
            t = self.x(t, t, t)[0]
        return t * self.p + self.p


def bare_train_only():
    """The owner of bare tensors in a list is only for training, so a deployed network has them without their module."""
    tensor = {"parameter": {"shape": [4, 8, 8], "deviation": 1}}
    nodes = [
        tensor,
        conv(4, 1, **{"from": "input"}),
        tensor,
        {"mul": {"from": ["1", "0"]}},
        {"add": {"from": ["3", "2"]}},
    ]
    uses = [{"block": {"name": "x"}}, {"block": {"name": "y", "from": "image", "share": "x"}}]
    outputs = {"y": "y", "x": {"from": "x", "only": "train"}}
    return net(*uses, blocks={"block": {"names": "index", "nodes": nodes}}, outputs=outputs)


class BareTrainOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(4, 8, 8)), nn.Parameter(torch.randn(4, 8, 8))
        self.c = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.c(x) * self.a + self.b, self.c(x) * self.a + self.b


CASES = {
    "siamese": (siamese, Siamese),
    "unrolled": (unrolled, Unrolled),
    "pyramid": (pyramid, Pyramid),
    "folded": (folded, Folded),
    "own norms": (own_norms, OwnNorms),
    "train only": (train_only, TrainOnly),
    "partly train only": (partly_train_only, PartlyTrainOnly),
    "chain train only": (chain_train_only, ChainTrainOnly),
    "bare tensors": (bare, Bare),
    "bare tensors train only": (bare_train_only, BareTrainOnly),
}


def hand_written(kind, module):
    """The hand-written module with the weights of ours, which are registered in the same order."""
    theirs = kind()
    own = dict(zip(theirs.state_dict(), module.state_dict().values(), strict=True))
    theirs.load_state_dict({key: value.clone() for key, value in own.items()})
    return theirs


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("training", [False, True])
def test_the_module_is_the_hand_written_one(case, training):
    spec, kind = CASES[case]
    module = cnnc.compile(spec(), seed=1)
    theirs = hand_written(kind, module).train(training)
    module.train(training)
    given = [torch.randn(3, *each.type.shape) for each in cnnc.load(spec()).inputs]
    ours, expected = module(*given), theirs(*given)
    torch.testing.assert_close(ours, expected)
    for outputs in (ours, expected):
        sum(each.square().sum() for each in (outputs if isinstance(outputs, tuple) else [outputs])).backward()
    for mine, its in zip(module.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-4)
    for mine, its in zip(module.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, its)


@pytest.mark.parametrize("case", CASES)
def test_every_target_is_verified_and_has_each_tensor_once(case, tmp_path):
    spec, kind = CASES[case]
    built = cnnc.build(spec(), out=tmp_path, targets=list(Target), seed=1)
    module = cnnc.compile(spec(), seed=1).eval()
    theirs = hand_written(kind, module).eval()
    given = [torch.randn(2, *each.type.shape) for each in cnnc.load(spec()).inputs]
    deployed = {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
    expected = theirs(*given)
    expected = expected if isinstance(expected, tuple) else (expected,)
    expected = [each for each, output in zip(expected, cnnc.load(spec()).outputs, strict=True) if not output.train_only]
    given = given[1:] if case == "train only" else given
    for target in Target:
        loaded = TABLE[target].load(built.folder / f"net.{TABLE[target].ending}", module)
        for ours, its in zip(loaded.run(given), expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), its, rtol=1e-3, atol=1e-4)
        if not isinstance(loaded, LoadedOnnx):  # in which norms are folded into convolutions
            assert {key for key in loaded.weights() if not key.endswith("num_batches_tracked")} <= deployed


def test_in_onnx_a_shared_weight_is_one_initializer_and_folds_only_if_all_uses_do(tmp_path):
    built = cnnc.build(folded(), out=tmp_path, targets=["onnx"])
    model = onnx.load(built.folder / "net.onnx")
    assert {each.name for each in model.graph.initializer} == {
        *("a.weight", "a.bias", "c.weight", "c.bias"),
        *(f"{norm}.{name}" for norm in "op" for name in ("weight", "bias", "running_mean", "running_var")),
    }
    assert [node.op_type for node in model.graph.node].count("BatchNormalization") == 2


def test_norms_of_their_own_are_not_folded_into_a_shared_convolution(tmp_path):
    built = cnnc.build(own_norms(), out=tmp_path, targets=["onnx"])
    graph = onnx.load(built.folder / "net.onnx").graph
    norms = [f"{level}.{norm}" for level in ("p3", "p4") for norm in ("n", "g.m")]
    assert {each.name for each in graph.initializer} == {
        *("p3.a.weight", "p3.g.b.weight", "p3.g.b.bias", "p3.out.weight", "p3.out.bias"),
        *(f"{norm}.{name}" for norm in norms for name in ("weight", "bias", "running_mean", "running_var")),
    }


def test_a_scope_runs_the_module_of_another_only_if_it_does_the_same():
    root = divide(cnnc.load(unrolled()))
    assert [item.runs for item in root.items] == [None, "first", "first", "first"]
    scopes = [item for item in divide(cnnc.load(pyramid())).items if isinstance(item, ModuleScope)]
    assert {scope.path: scope.runs for scope in scopes} == {"p3": None, "p4.group": "p3.group"}


def test_the_python_source_has_the_shared_module_once(tmp_path):
    built = cnnc.build(siamese(), out=tmp_path, targets=["python"])
    source = (built.folder / "net.py").read_text(encoding="utf-8")
    assert [source.count(each) for each in ("self.a = Encoder()", "self.a(", "self.b(")] == [1, 2, 0]
