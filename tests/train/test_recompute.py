"""Blocks that run a second time in the backward pass learn the same, bit for bit."""

import pytest
import torch
from safetensors.torch import load_file

import cnnc
from cnnc.diagnostics import CnncError
from cnnc.train.recompute import blocks, recompute
from tests.train.conftest import spec


def with_blocks():
    block = {
        "params": {"out": None},
        "nodes": [
            {"conv": {"out": "$out", "kernel": 3, "padding": 1}},
            {"batch_norm": {}},
            {"relu": {}},
            {"dropout": {"rate": 0.3}},
        ],
    }
    base = spec(norm=False)
    return {
        **base,
        "blocks": {"block": block},
        "nodes": [{"block": {"name": "b", "repeat": 2, "out": 4}}, *base["nodes"]],
    }


def test_a_run_that_recomputes_its_blocks_is_the_same(trained):
    runs = [trained(with_blocks(), out=str(on), recompute=on, epochs=2, seed=1, save_every=2) for on in (False, True)]
    one, two = (load_file(run.folder / "last.safetensors") for run in runs)
    assert all(two[key].equal(value) for key, value in one.items())
    assert {"b.0.batch_norm.num_batches_tracked", "linear.weight"} <= {*one}
    kept = [path.name for path in runs[0].folder.glob("epoch-*")]
    assert kept == ["epoch-2.safetensors"]


def test_a_block_keeps_only_its_inputs():
    plain, again = (cnnc.compile(with_blocks(), seed=1) for _ in range(2))
    assert len(blocks(again)) == 2
    recompute(again, "net")
    assert kept(again) < kept(plain) / 2


def kept(module):
    """The numbers that a forward pass keeps for the backward pass."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: sizes.append(each.numel()), lambda each: each):
        module(torch.randn(8, 1, 12, 12))
    return sum(sizes)


def test_a_network_without_blocks_cannot_recompute():
    with pytest.raises(CnncError, match=r"E517.*`recompute` of the recipe needs blocks or groups, but `net` has none"):
        recompute(cnnc.compile(spec()), "net")
