"""Weights from files: what fits is read exactly, everything else is E401, E402 or E403 and says what is wrong."""

import os
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from cnnc.diagnostics import CnncError, Code
from cnnc.files.state_hash import Hashing
from cnnc.targets.torch_module import lower
from cnnc.weights.load import read, shapes
from tests.damage import flipped
from tests.networks import residual


@pytest.fixture
def state():
    return {key: tensor.clone() for key, tensor in lower(residual()).state_dict().items()}


def save(path, data):
    save_file(data, path) if path.suffix == ".safetensors" else torch.save(data, path)
    return path


def fault(path, expected):
    with pytest.raises(CnncError) as caught:
        read(path, expected)
    [diagnostic] = caught.value.diagnostics
    return diagnostic


def listed(diagnostic):
    return "\n".join(note.message for note in diagnostic.notes)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_what_was_saved_is_read(tmp_path, state, suffix):
    found = read(save(tmp_path / f"w{suffix}", state), shapes(state))
    assert list(found) == list(state)
    assert all(torch.equal(found[key], state[key]) and found[key].dtype == state[key].dtype for key in state)


def test_a_header_whose_length_reads_like_a_pickles_first_bytes_makes_no_pickle(tmp_path):
    path = tmp_path / "w.safetensors"
    for told in range(700):
        save_file({"x": torch.ones(2)}, path, metadata={"told": "." * told})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert read(path, {"x": (2,)})["x"].sum() == 2


def test_tensors_that_share_memory_in_the_file_share_none_when_they_are_read(tmp_path):
    memory = torch.arange(8.0)
    expected = {"all": (8,), "same": (8,), "half": (4,), "turned": (4, 2), "rest": (4,)}
    saved = {"all": memory, "same": memory, "half": memory[:4], "turned": memory.view(2, 4).T, "rest": memory[4:]}
    found = read(save(tmp_path / "w.pt", saved), expected)
    assert all(torch.equal(found[key], saved[key]) for key in saved)
    for key in saved:
        found[key].fill_(-1)
        assert [name for name, each in found.items() if (each < 0).any()] == list(saved)[: list(saved).index(key) + 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_become_float32(tmp_path, state, dtype):
    data = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    found = read(save(tmp_path / "w.safetensors", data), shapes(state))
    assert found["stem.weight"].dtype == torch.float32
    assert torch.equal(found["stem.weight"], data["stem.weight"].to(torch.float32))


@pytest.mark.parametrize("nest", ["state_dict", "model"])
def test_a_checkpoint_may_hold_more(tmp_path, state, nest):
    assert read(save(tmp_path / "w.pt", {"epoch": 3, nest: state}), shapes(state)).keys() == state.keys()


def test_the_prefix_of_data_parallel_is_taken_off(tmp_path, state):
    data = {f"module.{key}": tensor for key, tensor in state.items()}
    assert read(save(tmp_path / "w.pt", data), shapes(state)).keys() == state.keys()


def test_counts_of_batches_may_be_missing(tmp_path, state):
    data = {key: tensor for key, tensor in state.items() if "num_batches" not in key}
    assert read(save(tmp_path / "w.safetensors", data), shapes(state))["norm.num_batches_tracked"] == 0


def test_missing_unexpected_and_misshapen_keys_are_one_diagnostic(tmp_path, state):
    expected = shapes(state)
    state["layer1.0.conv_1.weight"] = state.pop("layer1.0.conv1.weight")
    state["head.bias"] = torch.zeros(7)
    found = fault(save(tmp_path / "w.pt", state), expected)
    assert found.code == Code.WEIGHTS_MISMATCH
    assert f"of {len(expected)} keys expected, 1 missing, 1 unexpected, 1 misshapen" in found.message
    assert "layer1.0.conv1.weight 4×4×3×3 (the file has `layer1.0.conv_1.weight`)" in listed(found)
    assert "head.bias is 7, the spec has 3" in listed(found)


def test_many_faults_are_counted_and_not_all_listed(tmp_path, state):
    found = fault(save(tmp_path / "w.pt", {f"other.{i}": torch.zeros(2) for i in range(500)}), shapes(state))
    assert "500 unexpected" in found.message
    assert "unexpected: … and 490 more" in listed(found)
    assert len(found.notes) < 25


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {key.replace("stem", "first"): tensor for key, tensor in state.items()},
        lambda state: {f"p_{key}": each for key, each in reversed(state.items())},
        lambda state: state | {"aux.weight": torch.zeros(3)},
        lambda state: state | {"head.weight": state["head.weight"][..., None, None]},
    ],
)
def test_what_a_map_would_mend_is_told(tmp_path, state, change):
    assert "`cnnc weights SPEC" in fault(save(tmp_path / "w.pt", change(state)), shapes(state)).help
    with pytest.raises(CnncError, match=r"w\.pt --key ema -o map\.yaml` proposes"):
        read(save(tmp_path / "w.pt", {"ema": change(state)}), shapes(state), key="ema")


