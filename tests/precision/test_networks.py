"""Every kind of network in both precisions: it runs, is near float32, keeps its names, and is verified."""

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.torch import save_file

import cnnc
from cnnc.targets import sample_inputs
from cnnc.verification.live_weights import enliven

HEAD = ["global_avg_pool", "flatten", {"linear": {"name": "head", "out": 5}}]


def conv(out, kernel=3, **more):
    return {"conv": {"out": out, "kernel": kernel, "padding": kernel // 2, "bias": False, **more}}


def inverted(channels, act, gate):
    """An inverted residual with a squeeze and excitation, as in MobileNetV3 and EfficientNet, on 8 channels."""
    return [
        {"identity": {"name": "start"}},
        conv(channels, 1),
        "batch_norm",
        act,
        conv(channels, 5, groups=channels),
        "batch_norm",
        {act: {"name": "deep"}},
        "global_avg_pool",
        conv(4, 1, bias=True),
        "relu",
        conv(channels, 1, bias=True),
        {gate: {"name": "gate"}},
        {"mul": {"from": ["deep", "gate"]}},
        conv(8, 1),
        {"batch_norm": {"name": "end"}},
        {"add": {"from": ["start", "end"]}},
    ]


def dense(name, source):
    return [
        {"batch_norm": {"name": f"{name}_norm", "from": source}},
        "relu",
        conv(6, name=f"{name}_conv"),
        {"concat": {"name": name, "from": [source, f"{name}_conv"]}},
    ]


NETWORKS = {
    "mobilenet_v3": [conv(8), "batch_norm", "hardswish", *inverted(24, "hardswish", "hardsigmoid"), *HEAD],
    "efficientnet": [conv(8), "batch_norm", "silu", *inverted(24, "silu", "sigmoid"), *HEAD],
    "mobilenet_v2": [conv(8), "batch_norm", "relu6", conv(8, groups=8), "batch_norm", "relu6", conv(12, 1), *HEAD],
    "densenet": [conv(6, name="stem"), *dense("one", "stem"), *dense("two", "one"), "batch_norm", "relu", *HEAD],
    "resnet": [
        {"conv": {"name": "stem", "out": 8, "kernel": 3, "padding": 1, "act": "relu"}},
        conv(8),
        "batch_norm",
        "relu",
        conv(8),
        {"batch_norm": {"name": "end"}},
        {"add": {"from": ["stem", "end"]}},
        "relu",
        *HEAD,
    ],
    "unet": [
        {"conv": {"name": "fine", "out": 8, "kernel": 3, "padding": 1, "act": "relu"}},
        {"max_pool": {"kernel": 2}},
        conv(12),
        "relu",
        {"conv_transpose": {"name": "up", "out": 8, "kernel": 2, "stride": 2}},
        {"concat": {"from": ["fine", "up"]}},
        {"conv": {"name": "head", "out": 3, "kernel": 1}},
    ],
    "super_resolution": [
        {"conv": {"out": 8, "kernel": 3, "padding": 1, "act": "tanh"}},
        {"conv": {"out": 4, "kernel": 3, "padding": 1}},
        {"pixel_shuffle": {"name": "head", "factor": 2}},
    ],
    "alexnet": [conv(8), "relu", {"local_response_norm": {"size": 5, "alpha": 10}}, conv(8), "relu", *HEAD],
    "vit": [
        {"conv": {"out": 8, "kernel": 4, "stride": 4}},
        "tokens",
        {"linear": {"out": 16, "act": "gelu"}},
        {"linear": {"out": 8}},
        "layer_norm",
        {"mean": {"axes": [0]}},
        {"linear": {"name": "head", "out": 5}},
    ],
}
LEAST = {"int8": 15, "fp16": 40}  # dB, of random networks


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Smooth pictures: on noise, a network's outputs hardly differ."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (120, 4, 4, 1))
    fine = np.kron(coarse, np.ones((1, 4, 4, 1))) + random.integers(-20, 20, (120, 16, 16, 1))
    path = tmp_path_factory.mktemp("data") / "smooth.npz"
    np.savez(path, x_train=fine.clip(0, 255).astype(np.uint8), y_train=random.integers(0, 5, 120))
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_near_float32(name, pictures, tmp_path):
    spec = {
        "cnnc": 1,
        "name": name,
        "input": {"image": {"shape": [1, 16, 16], "mean": [0.5], "std": [0.3]}},
        "nodes": NETWORKS[name],
    }
    module, graph = cnnc.compile(spec).eval(), cnnc.load(spec)
    enliven(module, sample_inputs.draw(graph, 8, (0, 0), 0), 0, 4)
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    built = cnnc.build(
        spec,
        weights=tmp_path / "w.safetensors",
        targets="onnx",
        precision=["int8", "fp16"],
        calibrate=pictures,
        max_drop=100,
        out=tmp_path,
    )
    plain = {node.name for node in onnx.load(built.folder / f"{name}.onnx").graph.node if node.op_type in KEPT}
    for each in built.versions:
        assert each.fidelity.first_snr > LEAST[each.precision], str(each)
        file = built.folder / each.file.path.name
        model = onnx.load(file)
        onnx.checker.check_model(model, full_check=True)
        assert plain <= {node.name for node in model.graph.node}
        said = cnnc.verify(spec, file, weights=tmp_path / "w.safetensors")
        assert said.precision == each.precision
    assert (built.versions[0].fidelity.agreement is None) == (name in ("super_resolution", "vit"))
    assert (built.versions[0].fidelity.accuracy is None) == (name in ("super_resolution", "vit", "unet"))


def test_the_squares_of_a_local_response_norm_stay_in_float32(pictures, tmp_path):
    spec = {"cnnc": 1, "name": "net", "input": {"image": [1, 16, 16]}, "nodes": NETWORKS["alexnet"]}
    built = cnnc.build(spec, targets="onnx", precision=["int8"], calibrate=pictures, max_drop=100, out=tmp_path)
    graph = onnx.load(built.folder / "net.int8.onnx").graph
    makers = {name: node for node in graph.node for name in node.output}
    [power] = (node for node in graph.node if node.op_type == "Pow")
    chain, base = [], power.input[0]
    while makers[base].op_type != "DequantizeLinear":
        chain.append(makers[base].op_type)
        base = makers[base].input[0]
    assert chain == ["Add", "Mul", "Squeeze", "AveragePool", "Unsqueeze", "Mul"]


KEPT = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Concat", "HardSwish", "MaxPool")


def test_the_layer_that_hurts_stays_in_float32(pictures, tmp_path):
    """One channel of `wide` is a thousand times as large as the others: 8 bits for both leave nothing of these."""
    spec = {
        "cnnc": 1,
        "name": "outlier",
        "input": {"image": {"shape": [1, 16, 16], "mean": [0.5], "std": [0.3]}},
        "nodes": [
            {"conv": {"name": "first", "out": 6, "kernel": 3, "act": "relu"}},
            {"conv": {"name": "wide", "out": 8, "kernel": 3}},
            {"conv": {"name": "last", "out": 6, "kernel": 3, "act": "relu"}},
            {"conv": {"name": "more", "out": 6, "kernel": 3, "act": "relu"}},
            *HEAD,
        ],
    }
    module, graph = cnnc.compile(spec).eval(), cnnc.load(spec)
    enliven(module, sample_inputs.draw(graph, 8, (0, 0), 0), 0, 4)
    state = module.state_dict()
    state["wide.weight"][0] *= 1000
    state["wide.bias"][0] *= 1000
    state["last.weight"][:, 0] /= 1e6
    save_file(state, tmp_path / "w.safetensors")
    given = {"weights": tmp_path / "w.safetensors", "targets": "onnx", "precision": "int8", "out": tmp_path}
    loose = cnnc.build(spec, **given, calibrate=pictures, max_drop=100).versions[0]
    assert loose.fidelity.first_snr < 15
    assert loose.in_float == ()
    folder = tmp_path / "pictures"
    folder.mkdir()
    with np.load(pictures) as arrays:
        for at, picture in enumerate(arrays["x_train"]):
            Image.fromarray(picture[..., 0]).save(folder / f"{at}.png")
    tight = cnnc.build(spec, **given, calibrate=folder, max_drop=5).versions[0]
    assert {"wide", "last"} & {*tight.in_float}
    assert len(tight.in_float) <= 3
    assert tight.fidelity.drop <= 5
    assert tight.fidelity.first_snr > loose.fidelity.first_snr + 5
    record = tight.as_json()
    assert record["in_float32"] == [*tight.in_float]
    assert " in float32" in str(tight)
