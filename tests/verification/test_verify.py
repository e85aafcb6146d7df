"""Written files agree with torch, and one that does not is refused with the node to blame."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnnc.analysis.accepted_sizes import ANY, Rule, size_rules
from cnnc.compiler import build, load
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.rebuild import rebuild
from cnnc.ops.activation import Tanh
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.passes import fold_batch_norm
from cnnc.passes.network import Network
from cnnc.targets import torchscript
from cnnc.targets.choices import Target
from cnnc.targets.registry import TABLE, Made
from cnnc.targets.sample_inputs import fits, spaces
from cnnc.targets.torch_module import lower
from cnnc.verification.compare import compare, identical, sensitivity
from cnnc.verification.promises import LEAST_SENSITIVITY
from cnnc.verification.rounding import with_rounding_errors
from cnnc.verification.torch_answers import Answers
from cnnc.verification.verify import arrays, verify
from tests.networks import forked, open_size, residual
from tests.thorough import thorough

WITHOUT_WEIGHTS = (Target.PYTHON, Target.SPEC)


def made(graph, seed=0):
    module = lower(graph, seed=seed)
    return Made(Network(graph, arrays(module.state_dict())), graph, module)


def write(graph, folder, targets=("onnx", "torchscript"), seed=0):
    source = made(graph, seed)
    files = {target: folder / target for target in targets}
    for target, path in files.items():
        TABLE[target].write(source, path)
    return source, files


def inference(graph):
    return rebuild(graph, graph.nodes, [each for each in graph.outputs if not each.train_only])


@pytest.mark.parametrize("graph", [residual(), inference(forked()), open_size()], ids=lambda graph: graph.name)
def test_files_agree_with_torch(graph, tmp_path):
    source, files = write(graph, tmp_path, TABLE)
    found = verify(source, files)
    assert [each.target for each in found] == list(TABLE)
    assert all(each.largest_relative < 1e-4 and each.sensitivity > LEAST_SENSITIVITY for each in found)
    assert source.module.training


def test_a_network_of_which_the_file_holds_no_node_is_verified(tmp_path):
    spec = {"cnnc": 1, "name": "net", "input": {"image": [1, 4, 4]}, "nodes": ["identity", "dropout"]}
    [found] = verify(*write(load(spec), tmp_path, ["onnx"]))
    assert found.largest_absolute == 0


class Wrong(Tanh):
    """A tanh that ONNX computes as a sigmoid."""

    def to_onnx(self, o, x):
        return o.op("Sigmoid", x)


def test_a_wrong_lowering_is_found_and_blamed(tmp_path):
    spec = {
        "cnnc": 1,
        "name": "n",
        "input": {"image": [1, 4, 4]},
        "nodes": ["relu", "tanh", {"relu": {"name": "last"}}],
    }
    graph = load(spec)
    swapped = [replace(node, op=Wrong()) if node.path == "tanh" else node for node in graph.nodes]
    wrong = rebuild(graph, swapped)
    source, files = write(wrong, tmp_path, ("onnx",))
    with pytest.raises(CnncError) as caught:
        verify(source, files)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.NOT_VERIFIED
    assert "`tanh` (tanh) is the first node that differs" in diagnostic.message
    assert diagnostic.span == graph.node["tanh"].span
    assert diagnostic.help.endswith("please report it")


@pytest.mark.parametrize("target", [target for target in TABLE if target not in WITHOUT_WEIGHTS])
def test_a_file_of_other_weights_is_refused(tmp_path, target):
    graph = residual()
    _, files = write(graph, tmp_path, (target,))
    with pytest.raises(CnncError, match=r"`stem.weight` is missing or differs from the module's"):
        verify(made(graph, seed=1), files)


@pytest.mark.parametrize("target", TABLE)
def test_a_file_with_the_outputs_of_training_is_refused(tmp_path, target):
    graph = forked()
    _, files = write(
        replace(graph, outputs=tuple(each._replace(train_only=False) for each in graph.outputs)), tmp_path, (target,)
    )
    shown = inference(graph)
    names = "its outputs are `left`, `aux`, expected `left`"
    with pytest.raises(CnncError, match=names if target in ("onnx", "triton") else "it has 2 outputs, expected `left`"):
        verify(made(shown), files)


@pytest.mark.filterwarnings("ignore")  # it makes a TorchScript file by hand
def test_a_writer_is_checked_value_by_value_where_outputs_are_always_the_same(tmp_path, monkeypatch):
    nodes = [{"conv": {"out": 4, "kernel": 3, "padding": 1}}, "flatten", {"linear": {"out": 1}}, "softmax"]
    spec = {"cnnc": 1, "name": "one", "input": {"image": [3, 8, 8]}, "nodes": nodes}
    graph = load(spec)
    for outputs in (["softmax"], ["linear", "softmax"]):
        [found] = verify(*write(load({**spec, "outputs": outputs}), tmp_path, ("torchscript",)))
        assert found.sensitivity == 0
        (tmp_path / "torchscript").unlink()

    def write_circular(module, path):
        changed = deepcopy(module).eval()
        changed.conv.padding_mode = "circular"
        torch.jit.save(torch.jit.script(changed), path)

    monkeypatch.setattr(torchscript, "write", write_circular)
    with pytest.raises(CnncError, match=r"`conv` \(conv\) is the first node that differs"):
        verify(*write(graph, tmp_path, ("torchscript",)))


@pytest.mark.parametrize("target", TABLE)
def test_a_node_may_share_the_parameters_of_one_that_is_not_deployed(tmp_path, target):
    """The outputs are always the same, so the writer is checked value by value."""
    nodes = [{"layer_norm": {"name": "ours"}}, {"layer_norm": {"name": "theirs", "share": "ours", "from": "image"}}]
    outputs = {"out": "theirs", "aux": {"from": "ours", "only": "train"}}
    spec = {"cnnc": 1, "name": "one", "input": {"image": [1, 1, 1]}, "nodes": nodes, "outputs": outputs}
    build(spec, targets=(target,), out=tmp_path)
    assert (tmp_path / "one" / f"one.{TABLE[target].ending}").exists()


@pytest.mark.parametrize("target", TABLE)
def test_a_file_whose_output_has_another_shape_is_refused(tmp_path, target):
    spec = {"cnnc": 1, "name": "n", "input": {"image": [2, 4, 4]}, "nodes": [{"conv": {"out": 2, "kernel": 3}}]}
    other = {**spec, "nodes": [{"conv": {"out": 2, "kernel": 3, "padding": 1}}]}
    _, files = write(load(other | {"outputs": {"y": "conv"}}), tmp_path, (target,))
    with pytest.raises(CnncError, match=r"`y` is \(1, 2, 4, 4\).*, expected \(1, 2, 2, 2\)"):
        verify(made(load(spec | {"outputs": {"y": "conv"}})), files)


@pytest.mark.filterwarnings("ignore")  # it makes a TorchScript file by hand
def test_a_file_that_always_takes_one_sample_is_refused(tmp_path):
    source = made(load({"cnnc": 1, "name": "n", "input": {"x": [3]}, "nodes": ["relu"], "outputs": {"y": "relu"}}))
    torch.jit.save(torch.jit.script(Repeating(source.module.eval())), tmp_path / "torchscript")
    with pytest.raises(CnncError, match=r"`y` is \(1, 3\) for a batch of 3, expected \(3, 3\)"):
        verify(source, {"torchscript": tmp_path / "torchscript"})


class Repeating(torch.nn.Module):
    """The first sample's result alone."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x[:1])


