"""Our ONNX files have no more nodes than those of torch's exporter; here the quick networks, by `make bench` all."""

import pytest

from tests.bench.nodes import Nodes, nodes
from tests.thorough import rows


@pytest.mark.parametrize("network", rows(["lenet", "lenet_bn", "nin", "zoo/squeezenet1_0"], quick=["lenet_bn"]))
def test_our_file_has_no_more_nodes(network):
    [row] = nodes([network])
    assert row.theirs > 10
    assert not row.over, str(row)


def test_one_node_more_is_over():
    assert Nodes("n", 13, 12).over
    assert not Nodes("n", 12, 12).over
