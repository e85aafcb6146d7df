"""What torch's exporters write comes back: ten networks, by both exporters, with the batch free and fixed."""

import warnings
from pathlib import Path

import numpy as np
import onnx.backend.test
import pytest
import torch

from cnnc.compiler import load
from cnnc.importing.importer import read
from cnnc.importing.proof import compiled, prove
from cnnc.targets import torch_module
from tests.importing.modules import MODULES, export, made
from tests.thorough import rows, thorough

pytestmark = pytest.mark.usefixtures("in_this_process")

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


def each_by_both(names, quick):
    """Rows of each network by both exporters. Those of the newer one take seconds: only the `quick` ones are."""
    older = (pytest.param(name, False, id=f"{name}-script") for name in names)
    marks = {name: () if name in quick else thorough for name in names}
    return [*older, *(pytest.param(name, True, id=f"{name}-dynamo", marks=marks[name]) for name in names)]


def trained_one_step(imported):
    """Whether a step of SGD on random targets changes the weights of the compiled spec, all of them finite."""
    graph = load(imported.spec)
    module = compiled(graph, imported.weights).train()
    before = [each.detach().clone() for each in module.parameters()]
    inputs = [torch.randn(2, *each.type.shape) for each in graph.inputs]
    outputs = module(*inputs)
    loss = sum(
        (each - torch.rand_like(each)).square().mean() for each in ([outputs] if torch.is_tensor(outputs) else outputs)
    )
    loss.backward()
    torch.optim.SGD(module.parameters(), lr=1e-3).step()
    after = [*module.parameters()]
    assert all(torch.isfinite(each).all() for each in after)
    return any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("name", "dynamo"), each_by_both(MODULES, quick=["plain", "vit"]))
def test_what_torch_exports_comes_back(name, dynamo, tmp_path):
    path = tmp_path / "net.onnx"
    module = export(name, path, dynamo=dynamo)
    imported = read(path)
    proof = prove(imported, path)
    assert proof.batches == (1, 3)
    assert proof.largest < 1e-4
    inputs = [torch.randn(2, 3, 32, 32) for _ in imported.inputs]
    with torch.inference_mode():
        ours = compiled(load(imported.spec), imported.weights)(*inputs)
        np.testing.assert_allclose(ours.numpy(), module(*inputs).numpy(), rtol=1e-3, atol=1e-5)
    assert trained_one_step(imported)


@pytest.mark.parametrize(("name", "dynamo"), each_by_both(["residual", "shuffle", "vit", "squeeze"], quick=["shuffle"]))
def test_a_fixed_batch_is_no_part_of_the_spec(name, dynamo, tmp_path):
    path = tmp_path / "net.onnx"
    module = export(name, path, dynamo=dynamo, free=False)
    imported = read(path)
    assert prove(imported, path).batches == (1,)
    x = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        ours = compiled(load(imported.spec), imported.weights)(x)
        np.testing.assert_allclose(ours.numpy(), module(x).numpy(), rtol=1e-3, atol=1e-5)


def test_ops_are_those_that_a_person_would_write(tmp_path):
    ops = {}
    for name in ("depthwise", "vit", "shuffle", "unet", "inception", "squeeze"):
        export(name, tmp_path / "net.onnx", dynamo=False)
        ops[name] = [next(iter(each)) for each in read(tmp_path / "net.onnx").spec["nodes"]]
    assert {"hardswish", "silu", "leaky_relu", "prelu", "mish", "softplus", "elu"} <= {*ops["depthwise"]}
    assert "pad" not in ops["depthwise"]
    assert ops["vit"].count("attention") == 3
    assert ops["vit"].count("gelu") == 2
    assert "matmul" not in ops["vit"]
    assert {"channel_shuffle", "pixel_shuffle", "slice"} <= {*ops["shuffle"]}
    assert {"group_norm", "instance_norm", "conv_transpose", "upsample"} <= {*ops["unet"]}
    assert {"local_response_norm", "log_softmax", "concat"} <= {*ops["inception"]}
    assert {"gelu", "hardsigmoid", "mul", "softmax"} <= {*ops["squeeze"]}


def test_paths_are_those_of_the_modules(tmp_path):
    for dynamo in (False, True):
        export("residual", tmp_path / "net.onnx", dynamo=dynamo)
        paths = {*read(tmp_path / "net.onnx").paths.values()}
        assert {"conv1", "layer1.0.conv1", "layer2.0.downsample.0", "fc"} <= paths


def test_norms_that_an_export_keeps_are_norms(tmp_path):
    path, image = tmp_path / "net.onnx", torch.randn(1, 3, 32, 32)
    for options in (
        {"dynamo": False, "training": torch.onnx.TrainingMode.PRESERVE},
        {"dynamo": True, "optimize": False},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(made("residual"), (image,), path, external_data=False, verbose=False, **options)
        imported = read(path)
        assert [next(iter(each)) for each in imported.spec["nodes"]].count("batch_norm") == 10
        assert prove(imported, path).largest < 1e-4


def test_a_siamese_network_shares_its_weights(tmp_path):
    for dynamo in (False, True):
        export("siamese", tmp_path / "net.onnx", dynamo=dynamo)
        imported = read(tmp_path / "net.onnx")
        layers = [each for node in imported.spec["nodes"] for op, each in node.items() if op in ("conv", "linear")]
        assert [("share" in each) for each in layers].count(True) == 3
        assert len(imported.weights) == (10 if dynamo else 6)  # the other exporter folds the norm into the conv
        assert torch_module.shapes(load(imported.spec)).keys() >= imported.weights.keys()


QUICK_LIGHT = ("light_bvlc_alexnet.onnx", "light_shufflenet.onnx", "light_squeezenet.onnx")


@pytest.mark.parametrize("name", rows(sorted(path.name for path in LIGHT.glob("*.onnx")), quick=QUICK_LIGHT))
def test_the_networks_of_the_onnx_package_come_back(name):
    imported = read(LIGHT / name)
    assert load(imported.spec).nodes
    torch_keys = {key for key in torch_module.shapes(load(imported.spec)) if not key.endswith("num_batches_tracked")}
    assert torch_keys == imported.weights.keys()
    if "squeezenet" in name or "shufflenet" in name:  # the others take seconds each
        assert prove(imported, LIGHT / name).largest < 1e-4
