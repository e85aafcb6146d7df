"""Pictures lie channels last where that is faster, and where the recipe says so."""

import pytest
import torch

import cnnc
from cnnc.language.recipe import Train
from cnnc.train.learner import Learner
from cnnc.train.memory_format import channels_last
from tests.train.conftest import spec

FLAT = {**spec(), "nodes": ["flatten", {"linear": {"out": 4}}]}
PLAIN = spec(norm=False)
WIDE = {**spec(), "nodes": [{"conv": {"out": 8, "kernel": 3}}, *spec()["nodes"][1:]]}
NARROW = {**WIDE, "nodes": [*WIDE["nodes"][:2], *spec()["nodes"]]}


@pytest.mark.parametrize(
    ("device", "precision", "recipe", "source", "expected"),
    [
        ("cpu", "32-true", {}, PLAIN, True),
        ("cpu", "32-true", {}, WIDE, True),
        ("cpu", "bf16-mixed", {}, WIDE, True),
        ("cpu", "32-true", {}, NARROW, False),
        ("cpu", "32-true", {"channels_last": True}, NARROW, True),
        ("cpu", "32-true", {}, FLAT, False),
        ("cpu", "32-true", {"channels_last": False}, PLAIN, False),
        ("cuda", "bf16-mixed", {}, spec(), True),
        ("cuda", "32-true", {"tf32": True}, spec(), True),
        ("cuda", "32-true", {}, spec(), False),
        ("cuda", "32-true", {"channels_last": True}, spec(), True),
        ("mps", "32-true", {}, spec(), False),
    ],
)
def test_channels_last_where_it_is_faster_or_wanted(device, precision, recipe, source, expected):
    assert channels_last(Train.model_validate(recipe), cnnc.load(source), device, precision) is expected


@pytest.mark.parametrize(("given", "expected"), [({}, True), ({"channels_last": False}, False)])
def test_weights_and_pictures_lie_so(trained, monkeypatch, given, expected):
    source = spec(norm=False)
    source["nodes"].insert(1, {"conv": {"out": 4, "kernel": 3}})
    seen, learn = [], Learner._learn

    def spying(learner, images, labels, *more):
        wide, _ = learner.prepare(images.expand(-1, 3, -1, -1), labels)
        weights = learner.module.state_dict()["conv_2.weight"]
        seen.extend(each.is_contiguous(memory_format=torch.channels_last) for each in (wide, weights))
        learn(learner, images, labels, *more)

    monkeypatch.setattr(Learner, "_learn", spying)
    trained(source, epochs=1, **given)
    assert set(seen) == {expected}
