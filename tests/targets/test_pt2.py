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
