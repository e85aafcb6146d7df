"""Weights at the start, optimizers, and what is made smaller."""

import math

import pytest
import torch

import cnnc
from cnnc.language.recipe import Train
from cnnc.train.average import Average
from cnnc.train.checkpoint import Progress
from cnnc.train.lamb import lamb
from cnnc.train.loss import Objective
from cnnc.train.monitor.metrics import EpochRecord
from cnnc.train.optimizer import initialise, optimizer
from cnnc.train.selection import Selection, layers_behind
from tests.train.conftest import spec


def recipe(**fields):
    return Train.model_validate(fields)


def weights(how, seed=0):
    module = cnnc.compile(spec(norm=False), seed=7)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    initialise(module, how, seed)
    return before, module.state_dict()


def test_default_leaves_the_weights_alone():
    before, after = weights("default")
    assert all(after[key].equal(before[key]) for key in before)


def test_xavier_fills_its_interval_and_leaves_biases():
    before, after = weights("xavier")
    bound = math.sqrt(6 / (100 + 4))
    assert 0.95 * bound < after["linear.weight"].abs().max() <= bound
    assert after["linear.bias"].equal(before["linear.bias"])
    assert not after["conv.weight"].equal(before["conv.weight"])


def test_kaiming_has_its_deviation():
    _, after = weights("kaiming")
    assert after["linear.weight"].std() == pytest.approx(math.sqrt(2 / 100), rel=0.15)


def test_the_seed_decides_and_the_callers_generator_is_left_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert weights("xavier", 1)[1]["conv.weight"].equal(weights("xavier", 1)[1]["conv.weight"])
    assert not weights("xavier", 1)[1]["conv.weight"].equal(weights("xavier", 2)[1]["conv.weight"])
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    ("fields", "reference"),
    [
        (
            {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 0.1, True),
        ),
        ({"optimizer": "adamw", "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1)),
        (
            {"optimizer": "nadam", "weight_decay": 0.1},
            lambda p: torch.optim.NAdam(p, 0.1, weight_decay=0.1, decoupled_weight_decay=True),
        ),
        ({"optimizer": "rmsprop", "momentum": 0.5}, lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.5)),
    ],
)
def test_optimizers_are_torchs(fields, reference):
    results = []
    for make in (lambda module: optimizer(module, recipe(lr=0.1, **fields)), lambda m: reference(m.parameters())):
        torch.manual_seed(0)
        module = torch.nn.Linear(4, 3)
        moving = make(module)
        for step in range(3):
            moving.zero_grad()
            module(torch.full((2, 4), step + 1.0)).square().sum().backward()
            moving.step()
        results.append(module.weight.detach())
    torch.testing.assert_close(*results)


def two_headed(**last):
    head = {"linear": {"name": "head", "from": "flat", "out": 3}}
    return cnnc.load(
        {
            "cnnc": 1,
            "name": "n",
            "input": {"image": [1, 4, 4]},
            "nodes": [
                {"flatten": {"name": "flat"}},
                {"linear": {"name": "main", "out": 3}},
                *last.get("nodes", []),
                head,
            ],
            "outputs": {
                "help": {"from": "head", "only": "train", **last.get("help", {})},
                "answer": {"from": last.get("answer", "main")},
            },
        }
    )


@pytest.mark.parametrize(("help", "weight"), [({}, 0.3), ({"weight": 0.5}, 0.5), ({"weight": 0}, 0.0)])
def test_auxiliary_outputs_count_by_their_weight(help, weight):
    main, side = torch.randn(5, 3), torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 0, 1])
    total, loss, scores, _ = Objective(two_headed(help=help), aux_weight=0.3)((side, main), labels)
    entropy = torch.nn.functional.cross_entropy
    assert scores.equal(main)
    assert loss.item() == pytest.approx(entropy(main, labels, reduction="sum").item())
    assert total.item() == pytest.approx(loss.item() + weight * entropy(side, labels, reduction="sum").item(), rel=1e-5)


def test_probabilities_give_the_loss_of_their_logits():
    graph = two_headed(nodes=[{"softmax": {"name": "shares"}}], answer="shares")
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    smoothed = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.1)
    _, loss, *_ = Objective(graph, smoothing=0.1)((torch.zeros(5, 3), logits.softmax(1)), labels)
    assert loss.item() == pytest.approx(smoothed.item(), rel=1e-5)


def test_an_average_forgets_the_start_and_then_moves_by_its_decay():
    module = torch.nn.BatchNorm1d(2)
    average = Average(module, decay=0.5)
    with torch.no_grad():
        for value in (1.0, 3.0):
            module.weight.fill_(value)
            module.num_batches_tracked.fill_(int(value))
            average.update()
    # decays of 1/10 and 2/11: below 0.5, as there were few steps
    first = 0.1 * 1 + 0.9 * 1
    assert average.values["weight"].tolist() == pytest.approx([first * 2 / 11 + 3 * 9 / 11] * 2)
    assert average.values["num_batches_tracked"].item() == 3


@pytest.mark.parametrize(("by", "best"), [("accuracy", 3), (None, 3), ("loss", 2)])
def test_the_best_epoch_has_the_best_metric_and_of_equals_the_lowest_loss(by, best):
    numbers = [(0.5, 0.9), (0.1, 0.7), (0.4, 0.9), (0.6, 0.8)]
    records = [record(epoch, loss, right) for epoch, (loss, right) in enumerate(numbers, start=1)]
    progress = Progress(4, records=records, by=by)
    assert progress.best.epoch == best
    assert [progress.is_stale(patience) for patience in (None, 4 - best, 5 - best)] == [False, True, False]


def record(epoch, loss, right):
    return EpochRecord(epoch, {"loss": 1.0, "accuracy": 0.5}, {"loss": loss, "accuracy": right}, 0.1, 1.0, 1.0)


def test_lamb_scales_a_step_by_the_norm_of_the_weights():
    weight, still = (torch.nn.Parameter(torch.tensor(values)) for values in ([3.0, -4.0], [0.0, 0.0]))
    moving = lamb()([weight, still], lr=0.1, weight_decay=0.5)
    weight.grad, still.grad = torch.tensor([0.2, 7.0]), torch.tensor([1.0, -2.0])
    moving.step()
    # the first step of Adam is the sign of the gradient; weight decay is added to it
    step = torch.tensor([1 + 1.5, 1 - 2.0])
    torch.testing.assert_close(weight.data, torch.tensor([3.0, -4.0]) - 0.1 * step * 5 / step.norm())
    torch.testing.assert_close(still.data, torch.tensor([-0.1, 0.1]))  # from 0, the step is not scaled


def test_layers_are_counted_from_the_last_and_norms_belong_to_the_one_before():
    nodes = [
        {"conv": {"name": "first", "out": 2, "kernel": 1}},
        {"batch_norm": {"name": "norm"}},
        {"conv": {"name": "inner", "out": 2, "kernel": 1}},
        {"add": {"name": "sum", "from": ["norm", "inner"]}},
        {"flatten": {}},
        {"linear": {"name": "head", "out": 2}},
    ]
    graph = cnnc.load({"cnnc": 1, "name": "n", "input": {"image": [1, 2, 2]}, "nodes": nodes})
    found = layers_behind(graph)
    assert {key.partition(".")[0]: count for key, count in found.items()} == {
        "first": 2,
        "norm": 2,
        "inner": 1,
        "head": 0,
    }
    scales = Selection.of(graph, recipe(lr_decay=0.5, lr_scale={"norm": 3.0})).scales
    assert (scales["first.weight"], scales["norm.bias"], scales["head.bias"]) == (0.25, 0.75, 1.0)