def values(*numbers):
    return np.array(numbers, np.float32)


def test_what_counts_as_equal():
    assert compare(values(1.00005, 1e-5), values(1, 0)).ok
    assert not compare(values(1.0005, 2), values(1, 2.001)).ok  # each by less than a thousandth, but all
    assert not compare(values(1.01, 0), values(1, 0)).ok
    assert not compare(np.full(10**6, 1.0), np.append(np.full(10**6 - 1, 1.0), 1.01)).ok  # one in a million
    assert not compare(values(1e-12, 1.1e-10), values(1e-12, 1e-10)).ok
    assert compare(values(0, 0), values(0, 0)).ok
    assert not compare(values(1e-9), values(0)).ok
    assert compare(values(np.nan, np.inf, 1), values(np.nan, np.inf, 1)).ok
    assert not compare(values(np.inf, 1), values(-np.inf, 1)).ok
    assert not compare(values(np.nan, 1), values(0, 1)).ok
    assert not compare(values(1, 1), values(1)).ok


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_an_output_that_moves_by_what_may_differ_has_a_sensitivity_of_one(scale):
    samples = scale * np.array([[1, -1], [1.0011, -1.0011]])
    assert compare(*samples).relative == pytest.approx(1.1e-3, rel=1e-2)
    assert sensitivity(samples) == pytest.approx(1, rel=1e-2)
    assert sensitivity(samples[[0, 0]]) == 0


