"""Model repositories for Triton: read with its schema, and the model in them."""

import json

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]

import cnnc
from cnnc.diagnostics import CnncError
from tests.command import run_command
from tests.targets.triton_schema import model_config

SPEC = {
    "cnnc": 1,
    "name": "net-1",
    "input": {"image": {"shape": [3, 8, 6], "mean": [0.5] * 3, "std": [0.25] * 3}},
    "nodes": [
        {"conv": {"name": "features", "out": 2, "kernel": 3}},
        "relu",
        "global_avg_pool",
        "flatten",
        {"linear": {"name": "scores", "out": 3}},
    ],
    "outputs": ["scores", "features"],
    "labels": ["boot", 'a "bag"', "läufer\n"],
}


def read(repository, name="net-1"):
    text = (repository / name / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config()())


def types(ports):
    return [
        (each.name, type(each).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[each.data_type].name)
        for each in ports
    ]


@pytest.fixture
def built(tmp_path):
    cnnc.build(SPEC, targets=["triton"], out=tmp_path)
    return tmp_path / "net-1" / "net-1.triton"


def test_the_configuration_is_read_by_tritons_schema(built):
    config = read(built)
    assert (config.name, config.backend, config.max_batch_size) == ("net-1", "onnxruntime", 64)
    assert config.HasField("dynamic_batching")
    assert types(config.input) == [("image", "TYPE_FP32")]
    assert types(config.output) == [("scores", "TYPE_FP32"), ("features", "TYPE_FP32")]
    assert [list(each.dims) for each in (*config.input, *config.output)] == [[3, 8, 6], [3], [2, 6, 4]]
    assert [each.label_filename for each in config.output] == ["labels.txt", ""]
    assert config.input[0].format == 2
    lines = (built / "net-1/labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["boot", 'a "bag"', r"läufer\n"]


def test_the_model_takes_what_the_configuration_says(built):
    config = read(built)
    session = onnxruntime.InferenceSession(built / "net-1/1/model.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, config.max_batch_size):
        feeds = {each.name: np.zeros((batch, *each.dims), np.float32) for each in config.input}
        found = session.run([each.name for each in config.output], feeds)
        assert [each.shape for each in found] == [(batch, *each.dims) for each in config.output]


def test_pixels_and_open_sizes(tmp_path):
    spec = {**SPEC, "input": {"image": [3, None, 6]}, "labels": None}
    del spec["labels"]
    cnnc.build(spec, targets=["onnx", "triton"], uint8=True, out=tmp_path)
    repository = tmp_path / "net-1/net-1.triton"
    config = read(repository)
    assert types(config.input) == [("image", "TYPE_UINT8")]
    assert (list(config.input[0].dims), config.input[0].format) == ([-1, 6, 3], 1)
    assert list(config.output[1].dims) == [2, -1, 4]
    assert not config.output[0].label_filename
    assert not (repository / "net-1/labels.txt").exists()
    onnx, inside = tmp_path / "net-1/net-1.onnx", repository / "net-1/1/model.onnx"
    assert onnx.read_bytes() == inside.read_bytes()


def test_the_manifest_lists_all_files_and_the_model_is_verified(built):
    manifest = json.loads((built.parent / "manifest.json").read_text())
    inside = [name for name in manifest["files"] if name.startswith("net-1.triton/")]
    assert inside == [f"net-1.triton/net-1/{name}" for name in ("config.pbtxt", "labels.txt", "1/model.onnx")]
    assert list(manifest["verification"]) == ["triton"]


@pytest.mark.usefixtures("no_child")
def test_its_text_and_verify(tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run_command("build", tmp_path / "spec.json", "--target", "triton", "-o", tmp_path)
    assert done.exit_code == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if "of torch" in line]
    assert "net-1.triton/net-1/1/model.onnx" in line
    for path in ("net-1.triton", "net-1.triton/net-1/1/model.onnx"):
        done = run_command("verify", tmp_path / "spec.json", tmp_path / "net-1" / path)
        assert (done.exit_code, "of torch" in done.stdout) == (0, True), done.stderr


def test_the_next_build_removes_it_and_keeps_what_is_not_its_own(built, tmp_path):
    (built / "net-1" / "2").mkdir()
    (built / "net-1" / "2" / "model.onnx").write_text("mine")
    cnnc.build(SPEC, targets=["onnx"], out=tmp_path)
    assert sorted(path for path in built.rglob("*") if path.is_file()) == [built / "net-1" / "2" / "model.onnx"]
    (built / "net-1" / "2" / "model.onnx").unlink()
    (built / "net-1" / "2").rmdir()
    (built / "net-1").rmdir()
    built.rmdir()
    cnnc.build(SPEC, targets=["triton"], out=tmp_path)
    cnnc.build(SPEC, targets=["onnx"], out=tmp_path)
    assert not built.exists()


def test_a_folder_that_is_a_link_is_not_emptied(built, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    built.rename(elsewhere)
    built.symlink_to(elsewhere)
    cnnc.build(SPEC, targets=["onnx"], out=tmp_path)
    assert (elsewhere / "net-1" / "1" / "model.onnx").exists()


def test_a_file_in_the_place_of_the_folder_stops_the_build(tmp_path):
    cnnc.build(SPEC, targets=["onnx"], out=tmp_path)
    before = (tmp_path / "net-1/manifest.json").read_bytes()
    (tmp_path / "net-1/net-1.triton").write_text("mine")
    with pytest.raises(CnncError, match="E405"):
        cnnc.build(SPEC, targets=["triton"], out=tmp_path)
    assert (tmp_path / "net-1/manifest.json").read_bytes() == before
    assert (tmp_path / "net-1/net-1.onnx").exists()
