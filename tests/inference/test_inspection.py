"""`cnnc inspect`: what it shows of files of cnnc, foreign files and damaged ones."""

import json
import subprocess
import sys

import onnx
import pytest

import cnnc
from cnnc.files.onnx_graph import read_structure
from cnnc.inference.inspection import inspect
from tests.command import run_command
from tests.onnx_files import contract, linear, means

SPEC = {
    "cnnc": 1,
    "name": "net",
    "params": {"out": 3},
    "input": {"image": {"shape": [3, 8, 8], "mean": [0.5] * 3, "std": [0.25] * 3, "resize": 12, "crop": [8, 8]}},
    "nodes": [
        {"conv": {"name": "z", "out": 2, "kernel": 3}},
        "relu",
        {"global_avg_pool": {"name": "b"}},
        "flatten",
        {"linear": {"name": "a", "out": "$out"}},
    ],
    "outputs": {"scores": "a", "features": "b"},
    "labels": ["boot", "bag", "null"],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    cnnc.build(SPEC, targets=["onnx"], out=folder)
    return folder / "net/net.onnx"


@pytest.fixture
def copy(built, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(built.read_bytes())
    return path


def test_it_shows_what_the_file_takes_gives_and_comes_from(built):
    done = run_command("inspect", built)
    assert done.exit_code == 0
    facts = [line.split("  ", 1)[1].strip() for line in done.stdout.splitlines()[1:]]
    assert "image: float32 batch × 3 × 8 × 8" in facts
    assert "an RGB picture, resized: shorter side to 12 (bilinear), 8 × 8 cropped from the centre" in facts
    assert "values 0..1, minus the mean 0.5 0.5 0.5, divided by 0.25 0.25 0.25" in facts
    assert "scores: float32 batch × 3 (classes, logits)" in facts
    assert "features: float32 batch × 2 × 1 × 1 (classes, logits)" in facts
    assert "3: boot, bag, null" in facts
    assert "5: 1 Conv, 1 Relu, 1 GlobalAveragePool, 1 Flatten, 1 Gemm" in facts
    assert "holds: the file is as cnnc wrote it" in facts
    assert any(each.startswith(f"cnnc {cnnc.__version__}, torch ") for each in facts)


def test_json_holds_the_same_and_the_manifests_hashes(built):
    found = json.loads(run_command("inspect", built, "--format", "json").stdout)
    manifest = json.loads(built.with_name("manifest.json").read_text())
    assert found["files"] == {"net.onnx": manifest["files"]["net.onnx"]["bytes"]}
    assert (found["spec_sha256"], found["weights_sha256"]) == (manifest["spec_sha256"], manifest["weights_sha256"])
    assert found["hashes"] == {"file": True, "spec": True}
    assert found["contract"]["labels"] == SPEC["labels"]
    assert found["tools"] == manifest["tools"]
    assert found["spec"] == SPEC
    assert found["opsets"] == {"": 20}
    assert found["weights"] == {"elements": {"float32": 65}, "bytes": 260}
    assert found["outputs"][0] == {"name": "scores", "type": "float32", "shape": ["batch", 3]}
    assert found["diagnostics"] == []


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_spec_comes_out_as_it_went_in(built, tmp_path, format):
    done = run_command("inspect", built, "--spec", "--format", format)
    again = tmp_path / f"again.{format}"
    again.write_text(done.stdout, encoding="utf-8")
    assert [each.name for each in cnnc.load(again).outputs] == ["scores", "features"]
    assert cnnc.load(again).spec == cnnc.load(SPEC).spec
    assert run_command("check", again).exit_code == 0


def test_a_damaged_file_is_shown_and_refused(copy):
    data = bytearray(copy.read_bytes())
    data[-3] ^= 1
    copy.write_bytes(data)
    done = run_command("inspect", copy)
    assert done.exit_code == 1
    assert "does not hold" in done.stdout
    assert "3: boot, bag, null" in done.stdout
    assert "is damaged, or was edited in place" in done.stderr
    found = json.loads(run_command("inspect", copy, "--format", "json").stdout)
    assert (found["hashes"]["file"], found["diagnostics"][0]["code"]) == (False, "E501")


def test_damage_that_hides_the_rest_is_one_error(copy):
    data = copy.read_bytes()
    copy.write_bytes(data.replace(b"GlobalAveragePool", b"\xff" * 17))
    done = run_command("inspect", copy)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("error[") == 1
    assert "is damaged, or was edited in place" in done.stderr


@pytest.mark.parametrize("content", [b"", b"text", b"\x00" * 50])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    done = run_command("inspect", tmp_path / "m.onnx")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error[E501]")


def test_every_cut_is_refused(built, tmp_path):
    data, path = built.read_bytes(), tmp_path / "m.onnx"
    for end in range(0, len(data), 61):
        path.write_bytes(data[:end])
        assert run_command("inspect", path).exit_code == 1


def test_a_file_that_another_tool_has_rewritten_is_shown_and_refused(copy):
    onnx.save(onnx.load(copy), copy)
    model = onnx.load(copy)
    first = model.metadata_props[0]
    del model.metadata_props[0]
    model.metadata_props.append(first)
    onnx.save(model, copy)
    done = run_command("inspect", copy)
    assert done.exit_code == 1
    assert "labels" in done.stdout
    assert "another tool has rewritten it" in done.stderr


def test_a_foreign_file_is_shown(save):
    done = run_command("inspect", save(means()))
    assert done.exit_code == 0
    assert "image: float32 N × 3 × H × W" in done.stdout
    assert "none: cnnc did not make this file" in done.stdout
    done = run_command("inspect", save(means()), "--spec")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "contains no spec" in done.stderr


def test_a_contract_of_another_version_is_refused(save):
    done = run_command("inspect", save(linear(), '{"input": {}, "new": 1}'))
    assert done.exit_code == 1
    assert "E501" in done.stderr


def test_a_changed_spec_is_noticed(save):
    model = linear()
    path = save(model, contract())
    model = onnx.load(path)
    model.metadata_props.add(key="cnnc.spec", value='{"name": "x"}')
    model.metadata_props.add(key="cnnc.spec_sha256", value="0" * 64)
    onnx.save(model, path)
    assert inspect(path).hashes == {"file": None, "spec": False}
    assert "which is not its hash" in inspect(path).as_text()
    model.metadata_props[-2].value = "[1]"
    onnx.save(model, path)
    assert "not a JSON object" in run_command("inspect", path).stderr


def test_the_structure_is_what_onnx_reads(built, save):
    for path in (built, save(linear())):
        model, found = onnx.load(path), read_structure(path)
        assert [(each.op, list(each.inputs), list(each.outputs), each.name) for each in found.nodes] == [
            (each.op_type, list(each.input), list(each.output), each.name) for each in model.graph.node
        ]
        assert found.ir == model.ir_version


def test_it_imports_no_framework(built):
    program = "import sys; from cnnc.cli.app import answer; answer(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", program, "inspect", str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = done.stderr.split()
    assert "cnnc.inference.inspection" in modules
    assert not {"torch", "onnx", "onnxruntime", "numpy"} & {*modules}
