"""Files of ours that have been damaged, or rewritten by other tools, run only where somebody asks for that."""

import json
import warnings

import numpy as np
import onnx
import pytest
from PIL import Image

import cnnc
from cnnc import compiler
from cnnc.artifacts import contract
from cnnc.diagnostics import CnncError, Code
from cnnc.files import onnx_seal
from cnnc.inference import child, scorers
from cnnc.inference.integrity import open_model
from cnnc.inference.predict import infer, load_model
from tests.command import run_command
from tests.damage import cut, damaged, flipped, zeroed

SPEC = {
    "cnnc": 1,
    "name": "net",
    "input": {"image": {"shape": [1, 8, 8], "mean": [0.5], "std": [0.25]}},
    "nodes": [{"conv": {"out": 2, "kernel": 3}}, "relu", "global_avg_pool", "flatten", {"linear": {"out": 3}}],
    "labels": ["boot", "bag", "coat"],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    cnnc.build(SPEC, targets=["onnx", "torchscript"], out=folder)
    return folder / "net"


@pytest.fixture
def model(built, tmp_path):
    """A copy of the ONNX file, to be damaged."""
    path = tmp_path / "net.onnx"
    path.write_bytes((built / "net.onnx").read_bytes())
    return path


def refused(path, **options):
    with pytest.raises(CnncError) as caught, load_model(path, "cpu", **options):
        pass
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == Code.MODEL_UNREADABLE
    return f"{diagnostic.message} {diagnostic.help}"


def require_intact(path):
    open_model(path).require_intact()


def test_a_file_is_its_seal_and_what_the_seal_says(model):
    onnx_seal.require_intact(model, {})
    require_intact(model)
    keys = [each.key for each in onnx.load(model).metadata_props]
    assert keys[0] == onnx_seal.KEY
    assert len(keys) == len(set(keys))


def test_every_flipped_bit_is_noticed(model):
    data = model.read_bytes()
    head = [flip for place in range(onnx_seal.SIZE) for flip in flipped(data, [place] * 16, seed=place)]
    for damage in [*head, *flipped(data, range(onnx_seal.SIZE, len(data), 3))]:
        model.write_bytes(damage)
        with pytest.raises(CnncError, match="E501"):
            require_intact(model)
        with pytest.raises(onnx_seal.Changed):
            onnx_seal.require_intact(model, {})


def test_zeros_and_missing_ends_are_noticed(model):
    data = model.read_bytes()
    for damage in [*zeroed(data, 200), *cut(data, 100)]:
        model.write_bytes(damage)
        with pytest.raises(CnncError, match="E501"):
            require_intact(model)


def test_a_damaged_model_is_said_to_be_one(model):
    data = bytearray(model.read_bytes())
    data[-3] ^= 1
    model.write_bytes(data)
    text = refused(model)
    assert "is damaged, or was edited in place" in text
    assert "--accept-changed" in text
    with load_model(model, "cpu", accept_changed=True) as loaded:
        assert loaded.contract.labels == ("boot", "bag", "coat")
    model.write_bytes(data[:-3])
    assert "damaged" in refused(model)
    data[3] ^= 1
    model.write_bytes(data)
    assert "damaged" in refused(model)


def test_damage_is_told_whatever_else_is_wrong(model):
    data = model.read_bytes()
    with load_model(model, "cpu") as loaded:
        assert loaded.contract.labels == ("boot", "bag", "coat")
    for place in (len(data) - 3, data.index(b"boot"), data.index(b"conv.weight")):  # the last keeps it from loading
        model.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert "is damaged, or was edited in place" in refused(model)


def test_a_file_that_lost_its_contract_to_damage_starts_no_process(model, monkeypatch):
    data = model.read_bytes().replace(contract.CONTRACT.encode(), b"cnnc.contrast")
    model.write_bytes(data)
    started = []
    monkeypatch.setattr(child, "Child", lambda *given, **options: started.append(given))
    assert "is damaged, or was edited in place" in refused(model)
    assert not started


def test_a_model_that_another_tool_has_rewritten(model, tmp_path):
    onnx.save(onnx.load(model), model)
    text = refused(model)
    assert "another tool has rewritten it" in text
    assert "--accept-changed" in text
    picture = tmp_path / "p.png"
    Image.new("L", (8, 8), 99).save(picture)
    with load_model(model, "cpu", accept_changed=True) as loaded:
        assert infer(loaded, picture).predictions
    done = run_command("infer", model, picture, "--provider", "cpu")
    assert (done.exit_code, "E501" in done.stderr) == (1, True)
    assert run_command("infer", model, picture, "--provider", "cpu", "--accept-changed").exit_code == 0
    assert scorers.of_onnx(str(model), "cpu", accept_changed=True).contract.labels == ("boot", "bag", "coat")


def test_a_file_of_an_earlier_cnnc_has_no_seal(model):
    model.write_bytes(model.read_bytes()[onnx_seal.SIZE :])
    require_intact(model)
    with load_model(model, "cpu") as loaded:
        assert loaded.contract.labels == ("boot", "bag", "coat")


def test_weights_are_taken_from_whole_files_and_from_rewritten_ones(built, model):
    def bias():
        return cnnc.compile(SPEC, weights=model).get_parameter("linear.bias").detach().numpy()

    before = bias()
    other = model.rename(model.with_name("weights"))
    np.testing.assert_array_equal(cnnc.compile(SPEC, weights=other).get_parameter("linear.bias").detach(), before)
    other.rename(model)
    data = bytearray(model.read_bytes())
    onnx.save(onnx.load(model), model)
    np.testing.assert_array_equal(bias(), before)
    data[-3] ^= 1
    model.write_bytes(data)
    with pytest.raises(CnncError, match=r"E402.*is damaged"):
        bias()


def contract_of(path):
    """How a TorchScript file is fed; None where it is refused."""
    try:
        return scorers.of_torchscript(str(path), compiler.load, "cpu").contract
    except CnncError as error:
        codes = {each.code for each in error.diagnostics}
    return None if codes == {Code.MODEL_UNREADABLE} else codes


def test_damage_to_torchscript_or_its_manifest_is_noticed(built, tmp_path):
    """Where it is not, the file is fed as before."""
    for name in ("net.pt", "manifest.json"):
        (tmp_path / name).write_bytes((built / name).read_bytes())
    wanted = contract_of(tmp_path / "net.pt")
    for name, may_pass in (("net.pt", {None}), ("manifest.json", {None, wanted})):
        data = (built / name).read_bytes()
        for damage in damaged(data, 60):
            (tmp_path / name).write_bytes(damage)
            assert contract_of(tmp_path / "net.pt") in may_pass
        (tmp_path / name).write_bytes(data)


def test_torchscript_that_cannot_be_read_is_an_error(built, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(scorers, "file_digest", refuse)  # root, who may run this, can read everything
    with pytest.raises(CnncError, match=r"E501.*cannot read the model .*net.pt: permission denied"):
        scorers.of_torchscript(str(built / "net.pt"), compiler.load)


def test_a_manifest_with_another_spec_is_refused(built, tmp_path):
    for name in ("net.pt", "manifest.json"):
        (tmp_path / name).write_bytes((built / name).read_bytes())
    said = json.loads((tmp_path / "manifest.json").read_text())
    said["spec"]["input"]["image"]["mean"] = [0.4]
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(CnncError, match=r"E501.*the spec in .* is not the one that `cnnc build` wrote"):
        scorers.of_torchscript(str(tmp_path / "net.pt"), compiler.load, "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = scorers.of_torchscript(str(tmp_path / "net.pt"), compiler.load, "cpu", accept_changed=True)
    assert found.contract.input.mean == (0.4,)
