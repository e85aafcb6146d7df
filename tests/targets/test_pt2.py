"""The pt2 target: files for inputs of every size that the spec accepts."""

import pytest
import torch

import cnnc
from cnnc.targets import pt2

OPEN = {"cnnc": 1, "name": "net", "input": {"image": [1, None, None]}}


@pytest.mark.parametrize("size", [(29, 29), (29, 64), (64, 30)])
def test_a_map_of_open_size_may_be_one_row_high_or_wide(tmp_path, size):
    spec = {**OPEN, "nodes": [{"max_pool": {"kernel": 5, "stride": 2, "dilation": 7}}]}
    built = cnnc.build(spec, out=tmp_path, targets=["pt2"])
    x = torch.randn(3, 1, *size)
    torch.testing.assert_close(pt2.load(built.folder / "net.pt2")(x), cnnc.compile(spec).eval()(x))


def test_strides_that_torch_would_fix_fit_the_smallest_input_too(tmp_path):
    spec = {**OPEN, "input": {"image": [2, None, 12]}, "nodes": ["layer_norm", {"pixel_unshuffle": {"factor": 4}}]}
    built = cnnc.build(spec, out=tmp_path, targets=["pt2"])
    module = pt2.load(built.folder / "net.pt2")
    for height in (4, 8, 64):
        x = torch.randn(1, 2, height, 12)
        torch.testing.assert_close(module(x), cnnc.compile(spec).eval()(x))
    with pytest.raises(AssertionError):
        module(torch.randn(1, 3, 8, 12))


@pytest.mark.parametrize("width", [16, None])
def test_a_batch_of_one_after_attention(tmp_path, width):
    mixed = {"tokens": {"from": "image"}}, {"attention": {"heads": 2}}, {"untokens": {"height": 16, "width": 16}}
    nodes = [*mixed, {"conv": {"out": 8, "kernel": 3}}, {"global_avg_pool": {"name": "pooled", "from": "other"}}]
    inputs = {"image": [8, 16, 16], "other": [8, 16, width]}
    spec = {"cnnc": 1, "name": "net", "inputs": inputs, "nodes": nodes, "outputs": ["conv", "pooled"]}
    cnnc.build(spec, out=tmp_path, targets=["pt2"])


def test_a_file_that_refuses_the_smallest_inputs_is_not_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(pt2, "_takes_all_sizes", lambda *_: True)
    spec = {**OPEN, "nodes": [{"max_pool": {"kernel": 5, "stride": 2, "dilation": 7}}]}
    with pytest.raises(cnnc.CnncError, match=r"E404.*pt2"):
        cnnc.build(spec, out=tmp_path, targets=["pt2"])


def test_an_open_size_of_which_only_2_is_accepted(tmp_path):
    inputs = {"image": [3, None, None], "strip": [3, None, 2]}
    built = cnnc.build(
        {"cnnc": 1, "name": "net", "inputs": inputs, "nodes": [{"sub": {"from": ["image", "strip"]}}]},
        out=tmp_path,
        targets=["pt2"],
    )
    module, x = pt2.load(built.folder / "net.pt2"), torch.randn(3, 3, 5, 2)
    torch.testing.assert_close(module(x, x / 2), x / 2)


def test_an_open_size_of_which_only_1_is_accepted(tmp_path):
    nodes = [{"adaptive_max_pool": {"size": 1}}, {"crop": {"like": "image"}}]
    built = cnnc.build({**OPEN, "nodes": nodes}, out=tmp_path, targets=["pt2"])
    module, x = pt2.load(built.folder / "net.pt2"), torch.randn(3, 1, 1, 1)
    torch.testing.assert_close(module(x), x)