def test_weights_are_the_same_where_all_their_numbers_are():
    weights = np.zeros(2**22 + 1, np.float32)
    other = weights.copy()
    other[-1] = np.nan
    assert identical(other, other.copy())
    assert identical(weights[:0], weights[:0])
    assert not identical(weights, other)
    assert not identical(other, weights)
    assert not identical(weights[1:], weights)


def zero_up_to_rounding(*more, size=16):
    nodes = [{"conv": {"out": 4, "kernel": 3}}, "instance_norm", "global_avg_pool", "flatten", *more]
    return load({"cnnc": 1, "name": "zero", "input": {"image": [1, size, size]}, "nodes": nodes})


@pytest.mark.parametrize("graph", [zero_up_to_rounding(), zero_up_to_rounding(size=100)])
def test_an_output_that_is_zero_up_to_rounding_is_held_to_its_rounding(graph, tmp_path):
    source, files = write(graph, tmp_path)
    found = verify(source, files)
    assert all(each.largest_absolute < 1e-6 and each.largest_relative < 1 for each in found)


def test_a_wrong_lowering_of_what_should_be_zero_is_found_and_blamed(tmp_path):
    graph = zero_up_to_rounding("tanh")
    wrong = rebuild(graph, [replace(node, op=Wrong()) if node.path == "tanh" else node for node in graph.nodes])
    source, files = write(wrong, tmp_path, ("onnx",))
    with pytest.raises(CnncError, match=r"`tanh` .tanh. is the first node that differs"):
        verify(source, files)


def test_rounding_leaves_infinity_infinite():
    """So that what is finite again behind it, as behind a `clip`, has no noise."""
    module = torch.fx.symbolic_trace(Clipped())
    found = [with_rounding_errors(module, seed)(torch.full((64,), 1e3)) for seed in range(4)]
    assert all(torch.equal(each, torch.ones(64)) for each in found)


class Clipped(torch.nn.Module):
    def forward(self, x):
        return torch.clamp(torch.exp(x), max=1.0)


def test_rounding_is_measured_for_each_output():
    graph = zero_up_to_rounding()
    module = lower(graph).eval()
    x = (torch.randn(3, 1, 16, 16),)
    [noise] = Answers(graph, module, module.state_dict(), [x]).noise
    assert 0 < noise.mean < noise.largest < 1e-6
    assert compare(values(1e-7), values(1e-8), noise).ok
    assert not compare(values(1e-3), values(1e-8), noise).ok


def test_outputs_that_are_noise_have_no_sensitivity(tmp_path):
    """Torch and onnxruntime make different noise of a constant map, so that what follows proves nothing."""
    more = [{"upsample": {"size": [8, 8]}}, "instance_norm", {"conv": {"out": 8, "kernel": 3}}, "relu"]
    nodes = [{"conv": {"out": 8, "kernel": 3}}, "global_avg_pool", *more, "flatten", {"linear": {"out": 4}}]
    graph = load({"cnnc": 1, "name": "net", "input": {"image": [3, 16, 16]}, "nodes": nodes})
    [found] = verify(*write(graph, tmp_path, ["onnx"]))
    assert found.largest_absolute > 0.01
    assert found.sensitivity < 1


def test_open_sizes_are_tried_where_the_network_takes_them():
    graph = open_size()
    assert size_rules(graph).by_side == (Rule(2, 2),) * 2
    assert len(set(spaces(graph))) == 3
    assert all(fits(graph, space) for space in spaces(graph))
    assert not fits(graph, (33, 32))
    assert size_rules(residual()).by_side == (ANY, ANY)


def test_a_network_of_large_windows_is_tried_with_no_more_than_it_needs():
    nodes = [{"conv": {"out": 1, "kernel": 3, "stride": 2}}, {"conv": {"out": 1, "kernel": 600}}]
    graph = load({"cnnc": 1, "name": "n", "input": {"image": [1, None, None]}, "nodes": nodes})
    assert spaces(graph) == ((1201, 1201), (1202, 1203), (1203, 1202))