@pytest.mark.parametrize("key", ["stem.weight", "head.bias"])
def test_where_shapes_differ_no_map_is_proposed(tmp_path, state, key):
    expected = shapes(state)
    state[key] = torch.zeros(7, 7)
    assert "cnnc weights" not in fault(save(tmp_path / "w.pt", state), expected).help


def test_integers_are_no_weights(tmp_path, state):
    expected = shapes(state)
    state["head.weight"] = torch.ones(3, 5, dtype=torch.int32)
    found = fault(save(tmp_path / "w.pt", state), expected)
    assert (found.code, "int32" in found.message) == (Code.WEIGHTS_MISMATCH, True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_named(tmp_path, state, number):
    state["norm.bias"][1] = number
    found = fault(save(tmp_path / "w.safetensors", state), shapes(state))
    assert found.code == Code.WEIGHTS_NOT_FINITE
    assert "`norm.bias`" in found.message
    assert "stem" not in found.message


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, " and 1 more")])
def test_of_many_tensors_that_are_not_finite_ten_are_named(tmp_path, count, more):
    state = {f"n{at:02}.weight": torch.full((2,), float("nan")) for at in range(count)}
    found = fault(save(tmp_path / "w.pt", state), shapes(state))
    assert found.message.endswith(f"`n09.weight`{more}")


def test_numbers_beyond_float32_are_not_finite(tmp_path, state):
    state["norm.bias"] = torch.full((4,), 1e300, dtype=torch.float64)
    assert fault(save(tmp_path / "w.pt", state), shapes(state)).code == Code.WEIGHTS_NOT_FINITE


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_pickle_that_wants_to_run_code_does_not(tmp_path, state, name):
    torch.save({"stem.weight": Evil(str(tmp_path / "pwned"))}, tmp_path / name)
    found = fault(tmp_path / name, shapes(state))
    assert found.code == Code.WEIGHTS_UNREADABLE
    assert not (tmp_path / "pwned").exists()
    assert ("mkdir" if name.endswith(".pt") else "it is a pickle") in found.message


