"""Every example goes through the network once an epoch, whatever the sizes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnc.language.recipe import Train
from cnnc.train.epoch_order import Plan, derive, order
from cnnc.train.schedule import rate

sizes = st.builds(
    Plan,
    examples=st.integers(1, 200),
    batch=st.integers(1, 70),
    accumulate=st.integers(1, 4),
    world=st.integers(1, 5),
    least=st.integers(1, 8),
)


@given(sizes)
def test_each_example_is_in_one_share(plan):
    steps = list(plan.from_step(0))
    shares = [plan.share(batch, rank) for step in steps for batch in step for rank in range(plan.world)]
    assert [position for share in shares for position in range(share.start, share.stop)] == list(range(plan.examples))
    assert len(steps) == plan.steps


@given(sizes, st.integers(0, 50))
def test_the_rest_of_an_epoch_is_the_end_of_it(plan, first):
    assert list(plan.from_step(first)) == list(plan.from_step(0))[first:]


@given(sizes)
def test_shares_differ_by_one_at_most(plan):
    for step in plan.from_step(0):
        for batch in step:
            lengths = [len(plan.share(batch, rank)) for rank in range(plan.world)]
            assert max(lengths) - min(lengths) <= 1
            assert lengths == sorted(lengths, reverse=True)


def test_a_tail_too_small_joins_the_batch_before_it():
    assert [len(step[0]) for step in Plan(33, 16, least=2).from_step(0)] == [16, 17]
    assert [len(step[0]) for step in Plan(33, 16).from_step(0)] == [16, 16, 1]


def test_orders_depend_on_seed_and_epoch():
    assert sorted(order(50, 0, 0).tolist()) == list(range(50))
    assert order(50, 3, 1).equal(order(50, 3, 1))
    assert not order(50, 3, 1).equal(order(50, 3, 2))
    assert not order(50, 3, 1).equal(order(50, 4, 1))
    assert derive(1, "a", 2) != derive(1, "a", 3)


def rates(epochs, steps=4, **recipe):
    written = Train.model_validate({"lr": 0.8, "epochs": epochs, **recipe})
    return [rate(written, step, steps) for step in range(epochs * steps)]


def test_a_constant_rate():
    assert rates(2) == [0.8] * 8


def test_a_rate_that_drops():
    assert rates(3, schedule="step", step_size=1, gamma=0.5)[::4] == pytest.approx([0.8, 0.4, 0.2])


def test_warm_up_rises_to_the_rate_and_cosine_falls_from_it():
    found = rates(3, schedule="cosine", warmup=1)
    assert found[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found[4] == pytest.approx(0.8)
    assert found[8] == pytest.approx(0.4)
    assert 0 < found[-1] < 0.05
    assert found[4:] == sorted(found[4:], reverse=True)


@pytest.mark.parametrize(
    ("schedule", "kind", "options"),
    [
        ("one_cycle", "OneCycleLR", {"max_lr": 0.8, "total_steps": 40, "cycle_momentum": False}),
        ("polynomial", "PolynomialLR", {"total_iters": 40, "power": 2}),
    ],
)
def test_schedules_are_torchs(schedule, kind, options):
    made, found = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8), []
    moving = getattr(torch.optim.lr_scheduler, kind)(made, **options)
    for _ in range(40):
        found.append(made.param_groups[0]["lr"])
        made.step()
        moving.step()
    assert rates(10, schedule=schedule, power=2.0) == pytest.approx(found)


def test_the_shortest_cycle_has_a_rate_for_each_step():
    assert [len(rates(1, steps, schedule="one_cycle")) for steps in (1, 2, 3)] == [1, 2, 3]


def test_a_warm_up_in_steps_may_end_within_an_epoch():
    assert rates(2, warmup_steps=2, schedule="cosine")[:3] == pytest.approx([0.4, 0.8, 0.8])
