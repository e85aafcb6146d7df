"""The spec's recipe, the command line's words, and what a resumed run may change."""

import pytest

import cnnc
from cnnc.diagnostics import CnncError
from cnnc.language.recipe import Train
from cnnc.train.recipe import merged_recipe, resumed_recipe
from tests.train.conftest import spec


def read(**fields):
    return Train.model_validate(fields)


def test_what_is_given_stands_in_the_specs_place():
    found = merged_recipe(read(lr=0.9, batch=64, momentum=0.5, seed=3), {"lr": 0.1, "precision": "bf16", "seed": None})
    assert (found.lr, found.batch, found.momentum, found.precision, found.seed) == (0.1, 64, 0.5, "bf16", None)


def test_without_a_recipe_there_are_the_defaults():
    assert merged_recipe(None, {}) == read()
    assert merged_recipe(None, {"epochs": 3}).epochs == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lr": -1.0}, "`lr` of the recipe must be more than 0, got -1"),
        ({"lr": float("nan")}, "`lr` of the recipe must be a finite number, got nan"),
        ({"optimizer": "adam"}, "`optimizer` of the recipe must be"),
        ({"nesterov": True}, "needs `optimizer: sgd` and a `momentum`"),
        ({"optimizer": "adamw", "momentum": 0.9}, "which adamw does not take"),
        ({"warmup": 1, "warmup_steps": 5}, "has both `warmup` and `warmup_steps`"),
        ({"warmup": 1, "schedule": "one_cycle"}, "which `schedule: one_cycle` has of its own"),
    ],
)
def test_values_are_held_to_the_specs_rules(given, says):
    with pytest.raises(CnncError, match="E203") as caught:
        merged_recipe(read(), given)
    assert says in str(caught.value)


def test_precision_may_be_written_as_a_number():
    assert cnnc.load(spec(precision=32)).train.precision == "32"
    assert not cnnc.check(spec(precision=64)).ok


def test_a_resumed_run_keeps_its_recipe_and_may_go_on_longer_and_slower():
    found = resumed_recipe(read(lr=0.9, batch=64), {"epochs": 20, "lr": 0.1, "batch": 64})
    assert (found.lr, found.batch, found.epochs) == (0.1, 64, 20)


def test_a_resumed_run_cannot_take_another_batch():
    with pytest.raises(CnncError, match=r"E512.*started with `batch: 64`, and cannot continue with 32"):
        resumed_recipe(read(batch=64), {"batch": 32})