def test_a_whole_model_is_refused_with_a_way_out(tmp_path, state):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    found = fault(tmp_path / "w.pt", shapes(state))
    assert found.code == Code.WEIGHTS_UNREADABLE
    assert "state_dict" in found.help


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("damage", ["half", "text", "zeros", "empty"])
def test_damaged_files_are_unreadable(tmp_path, state, suffix, damage):
    path = save(tmp_path / f"w{suffix}", state)
    whole = path.read_bytes()
    path.write_bytes(
        {"half": whole[: len(whole) // 2], "text": b"hello, world", "zeros": bytes(4096), "empty": b""}[damage]
    )
    assert fault(path, shapes(state)).code == Code.WEIGHTS_UNREADABLE


@pytest.mark.parametrize("data", [[1, 2], 3, {"stem.weight": "text"}, {"a": torch.ones(2).to_sparse()}])
def test_what_is_no_state_dict_is_unreadable(tmp_path, state, data):
    assert fault(save(tmp_path / "w.pt", data), shapes(state)).code == Code.WEIGHTS_UNREADABLE


def test_missing_files_folders_and_other_kinds_are_unreadable(tmp_path, state):
    (tmp_path / "folder.pt").mkdir()
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        archive.writestr("hello", "world")
    for name in ("none.pt", "folder.pt", "archive.pt", "w.h5", "w"):
        assert fault(tmp_path / name, shapes(state)).code == Code.WEIGHTS_UNREADABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe.pt", "pipe.safetensors"])
def test_pipes_and_devices_are_told_apart_from_files_before_they_are_opened(tmp_path, state, name):
    os.mkfifo(tmp_path / name)
    assert "a named pipe" in fault(tmp_path / name, shapes(state)).message
    (tmp_path / f"zero{name}").symlink_to("/dev/zero")
    assert "a device" in fault(tmp_path / f"zero{name}", shapes(state)).message


def test_torchscript_is_told_from_weights(tmp_path, state, recwarn):
    path = tmp_path / "small.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    found = fault(path, shapes(state))
    assert found.code == Code.WEIGHTS_UNREADABLE
    assert "it is TorchScript" in found.message
    assert "small.safetensors" in found.help
    assert not [each for each in recwarn if "torch.load" in str(each.message)]


@pytest.mark.parametrize(
    ("name", "inside", "kind", "way_out"),
    [
        ("m.npz", ["arr.npy"], "it is an archive of NumPy arrays (.npz)", "save_file(dict(numpy.load('m.npz')), "),
        ("m.keras", ["config.json", "model.weights.h5"], "it is a Keras model", "weights must be safetensors"),
        ("m.pt", ["m/hello"], "it is a zip archive, but not a torch checkpoint", "weights must be safetensors"),
        ("m.pt2", ["m/archive_format", "m/data/weights/data.pkl"], "it is a program of torch.export", "m.safetensors"),
    ],
)
def test_archives_of_other_kinds_are_named(tmp_path, state, name, inside, kind, way_out):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for each in inside:
            archive.writestr(each, "text")
    found = fault(tmp_path / name, shapes(state))
    assert found.code == Code.WEIGHTS_UNREADABLE
    assert kind in found.message
    assert way_out in found.help


def test_a_pt2_file_is_named(tmp_path, state):
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "m.pt2")
    assert "it is a program of torch.export" in fault(tmp_path / "m.pt2", shapes(state)).message


def test_no_words_of_torch_are_repeated(tmp_path, state):
    path = save(tmp_path / "w.pt", state)
    path.write_bytes(path.read_bytes()[:-50])
    assert fault(path, shapes(state)).message.endswith("it is truncated or not a weights file")


def test_bits_flipped_in_a_checkpoint_of_torch_are_noticed(tmp_path, state):
    path = save(tmp_path / "w.pt", state)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda each: each.file_size)
    start = whole.index(record.filename.encode()) + len(record.filename)
    for data in flipped(whole, [start + 100 + at * (record.file_size - 100) // 20 for at in range(20)]):
        path.write_bytes(data)
        found = fault(path, shapes(state))
        assert found.message.endswith(f"it is damaged: the CRC of its record `{record.filename}` differs")


def test_a_checkpoint_without_crcs_is_read(tmp_path, state):
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path / "w.pt", state)
    finally:
        torch.serialization.set_crc32_options(True)
    assert read(path, shapes(state)).keys() == state.keys()


def test_bits_flipped_in_the_state_of_a_run_are_noticed(tmp_path, state):
    path = tmp_path / "state.pt"
    with path.open("wb") as file:
        hashing = Hashing(file)
        torch.save({"learner": {"weights": state}}, hashing)
        hashing.end()
    assert read(path, shapes(state)).keys() == state.keys()
    for data in flipped(path.read_bytes(), count=50):
        path.write_bytes(data)
        assert fault(path, shapes(state)).code == Code.WEIGHTS_UNREADABLE


def test_nobody_is_advised_to_run_what_is_in_a_file(tmp_path, state):
    (tmp_path / "w.pth").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    found = fault(tmp_path / "w.pth", shapes(state))
    assert found.message.endswith("it is truncated or not a weights file")


def test_a_damaged_table_of_contents_is_a_damaged_file(tmp_path, state):
    path = save(tmp_path / "w.pt", state)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 46] = 0xB7  # the first letter of a name, which is UTF-8
    path.write_bytes(data)
    assert fault(path, shapes(state)).code == Code.WEIGHTS_UNREADABLE


def test_a_parameter_may_be_called_like_a_batch_norms_counter(tmp_path):
    held = {"num_batches_tracked": torch.tensor([0.5])}
    path = save(tmp_path / "w.safetensors", held)
    torch.testing.assert_close(read(path, shapes(held)), held)
    assert (
        fault(save(tmp_path / "no.safetensors", {"other": torch.zeros(1)}), shapes(held)).code == Code.WEIGHTS_MISMATCH
    )
