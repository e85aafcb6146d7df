"""`cnnc bench`: the figures, where each event of a profile belongs, and files that cannot be measured."""

import json
import platform
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import cnnc
from cnnc.files.onnx_graph import GraphNode
from cnnc.inference.benchmark import child, report
from cnnc.inference.benchmark.profile import assigned, blocks, folded
from cnnc.inference.benchmark.results import Configuration, Macs, Measurement, Peak, Sample
from tests.command import run_command
from tests.onnx_files import linear, means, model_of

HERE = pytest.mark.usefixtures("no_bench_child")
QUICK = ("--rounds", 2, "--seconds", 0.02, "--provider", "cpu")
RESIDUAL = {
    "cnnc": 1,
    "name": "net",
    "input": {"image": [3, 16, 16]},
    "blocks": {
        "residual": {
            "nodes": [
                {"conv": {"name": "left", "from": "input", "out": 16, "kernel": 3, "padding": 1, "act": "relu"}},
                {"conv": {"name": "right", "from": "input", "out": 16, "kernel": 1}},
                {"add": {"from": ["left", "right"]}},
                "relu",
            ]
        }
    },
    "nodes": [
        {"residual": {"name": "a"}},
        {"residual": {"name": "b"}},
        "global_avg_pool",
        "flatten",
        {"linear": {"out": 4}},
    ],
}
CONFIGURATION = Configuration("m.onnx", "fp32", "cpu", 1, 2)
MACS = Macs({"a.conv": 1000, "b": 500})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    cnnc.build(RESIDUAL, targets=["onnx"], out=folder)
    return folder / "net/net.onnx"


def bench(*words):
    done = run_command("bench", *words, *QUICK, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def refused(*words):
    done = run_command("bench", *words, *QUICK)
    assert (done.exit_code, done.stdout) == (1, "")
    return done.stderr


def sample(*latencies, cpu=1.0, load=5.0, memory=100):
    return Sample("cpu", load, latencies, cpu, 1.0, memory)


@HERE
def test_every_combination_is_measured_side_by_side(built, save):
    found = bench(built, save(linear()), "--batch", "1,3", "--threads", "1,2")
    about = [(Path(each["model"]).name, each["threads"], each["batch"]) for each in found["results"]]
    assert about == [
        (name, threads, batch) for name in ("net.onnx", "m.onnx") for threads in (1, 2) for batch in (1, 3)
    ]
    assert [each["threads"] for each in found["peaks"]] == [1, 2]
    assert all(each["gflops"] > 0.1 for each in found["peaks"])
    for each in found["results"]:
        times = each["latency_ms"]
        assert 0 < times["p50"] <= times["p95"] <= times["p99"]
        assert each["runs"] >= 2 * child._LEAST
        assert each["load_ms"] > 0
        assert each["memory_bytes"] > 10e6
        assert each["macs"] == (cnnc_macs() if each["model"] == str(built) else 3 * 4)
        assert each["gflops"] > 0
    assert (found["spinning"], found["results"][0]["provider"]) == (False, "cpu")


def cnnc_macs():
    return sum(node.cost.macs for node in cnnc.load(RESIDUAL).nodes)


@HERE
def test_the_table_shows_a_row_for_each(built, save):
    done = run_command("bench", built, save(means(), name="f.onnx"), "--size", "40x30", *QUICK)
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines()[2:4]]
    assert [Path(row[0]).name for row in rows] == ["net.onnx", "f.onnx"]
    assert "threads that wait do not spin" in done.stdout
    assert "256 × 256" in done.stdout


def test_memory_is_that_of_the_configuration_alone(save):
    found = bench(save(means()), "--batch", "1,64,1", "--size", "256x256")
    small, large = (each["memory_bytes"] for each in found["results"])
    assert large - small > 64 * 3 * 256 * 256 * 4 * 0.9


def test_figures():
    found = Measurement(CONFIGURATION, [sample(1.0, 2.0, 3.0), sample(2.0, 4.0)], MACS, Peak(1, 0.01, 1.0))
    assert [found.percentile(each) for each in (1, 50, 95, 99)] == [1.0, 2.0, 4.0, 4.0]
    assert found.pictures_per_second == pytest.approx(2 * 5 / 0.012)
    assert found.gflops == pytest.approx(2 * 750 * 2 / 2e-3 / 1e9)
    assert found.of_peak == pytest.approx(found.gflops / 0.01)
    assert found.spread == pytest.approx(1 / 2.5)