def test_weights_that_give_no_finite_answer_are_refused_at_their_node(tmp_path):
    graph = load(
        {
            "cnnc": 1,
            "name": "n",
            "input": {"image": [1, 8, 8]},
            "nodes": [{"conv": {"out": 2, "kernel": 3}}, {"batch_norm": {"name": "norm"}}, "relu"],
        }
    )
    weights = lower(graph).state_dict()
    weights["norm.running_var"].fill_(-1)  # which a wrong momentum can make of it
    save_file(weights, tmp_path / "bad.safetensors")
    for target in TABLE:
        with pytest.raises(CnncError) as caught:
            build(graph.spec, targets=target, weights=tmp_path / "bad.safetensors", out=tmp_path / "out")
        [diagnostic] = caught.value.diagnostics
        assert diagnostic.code == Code.NOT_VERIFIED
        assert "`norm` (batch_norm) is the first node whose value is not" in diagnostic.message
        assert diagnostic.span.path == graph.node["norm"].span.path
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("spec", ["specs/lenet_bn.yaml", pytest.param("specs/zoo/mobilenet_v2.yaml", marks=thorough)])
def test_a_batch_norm_folded_wrongly_is_found_in_an_untrained_network(spec, tmp_path, monkeypatch):
    """Its running mean is 0 then, so that with the network's own weights half of the shift is all of it."""
    fold = fold_batch_norm._fold

    def halved(weights, layer, norm, eps):
        found = fold(weights, layer, norm, eps)
        return {**found, f"{layer}.bias": found[f"{layer}.bias"] / 2}

    monkeypatch.setattr(fold_batch_norm, "_fold", halved)
    with pytest.raises(CnncError) as caught:
        build(spec, targets="onnx", out=tmp_path)
    assert "folded into it, is the first node that differs" in caught.value.diagnostics[0].message


def test_rounding_is_measured_where_an_input_is_looked_at_in_another_shape():
    graph = load(
        {"cnnc": 1, "name": "net", "input": {"image": [6, 1, 1]}, "nodes": [{"drop_path": {"rate": 0.1}}, "softmax"]}
    )
    module = lower(graph).eval()
    [noise] = Answers(graph, module, module.state_dict(), [(torch.randn(3, 6, 1, 1),)]).noise
    assert 0 < noise.mean < noise.largest < 1e-6


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_norm_of_a_constant_map_is_held_to_what_it_makes_of_rounding(seed, tmp_path):
    """Torch sums a constant map all but exactly, onnxruntime does not."""
    nodes = ["log_softmax", {"conv_transpose": {"out": 1, "kernel": 2, "stride": 4}}, {"group_norm": {"groups": 1}}]
    graph = load({"cnnc": 1, "name": "net", "input": {"image": [1, None, 3]}, "nodes": nodes})
    verify(*write(graph, tmp_path, ["onnx"], seed=seed), seed)


@pytest.mark.parametrize(
    ("op", "value"),
    [
        ("global_avg_pool", 0.54),
        ({"mean": {"axes": [1, 2]}}, 0.54),
        ({"sum": {"axes": [1, 2]}}, 0.54),
        ({"group": {"nodes": ["flatten", {"l2_norm": {"axis": 0}}]}}, 0.9),
    ],
)
def test_a_sum_of_many_equal_numbers_is_held_to_what_a_plain_sum_makes_of_them(op, value, tmp_path):
    """Of 360,000 equal numbers onnxruntime's float32 sums lose up to 2e-3."""
    nodes = ["sigmoid", {"pad": {"padding": 300, "value": value}}, op]
    graph = load({"cnnc": 1, "name": "net", "input": {"x": [1, 4, 4]}, "nodes": nodes})
    verify(*write(graph, tmp_path, ["onnx"]))


@pytest.mark.parametrize("norm", [{"group_norm": {"groups": 1}}, {"layer_norm": {"over": "all"}}, "instance_norm"])
def test_a_norm_of_a_map_that_is_mostly_padding_is_held_to_what_a_plain_sum_makes_of_it(norm, tmp_path):
    """The square of each padded position is too small to change onnxruntime's sum, and there are 100,000 of them."""
    nodes = ["sigmoid", {"pad": {"padding": [3, 12288, 3, 6]}}, norm]
    graph = load({"cnnc": 1, "name": "net", "input": {"image": [1, 30, 20]}, "nodes": nodes})
    verify(*write(graph, tmp_path, ["onnx"]))


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_what_an_implementation_rounds_to_zero_is_noise(act, tmp_path):
    """onnxruntime's sigmoid of -48 is 0, its celu of -1e-8 too, and its softplus of -20; torch's are not."""
    graph = load({"cnnc": 1, "name": "n", "input": {"x": [2]}, "nodes": [act]})
    source, files = write(graph, tmp_path, ["onnx"])
    run = TABLE[Target.ONNX].load(files["onnx"], source.module).run
    for x in (sign * 10.0 ** (power / 2) for power in range(-16, 5) for sign in (-1, 1)):
        inputs = (torch.tensor([[x, x if act not in ("softmax", "log_softmax") else 0]], dtype=torch.float32),)
        answers = Answers(graph, source.module, source.module.state_dict(), [inputs])
        assert compare(run(inputs)[0], answers.outputs[0][0], answers.noise[0]).ok, x
