"""Every ONNX file that cnnc writes comes back: each op with each attribute, and whole networks.

`IMPORT_ALL=1` also takes the largest specs of the repository, which takes minutes, and prints the difference of each
with `-rP`.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from cnnc.analysis.cost import totals
from cnnc.cli.import_onnx import _labels
from cnnc.compiler import build, load
from cnnc.diagnostics import CnncError
from cnnc.importing.importer import read, with_blocks
from cnnc.importing.proof import Proof, compiled, prove
from tests.agreement.one_node import call, graph_of, inputs_of, model_of, module_of
from tests.agreement.rows import POSITIVE, rows
from tests.command import run_command
from tests.thorough import every_network, thorough

ROOT = Path(__file__).parents[2]
LARGEST = 3_000_000  # parameters
OPS = sorted({row.op for row in rows()})

# what the importer refuses, each for a reason
REFUSED = {
    "celu(alpha=10000.0)": "with Sinh, for an alpha that nobody uses",
    "celu(alpha=1000.0)": "with Sinh",
    "local_response_norm(size=1,alpha=5e-324": "with an alpha that float32 rounds to 0",
    "local_response_norm(size=2147483647,alpha=1e-37)": "the same",
    "upsample(size=9)3x?x?": "by indices from an open size to a known one",
    "local_response_norm(size=3,beta=1e-300)": "with a beta that float32 rounds to 0",
    "crop(like=other)": "`like` an input whose size alone is used, or by a distance between open sizes",
    "upsample(like=other)": "`like` an input whose size alone is used, or by indices from open sizes",
    "adaptive_max_pool(size=[2,1])3x8x?": "by rows of a map of open width",
}


def taken(row):
    """Whether an import takes the file of a row: its inputs are maps or vectors, and it is no known exception."""
    return all(len(shape) in (1, 3) for shape in row.shapes) and not any(str(row).startswith(each) for each in REFUSED)


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=thorough)], ids=["some rows", "all rows"])
@pytest.mark.parametrize("op", OPS)
def test_every_op_comes_back(op, step, tmp_path):
    for row in [each for each in rows() if each.op == op and taken(each)][::step]:
        graph = graph_of(row.op, row.attributes, row.shapes)
        module = module_of(graph)
        path = tmp_path / "net.onnx"
        path.write_bytes(model_of(graph, module).SerializeToString())
        imported = read(path)
        other = compiled(load(imported.spec), imported.weights)
        inputs = inputs_of(row.shapes, 3, positive=row.op in POSITIVE)
        for a, b in zip(call(module, inputs), call(other, inputs), strict=True):
            assert a.shape == b.shape, row
            assert float((a - b).abs().max()) <= 1e-4 * float(a.abs().max().clamp(min=1e-6)), row


@pytest.mark.parametrize("opset", [17, 26])
def test_other_opsets_come_back(opset, tmp_path):
    for op in ("gelu", "split", "mean", "sum", "amax", "upsample", "group_norm", "softmax", "dropout", "l2_norm"):
        row = next(each for each in rows() if each.op == op and taken(each))
        graph = graph_of(row.op, row.attributes, row.shapes)
        module = module_of(graph)
        path = tmp_path / "net.onnx"
        path.write_bytes(model_of(graph, module, opset).SerializeToString())
        imported = read(path)
        inputs = inputs_of(row.shapes, 3)
        found = call(compiled(load(imported.spec), imported.weights), inputs)
        torch.testing.assert_close(found, call(module, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("in_this_process")
@every_network
def test_built_networks_come_back(path):
    if totals(load(path)).params <= LARGEST:
        print(f"{path.stem}: {largest_difference(path):.1e}")
    elif "IMPORT_ALL" in os.environ:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # which returns its memory
            print(f"{path.stem}: {pool.submit(largest_difference, path).result():.1e}")
    else:
        pytest.skip("large: IMPORT_ALL=1 takes it")


def largest_difference(spec):
    """Build a network, import its ONNX file, and compare both; return the largest relative difference."""
    with TemporaryDirectory() as out:  # pytest would keep large files until the end
        built = build(spec, targets=["onnx"], out=out)
        path = next(Path(built.folder) / name for name in built.files if name.endswith(".onnx"))
        imported = with_blocks(read(path))
        largest = prove(imported, path, timeout=900).largest  # large files are slow on a busy machine
    assert largest < 1e-4
    before, after = load(spec), load(imported.spec)
    assert [each.name for each in after.inputs] == [each.name for each in before.inputs]
    assert [each.picture for each in after.inputs] == [each.picture for each in before.inputs]
    shown = [each for each in before.outputs if not each.train_only]
    assert [after.kind_of(each) for each in after.outputs] == [before.kind_of(each) for each in shown]
    assert after.labels == before.labels
    return largest


def test_the_command_writes_what_build_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("boot\nbag\ncoat\n")
    picture = {"shape": [3, 16, 16], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.3], "resize": 20, "crop": 16}
    nodes = [
        {"conv": {"out": 4, "kernel": 3}},
        "batch_norm",
        "relu",
        "global_avg_pool",
        "flatten",
        {"linear": {"out": 3}},
    ]
    spec = {"cnnc": 1, "name": "net", "input": {"image": picture}, "nodes": nodes, "labels": ["a", "b", "c"]}
    build(spec, targets=["onnx"], out=tmp_path)
    result = run_command("import", "net/net.onnx", "-o", "back.yaml")
    assert result.exit_code == 0, result.stderr
    assert "within" in result.stdout
    assert "next: cnnc build back.yaml --weights back.safetensors" in result.stdout
    graph = load("back.yaml")
    assert graph.labels == ("a", "b", "c")
    assert graph.inputs[0].picture == load(spec).inputs[0].picture
    assert run_command("build", "back.yaml", "--weights", "back.safetensors", "--target", "onnx").exit_code == 0
    assert (tmp_path / "build" / "net" / "net.onnx").exists()
    options = ["--mean", "0.5,0.5,0.5", "--std", "1,1,1", "--labels", "labels.txt", "--name", "other", "--flat"]
    assert run_command("import", "net/net.onnx", "-o", "flat.json", *options).exit_code == 0
    flat = load("flat.json")
    assert flat.name == "other"
    assert flat.labels == ("boot", "bag", "coat")
    assert flat.inputs[0].picture.mean == (0.5, 0.5, 0.5)
    for wrong in (["--input-size", "x,y"], ["--mean", "a"], ["--mode", "cmyk"]):
        assert run_command("import", "net/net.onnx", "-o", "none.yaml", *wrong).exit_code == 2
    assert run_command("import", "net/net.onnx", "-o", "none.yaml", "--input-size", "1,2,3").exit_code == 1
    assert run_command("import", "net/net.onnx", "-o", "none.yaml", "--labels", "missing.txt").exit_code == 1


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a\u2028b\nc\x0cd\ne\x85f\n", ("a\u2028b", "c\x0cd", "e\x85f")),
        ("boot\r\nbag\r\ncoat\r\n\r\n \n", ("boot", "bag", "coat")),
        ("\ufeffboot\nbag\ncoat", ("boot", "bag", "coat")),
    ],
)
def test_each_line_of_a_file_is_a_label(tmp_path, text, labels):
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert tuple(_labels(str(path))) == labels


@pytest.mark.parametrize(("text", "reason"), [("", "the file is empty"), ("\n \n", "all its lines are empty")])
def test_a_file_without_labels_is_refused(tmp_path, text, reason):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(CnncError, match=rf"E508.*labels\.txt: {reason}"):
        _labels(str(path))


def test_sizes_that_the_file_does_not_take_are_named():
    proof = Proof(1e-7, (1, 3), nodes=5, sensitivity=100.0, skipped=((7, 9), (8, 8)))
    assert str(proof).endswith("batches 1 and 3; not compared at 7×9, 8×8, where onnxruntime cannot run the file")
    assert "not compared" not in str(Proof(1e-7, (1, 3), nodes=5, sensitivity=100.0))


def test_open_channels_are_set_by_an_option(tmp_path):
    from tests.importing.test_refusals import node, saved
    from tests.onnx_files import model_of as file_of

    model = file_of(node("GlobalAveragePool", ["image"], ["y"]), image=("N", "C", "H", "W"), output=("N", "C", 1, 1))
    path = saved(model, tmp_path / "net.onnx")
    result = run_command("import", path, "-o", tmp_path / "net.yaml", "--input-size", "3,24,32")
    assert result.exit_code == 0, result.stderr
    assert load(tmp_path / "net.yaml").inputs[0].type.shape == (3, 24, 32)
