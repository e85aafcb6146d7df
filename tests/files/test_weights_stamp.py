"""Weights that cnnc wrote: read as they were written, or not at all."""

import json
from io import BytesIO

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file

from cnnc.diagnostics import CnncError, Code
from cnnc.files.weights_stamp import digest, labels, write_stamped
from cnnc.targets.torch_module import lower
from cnnc.weights.load import read, shapes
from tests.networks import residual

NAMES = ("Stiefel", "H\u00fcndin")


def stamped(*arguments):
    file = BytesIO()
    write_stamped(file, *arguments)
    return file.getvalue()


@pytest.fixture
def state():
    return {key: tensor.clone() for key, tensor in lower(residual()).state_dict().items()}


@pytest.mark.parametrize("names", [None, NAMES])
def test_numbers_and_names_come_back(tmp_path, state, names):
    path = tmp_path / "w.safetensors"
    path.write_bytes(stamped(state, names))
    found = read(path, shapes(state))
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert labels(path) == names


def test_the_same_weights_give_the_same_bytes(state):
    assert stamped(state, NAMES) == stamped(state, NAMES)


def test_the_bytes_are_those_of_the_library_with_the_same_remarks(tmp_path, state):
    state = {**state, "half": torch.ones(3, dtype=torch.float16), "\u00e4.weight": torch.rand(2, 3, 4).transpose(0, 2)}
    data = stamped(state, NAMES)
    (tmp_path / "w").write_bytes(data)
    with safe_open(tmp_path / "w", "pt") as file:
        assert save({key: each.contiguous() for key, each in state.items()}, file.metadata()) == data


def test_a_flipped_bit_is_refused_wherever_it_is(tmp_path):
    state = {"conv.weight": torch.randn(2, 1, 3, 3), "n.num_batches_tracked": torch.tensor(7)}
    whole = stamped(state, NAMES)
    path = tmp_path / "w.safetensors"
    start = whole.index(b'"cnnc"') + 1
    for place in {*range(len(whole))} - {*range(start, start + 4)}:  # whose stamp is known without its key
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(CnncError) as caught:
            read(path, shapes(state))
        assert caught.value.diagnostics[0].code == Code.WEIGHTS_UNREADABLE, place


def test_a_stamp_is_known_without_its_key(tmp_path, state):
    path = tmp_path / "w.safetensors"
    path.write_bytes(stamped(state, NAMES).replace(b'"cnnc"', b'"cnnb"'))
    assert labels(path) == NAMES
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CnncError, match="it is damaged"):
        read(path, shapes(state))


@pytest.mark.parametrize("remark", ["", "{", "7", "{}", "[" * 100_000, json.dumps({"labels": 3, "cnnc_sha256": "0"})])
def test_a_stamp_that_is_none_is_refused(tmp_path, state, remark):
    save_file(state, tmp_path / "w.safetensors", {"cnnc": remark})
    with pytest.raises(CnncError, match="it is damaged"):
        read(tmp_path / "w.safetensors", shapes(state))


def test_files_of_others_have_no_stamp(tmp_path, state):
    for remarks in (None, {"format": "pt", "labels": "[1, 2]"}):
        save_file(state, tmp_path / "w.safetensors", remarks)
        assert read(tmp_path / "w.safetensors", shapes(state)).keys() == state.keys()
        assert labels(tmp_path / "w.safetensors") is None
    torch.save(state, tmp_path / "w.pt")
    assert labels(tmp_path / "w.pt") is None


def test_the_digest_is_of_the_numbers_not_of_their_order_or_holder(state):
    first = digest(state)
    assert digest(dict(reversed(state.items()))) == first
    assert digest({key: tensor.numpy() for key, tensor in state.items()}) == first
    state["head.bias"][0] += 1
    assert digest(state) != first