@pytest.mark.parametrize(("cpu", "busy"), [(0.8, 1.0), (1.0, 0.8)])
def test_no_share_of_the_peak_where_the_processor_was_taken_away(cpu, busy):
    found = Measurement(CONFIGURATION, [sample(1.0, cpu=cpu)], MACS, Peak(1, 10.0, busy))
    assert found.of_peak is None
    assert found.gflops is not None
    [note] = report.warnings([found])
    assert "80% of the time" in note
    assert Measurement(CONFIGURATION, [sample(1.0, cpu=0.95)], MACS, Peak(1, 10.0, 0.95)).of_peak is not None


def test_rounds_that_differ_are_a_warning():
    even, uneven = (Measurement(CONFIGURATION, [sample(1.0), sample(each)], MACS) for each in (1.05, 1.5))
    assert report.warnings([even]) == []
    [note] = report.warnings([even, uneven])
    assert "2 rounds of m.onnx, batch 2, 1 thread, cpu differ by 40%" in note


NODES = [
    GraphNode("stem", "Conv", ("x",), ("stem",)),
    GraphNode("relu", "Relu", ("stem",), ("relu",)),
    GraphNode("left", "Conv", ("relu",), ("left",)),
    GraphNode("right", "Conv", ("relu",), ("right",)),
    GraphNode("add", "Add", ("left", "right"), ("add",)),
    GraphNode("relu_2", "Relu", ("add",), ("relu_2",)),
    GraphNode("fc", "Gemm", ("relu_2",), ("fc",)),
    GraphNode("relu_3", "Relu", ("fc",), ("relu_3",)),
]


def test_events_belong_to_the_nodes_that_do_the_work():
    events = [
        ("relu_nchwc_kernel_time", "Conv"),
        ("right_nchwc_kernel_time", "Conv"),
        ("relu_2_nchwc_kernel_time", "Conv"),
        ("ReorderOutput_kernel_time", "ReorderOutput"),
        ("relu_3_kernel_time", "FusedGemm"),
        ("relu_3_kernel_time", "FusedGemm"),
    ]
    assert assigned(NODES, events) == ["stem", "right", "left", None, "fc", "fc"]


def test_an_event_without_a_node_of_its_op_belongs_to_the_node_that_it_is_named_by():
    assert assigned(NODES, [("relu_kernel_time", "Clip"), ("stem_kernel_time", "QLinearConv")]) == ["relu", "stem"]


def test_events_of_a_quantized_file_belong_to_its_nodes():
    events = [
        ("stem_token_2_kernel_time", "QLinearConv"),
        ("relu_token_7_kernel_time", "NhwcMaxPool"),
        ("fc_kernel_time", "QGemm"),
        ("Transpose_token_5_kernel_time", "Transpose"),
    ]
    assert assigned(NODES, events) == ["stem", "relu", "fc", None]


def test_paths_fold():
    assert [folded("a.b.c", depth, ".") for depth in (None, 1, 2, 5)] == ["a.b.c", "a", "a.b", "a.b.c"]


@HERE
def test_the_profile_is_whole_and_names_nodes_of_the_spec(built):
    found = bench(built, "--profile")["results"][0]
    rows = {each["path"]: each for each in found["blocks"]}
    assert sum(each["share"] for each in rows.values()) == pytest.approx(1)
    own = {path for path, each in rows.items() if each["in_file"]}
    assert (
        {"a.left", "a.right", "b.left", "b.right", "linear"} <= own <= {node.path for node in cnnc.load(RESIDUAL).nodes}
    )
    assert "between the nodes" in rows
    assert "a.relu" not in own, "it is fused with a conv"
    assert rows["a.left"]["macs"] == 3 * 16 * 9 * 256
    deep = bench(built, "--depth", 1, "--batch", 2)["results"][0]["blocks"]
    assert {"a", "b", "linear"} <= {each["path"] for each in deep}
    assert next(each["macs"] for each in deep if each["path"] == "a") == 2 * (3 * 16 * 9 + 3 * 16) * 256


def test_what_is_not_in_the_file_has_rows_of_its_own(built):
    about = Configuration(str(built), "fp32", "cpu", 1, 1, ours=True)
    answer = {"nodes": [("a.left", "Conv", 30), ("Reorder", "ReorderInput", 10), ("x", "ReorderInput", 10)]}
    found = blocks(about, Macs({"a.left": 7}), {**answer, "microseconds": 100, "runs": 2}, None)
    assert [(each.path, each.milliseconds, each.share, each.macs, each.in_file) for each in found] == [
        ("a.left", 0.015, 0.3, 7, True),
        ("ReorderInput, added by onnxruntime", 0.01, 0.2, None, False),
        ("between the nodes", 0.025, 0.5, None, False),
    ]


