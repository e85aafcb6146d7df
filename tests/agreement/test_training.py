"""What ops do in training, where it is not what they do in prediction; and that gradients flow through all of them."""

import pytest
import torch

from cnnc.targets import torch_module as torch_target
from tests.agreement import one_node
from tests.agreement.rows import POSITIVE, TABLE, Row, rows

FIRST = {row.op: row for row in reversed(list(rows()))}


@pytest.mark.parametrize("row", FIRST.values(), ids=str)
def test_gradients_reach_every_parameter_and_input(row: Row):
    graph = one_node.graph_of(row.op, row.attributes, row.shapes)
    module = one_node.module_of(graph).train()
    inputs = [each.requires_grad_() for each in one_node.inputs_of(row.shapes, 3, positive=row.op in POSITIVE)]
    result = module(*inputs)
    outputs = result if isinstance(result, tuple) else (result,)
    read = [each for at, each in enumerate(inputs) if at not in graph.nodes[0].op.unread]
    learners = [*module.parameters(), *read]
    if learners:
        sum(output.square().sum() for output in outputs).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in learners)
    assert row.op in TABLE


def test_dropout_drops_elements():
    torch.manual_seed(0)
    module = torch_target.lower(one_node.graph_of("dropout", {"rate": 0.25}, ((100, 10, 10),)))
    y = module(torch.ones(1, 100, 10, 10))
    torch.testing.assert_close(y.unique(), torch.tensor([0, 4 / 3]))
    assert 0.23 < (y == 0).float().mean() < 0.27


@pytest.mark.parametrize("shape", [(3, 4, 5), (6,), (2, 5)])
def test_drop_path_drops_whole_samples(shape: tuple[int, ...]):
    torch.manual_seed(0)
    module = torch_target.lower(one_node.graph_of("drop_path", {"rate": 0.25}, (shape,)))
    y = module(torch.ones(1000, *shape)).flatten(1)
    assert (y == y[:, :1]).all()
    torch.testing.assert_close(y.unique(), torch.tensor([0, 4 / 3]))
    assert 0.2 < (y[:, 0] == 0).float().mean() < 0.3


def test_dropout_drops_whole_channels():
    module = torch_target.lower(one_node.graph_of("dropout", {"rate": 0.25, "channels": True}, ((100, 4, 5),)))
    y = module(torch.ones(50, 100, 4, 5)).flatten(2)
    assert (y == y[:, :, :1]).all()
    assert 0.2 < (y[:, :, 0] == 0).float().mean() < 0.3


@pytest.mark.parametrize("op", ["dropout", "drop_path"])
def test_what_is_dropped_in_training_is_kept_in_prediction(op: str):
    module = one_node.module_of(one_node.graph_of(op, {"rate": 0.9}, ((3, 4, 5),)))
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(module(x), x, rtol=0, atol=0)


@pytest.mark.parametrize(("op", "attribute", "value"), [("prelu", "slope", 0.1), ("scale", "init", 1e-6)])
def test_learned_factors_start_as_asked(op: str, attribute: str, value: float):
    module = torch_target.lower(one_node.graph_of(op, {attribute: value}, ((3, 4, 5),)))
    [parameter] = module.parameters()
    torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, value))


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.7, 1.0])
def test_momentum_is_the_share_of_the_new_batch(momentum: float):
    module = torch_target.lower(one_node.graph_of("batch_norm", {"momentum": momentum}, ((3, 4, 5),)))
    batch = torch.randn(2, 3, 4, 5) + 5
    module(batch)
    torch.testing.assert_close(module.get_buffer("node.running_mean"), momentum * batch.mean((0, 2, 3)))


@pytest.mark.parametrize("shape", [(3, 4, 5), (3,)])
def test_without_a_momentum_statistics_are_those_of_all_batches(shape: tuple[int, ...]):
    module = torch_target.lower(one_node.graph_of("batch_norm", {"momentum": None}, (shape,)))
    batches = [torch.randn(4, *shape) + 5 for _ in range(3)]
    for batch in batches:
        module(batch)
    axes = (0, *range(2, 1 + len(shape)))
    means = torch.stack([batch.mean(axes) for batch in batches])
    torch.testing.assert_close(module.get_buffer("node.running_mean"), means.mean(0))
    assert module.get_buffer("node.num_batches_tracked") == 3
    again = torch_target.lower(one_node.graph_of("batch_norm", {"momentum": None}, (shape,)), module.state_dict())
    again(batches[0])  # weights that go on training go on counting
    expected = (means.sum(0) + means[0]) / 4
    torch.testing.assert_close(again.get_buffer("node.running_mean"), expected)
