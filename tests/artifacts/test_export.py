"""What a build writes, and what it refuses before it has made anything."""

import json
import time
from dataclasses import replace
from hashlib import sha256

import onnx
import pytest
from PIL import Image

import cnnc
from cnnc.artifacts.export import require_targets
from cnnc.compiler import load
from cnnc.diagnostics import CnncError, Code
from cnnc.files import mapped_weights, onnx_seal
from cnnc.inference import scorers
from cnnc.inference.predict import infer, load_model
from cnnc.passes.network import Network
from cnnc.targets import onnx_writer
from cnnc.targets.registry import TABLE, Made
from cnnc.targets.torch_module import lower
from cnnc.verification.verify import Verification
from cnnc.weights import load as weights
from tests.damage import damaged
from tests.thorough import thorough


def graph_of(nodes, **more):
    return load({"cnnc": 1, "name": "n", "input": {"image": [1, 64, 64]}, "nodes": nodes, **more})


def test_each_target_is_taken_once():
    graph = graph_of(["flatten", {"linear": {"out": 2}}])
    assert require_targets(graph, ["onnx", "onnx"], 20) == ("onnx",)


def test_pt2_is_written_when_nothing_else_runs_the_module(tmp_path, monkeypatch):
    """torch.export swaps the weights of a module, for all threads: torch's own answer has to be there before."""
    calm = Verification.reference

    def slow(self):
        time.sleep(1.5)
        return calm(self)

    monkeypatch.setattr(Verification, "reference", slow)
    spec = {"cnnc": 1, "name": "n", "input": {"x": [1, 6, 6]}, "nodes": [{"conv": {"out": 2, "kernel": 3}}, "relu"]}
    for _ in range(2):  # the first of a process has imports to wait for
        assert cnnc.build(spec, targets="pt2", out=tmp_path).agreements[0].sensitivity
    built = cnnc.build(spec, targets=["pt2", "onnx"], out=tmp_path)
    assert [each.target for each in built.agreements] == ["pt2", "onnx"]


LARGE = {
    "cnnc": 1,
    "name": "net",
    "input": {"image": {"shape": [1, 8, 8], "mean": [0.5]}},
    "nodes": [
        {"conv": {"out": 16, "kernel": 3}},
        "batch_norm",
        "relu",
        "flatten",
        {"linear": {"name": "fc", "out": 4}},
        {"linear": {"name": "aux", "from": "flatten", "out": 4}},
    ],
    "outputs": {"fc": "fc", "aux": {"from": "aux", "only": "train"}},
}


@pytest.fixture
def large(monkeypatch):
    """Every network is large: its weights lie in files, and those of an ONNX model in one beside it."""
    monkeypatch.setattr(mapped_weights, "LARGE", 0)
    monkeypatch.setattr(onnx_writer, "LARGEST", onnx_writer.SPARE)


@thorough
def test_a_large_network_becomes_the_same_files(tmp_path, large, monkeypatch):
    built = cnnc.build(LARGE, targets=list(TABLE), out=tmp_path / "large")
    assert [each.target for each in built.agreements] == list(TABLE)
    monkeypatch.undo()
    small = cnnc.build(LARGE, targets=list(TABLE), out=tmp_path / "small")
    assert set(built.files) == {*small.files, "net.onnx.data", "net.triton/net/1/model.onnx.data"}
    for name in ("net.safetensors", "net.py"):
        assert (built.folder / name).read_bytes() == (small.folder / name).read_bytes()
    ours, theirs = (onnx.load(each.folder / "net.onnx").graph for each in (built, small))
    for one in ours.initializer:
        one.ClearField("data_location")
    assert ours == theirs
    found = {each.relative_to(built.folder).as_posix() for each in built.folder.rglob("*") if each.is_file()}
    assert {name for name in found if name[0] != "."} == set(built.files)


@pytest.mark.parametrize("fault", ["onnx", "torchscript"])
def test_a_large_network_is_verified_as_well(tmp_path, large, monkeypatch, fault):
    """A file with other weights is refused."""
    row = TABLE[fault]

    def write(made, path):
        state = {key: value + (key == "fc.bias") for key, value in made.module.state_dict().items()}
        module = lower(made.graph, state).eval()
        other = Made(Network(made.graph, {key: value.numpy() for key, value in state.items()}), made.graph, module)
        return row.write(other, path)

    monkeypatch.setitem(TABLE, fault, replace(row, write=write))
    with pytest.raises(CnncError, match=r"E404.*`fc.bias` is missing or differs from the module's"):
        cnnc.build(LARGE, targets=fault, out=tmp_path)
    assert not (tmp_path / "net").exists()


def test_weights_beside_a_model_are_the_builds_own(tmp_path, large, monkeypatch):
    """They are in the manifest, are found without a flag, and go with the build."""
    built = cnnc.build(LARGE, targets="onnx", out=tmp_path)
    model, data = built.folder / "net.onnx", built.folder / "net.onnx.data"
    said = json.loads((built.folder / "manifest.json").read_text())["files"]["net.onnx.data"]
    assert said == {"sha256": sha256(data.read_bytes()).hexdigest(), "bytes": data.stat().st_size}
    Image.new("L", (8, 8), 99).save(tmp_path / "p.png")
    with load_model(model, "cpu") as loaded:
        assert len(infer(loaded, tmp_path / "p.png").predictions) == 4
    assert scorers.of_onnx(str(model), "cpu").contract.scores == "logits"
    monkeypatch.undo()
    assert "net.onnx.data" not in cnnc.build(LARGE, targets="onnx", out=tmp_path).files
    assert not data.exists()


def test_damage_to_weights_beside_a_model_is_noticed(tmp_path, large):
    built = cnnc.build(LARGE, targets="onnx", out=tmp_path)
    model, data = built.folder / "net.onnx", built.folder / "net.onnx.data"

    def refused(**options):
        with pytest.raises(CnncError) as caught, load_model(model, "cpu", **options):
            pass
        [diagnostic] = caught.value.diagnostics
        assert diagnostic.code == Code.MODEL_UNREADABLE
        return f"{diagnostic.message} {diagnostic.help}"

    whole = data.read_bytes()
    for damage in damaged(whole, 15):
        data.write_bytes(damage)
        assert "net.onnx.data is damaged, or was edited in place" in refused()
        with pytest.raises(CnncError, match=r"E402.*net\.onnx\.data.? is (damaged|too short)"):
            weights.checkpoint(model, {})
    data.unlink()
    assert "copy net.onnx.data to the folder of the model" in refused()
    data.write_bytes(whole)
    for damage in damaged(model.read_bytes(), 15):
        model.write_bytes(damage)
        assert "damaged" in refused()


def test_a_model_with_weights_beside_it_may_say_so_only_of_a_file_beside_it(tmp_path, large):
    """Such a model is no file that cnnc wrote, whatever its seal."""
    built = cnnc.build(LARGE, targets="onnx", out=tmp_path)
    (built.folder / "net.onnx.data").rename(tmp_path / "w.data")
    model = onnx.load(built.folder / "net.onnx", load_external_data=False)
    said = {each.key: each for each in model.metadata_props}
    said[onnx_seal.DATA].value = json.dumps({**json.loads(said[onnx_seal.DATA].value), "name": "../w.data"})
    del model.metadata_props[0]
    (built.folder / "net.onnx").write_bytes(b"".join(onnx_seal.sealed([model.SerializeToString()])))
    with pytest.raises(CnncError, match=r"E501.*its weights must be in a file of the same folder, got '../w.data'"):
        load_model(built.folder / "net.onnx", "cpu")
