"""`cnnc bench` counts the multiply-adds of any ONNX file: for files of cnnc, as many as the spec has."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import cnnc
from cnnc.analysis.cost import inference_nodes
from cnnc.inference.benchmark import report
from cnnc.inference.benchmark.child import count_macs
from cnnc.inference.benchmark.profile import path_of
from cnnc.inference.benchmark.results import Configuration, Macs, Measurement, Sample
from cnnc.passes import pipeline
from cnnc.passes.network import Network
from cnnc.targets import onnx_model
from tests.by_hand.networks import NETWORKS
from tests.command import run_command
from tests.onnx_files import network_of

OPEN = {"specs/zoo/unet_padded", "specs/zoo/fpn_resnet50", "specs/zoo/espcn_x3"}
SMALL = {each.spec: each.small for each in NETWORKS if each.spec not in OPEN} | {"specs/lenet": {}}


def counted(path, batch=1):
    job = {"model": str(path), "provider": "cpu", "threads": 1, "batch": batch, "size": None, "allow_external": False}
    return count_macs(job)


@pytest.mark.parametrize("spec", SMALL)
def test_as_many_as_the_spec_has(spec, tmp_path):
    graph = cnnc.load(f"{spec}.yaml", set=SMALL[spec])
    weights = {name: each.numpy() for name, each in cnnc.compile(f"{spec}.yaml", set=SMALL[spec]).state_dict().items()}
    network = pipeline.run(Network(graph, weights))
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model.lower(network.graph, network.weights).SerializeToString())
    found = counted(path, 2)
    by_path = {}
    for name, macs in found["macs"].items():
        by_path[path_of(name, ours=True)] = by_path.get(path_of(name, ours=True), 0) + macs
    assert by_path == {node.path: 2 * node.cost.macs for node in inference_nodes(graph) if node.cost.macs}
    assert not found["uncounted"]


F, U8, I8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8
ROWS = {  # a node, the shapes of its inputs, its MACs for a batch of 2
    "conv": ("Conv", {"strides": [2, 1], "pads": [1, 1, 1, 1]}, [(2, 4, 9, 8), (6, 4, 3, 3)], 2 * 6 * 5 * 8 * 4 * 9),
    "groups": ("Conv", {"group": 2, "dilations": [2, 2]}, [(2, 4, 9, 8), (6, 2, 3, 3)], 2 * 6 * 5 * 4 * 2 * 9),
    "conv_1d": ("Conv", {}, [(2, 4, 9), (6, 4, 3)], 2 * 6 * 7 * 4 * 3),
    "transposed": ("ConvTranspose", {"strides": [2, 2]}, [(2, 4, 5, 3), (4, 6, 2, 2)], 2 * 4 * 5 * 3 * 6 * 4),
    "gemm": ("Gemm", {}, [(2, 7), (7, 5)], 2 * 7 * 5),
    "turned": ("Gemm", {"transA": 1, "transB": 1}, [(7, 2), (5, 7)], 2 * 7 * 5),
    "matmul": ("MatMul", {}, [(2, 3, 4, 7), (7, 5)], 2 * 3 * 4 * 7 * 5),
    "scores": ("MatMul", {}, [(2, 3, 4, 7), (2, 3, 7, 4)], 2 * 3 * 4 * 7 * 4),
    "attention": (
        "Attention",
        {"q_num_heads": 2, "kv_num_heads": 2},
        [(2, 5, 8), (2, 6, 8), (2, 6, 4)],
        2 * 5 * 6 * 12,
    ),
    "heads": ("Attention", {}, [(2, 2, 5, 4), (2, 2, 6, 4), (2, 2, 6, 2)], 2 * 2 * 5 * 6 * 6),
    "conv_integer": ("ConvInteger", {}, [(2, 4, 9, 8), (6, 4, 3, 3)], 2 * 6 * 7 * 6 * 4 * 9),
    "matmul_integer": ("MatMulInteger", {}, [(2, 7), (7, 5)], 2 * 7 * 5),
    "qlinear_conv": ("QLinearConv", {}, [(2, 4, 9, 8), (), (), (6, 4, 3, 3), (), (), (), ()], 2 * 6 * 7 * 6 * 4 * 9),
    "qlinear_matmul": ("QLinearMatMul", {}, [(2, 7), (), (), (7, 5), (), (), (), ()], 2 * 7 * 5),
}


def test_operators_of_other_tools(tmp_path):
    nodes, weights = [], {}
    for name, (op, attributes, shapes, _) in ROWS.items():
        inputs = [f"{name}_{at}" for at in range(len(shapes))]
        bits = np.uint8 if "Integer" in op or "QLinear" in op else np.float32
        scales = (1, 4, 6) if "QLinear" in op else ()
        weights |= {
            each: np.ones(shape, np.float32 if at in scales else bits)
            for at, (each, shape) in enumerate(zip(inputs, shapes, strict=True))
        }
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
    nodes.append(helper.make_node("Einsum", ["gemm", "gemm"], ["product"], equation="ab,cb->ac"))
    model = network_of(*nodes, inputs={}, outputs={"product": (2, 2), **dict.fromkeys(ROWS)}, weights=weights)
    for port in model.graph.output[1:]:
        integer = TensorProto.INT32 if "integer" in port.name else U8 if "qlinear" in port.name else F
        port.type.tensor_type.elem_type = integer
    model.opset_import[0].version = 23
    onnx.save(model, tmp_path / "m.onnx")
    found = counted(tmp_path / "m.onnx")
    assert found == {"macs": {name: macs for name, (*_, macs) in ROWS.items()}, "uncounted": {"Einsum": 1}}


@pytest.mark.usefixtures("no_bench_child")
def test_the_report_says_what_is_not_counted(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["image", "w"], ["a"]),
        helper.make_node("Einsum", ["a", "w"], ["y"], equation="ab,bc->ac"),
    ]
    model = network_of(*nodes, inputs={"image": ("N", 3)}, outputs={"y": ("N", 3)}, weights={"w": np.eye(3, dtype="f")})
    onnx.save(model, tmp_path / "m.onnx")
    words = ["bench", tmp_path / "m.onnx", "--batch", "4", "--rounds", 1, "--seconds", 0.02, "--provider", "cpu"]
    done = run_command(*words, "--profile", "--format", "json")
    [found] = json.loads(done.stdout)["results"]
    assert (found["macs"], found["uncounted"]) == (9, {"Einsum": 1})
    assert found["gflops"] > 0
    unsure = Macs({"MatMul_0": 36}, {"Einsum": 1, "LSTM": 2})
    about = Configuration("m.onnx", "fp32", "cpu", 1, 4)
    shown = Measurement(about, [Sample("cpu", 1.0, [1.0], 1.0, 1.0, None)], unsure)
    assert "GFLOP/s of m.onnx are too low: the multiply-adds of 1 Einsum and 2 LSTM are not counted" in report.as_text(
        [shown]
    )
    failed = Measurement(about, [Sample("cpu", 1.0, [1.0], 1.0, 1.0, None)], Macs(fault="it died"))
    assert report.warnings([failed]) == ["m.onnx: no GFLOP/s, because its multiply-adds cannot be counted: it died"]
    assert failed.as_json()["macs"] is None