@HERE
@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("SVG", b"<?xml")])
def test_a_chart(built, tmp_path, suffix, start):
    path = tmp_path / f"chart.{suffix}"
    done = run_command("bench", built, *QUICK, "-o", path)
    assert done.exit_code == 0
    assert path.read_bytes().startswith(start)
    assert str(path) in done.stdout


def test_a_chart_of_another_kind_is_a_wrong_call(built):
    done = run_command("bench", built, "-o", "chart.jpg")
    assert (done.exit_code, done.stdout) == (2, "")
    assert ".png or .svg" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--batch", "1,x", "'x' is not an integer"),
        ("--batch", "0", "must be at least 1"),
        ("--provider", "cpu,gpu", "'gpu' is not one of"),
        ("--precision", "int4", "'int4' is not one of"),
        ("--size", "0x3", "is not a height and a width"),
    ],
)
def test_wrong_options(built, option, value, reason):
    done = run_command("bench", built, option, value)
    assert done.exit_code == 2
    assert reason in done.stderr


@HERE
def test_precisions_are_files_beside_the_given_one(save):
    path = save(linear())
    for precision in ("int8", "fp16"):
        save(linear(), name=f"m.{precision}.onnx")
    found = bench(path, "--precision", "fp32,int8,fp16")["results"]
    assert [Path(each["model"]).name for each in found] == ["m.onnx", "m.int8.onnx", "m.fp16.onnx"]
    path.with_name("m.int8.onnx").unlink()
    assert "m.int8.onnx" in refused(path, "--precision", "int8")


@HERE
def test_a_batch_that_the_file_does_not_take(save):
    said = refused(save(linear(image=(2, 1, 2, 2))), "--batch", 3)
    assert "always takes 2 pictures" in said
    assert "`--batch 2`" in said


def test_open_sizes_of_a_foreign_file(save):
    assert "--size HEIGHTxWIDTH" in refused(save(means()))
    assert bench(save(means()), "--size", "8x9")["results"][0]["size"] == [8, 9]


@HERE
def test_open_sizes_of_a_spec(tmp_path):
    spec = {
        "cnnc": 1,
        "name": "open",
        "input": {"image": {"shape": [3, None, None]}},
        "nodes": [{"conv": {"out": 4, "kernel": 3}}, "global_avg_pool", "flatten"],
    }
    cnnc.build(spec, targets=["onnx"], out=tmp_path)
    path = tmp_path / "open/open.onnx"
    for words, size in (((), [224, 224]), (("--size", "10x20"), [10, 20])):
        [found] = bench(path, *words)["results"]
        assert found["size"] == size
        assert found["macs"] == 3 * 4 * 9 * (size[0] - 2) * (size[1] - 2)
    assert "at least 3 × 3" in refused(path, "--size", "2x2")


@HERE
def test_other_types_of_inputs(save):
    cast = helper.make_node("Cast", ["image"], ["y"], to=TensorProto.FLOAT)
    for kind in (TensorProto.UINT8, TensorProto.INT64, TensorProto.FLOAT16):
        assert bench(save(model_of(cast, output=("N", 1, 2, 2), kinds=(kind, TensorProto.FLOAT))))["results"]
    bad = save(model_of(cast, output=("N", 1, 2, 2), kinds=(TensorProto.STRING, TensorProto.FLOAT)))
    assert "tensor(string)" in refused(bad)


@HERE
def test_a_damaged_file_is_refused(built, tmp_path):
    data = bytearray(built.read_bytes())
    data[-3] ^= 1
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    assert "is damaged" in refused(path)
    assert bench(path, "--accept-changed")["results"]


def test_a_process_that_takes_too_long_is_one_error(save):
    assert "did not finish within 0.001 s" in refused(save(linear()), "--timeout", "0.001")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors do not trap here")
def test_a_process_that_dies_is_one_error(save):
    nodes = [
        helper.make_node("Div", ["lowest", "divisor"], ["quotient"]),  # overflows, which the processor traps
        helper.make_node("Cast", ["quotient"], ["y"], to=TensorProto.FLOAT),
    ]
    weights = {"lowest": np.array([[-(2**31)] * 3], np.int32), "divisor": np.array([[-1] * 3], np.int32)}
    assert "was killed by signal 8" in refused(save(model_of(*nodes, weights=weights)))


def test_completion_knows_lists():
    from cnnc.cli.completion import complete

    assert [each.partition("\t")[0] for each in complete(["bench", "--precision", "f"])] == ["fp32", "fp16"]
