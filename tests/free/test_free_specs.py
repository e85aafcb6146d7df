"""Random specs of any kind are refused or built as promised. `make fuzz` tries more of them."""

import json

import pytest

from tests.covered import Coverage
from tests.free.covered import FREE_CONSTRUCTS, constructs
from tests.free.shrink import shrunk
from tests.free.specs import Drawn, as_yaml, drawn
from tests.free.trial import SELDOM, trial
from tests.thorough import thorough


@pytest.mark.parametrize(
    ("count", "few_ops", "few_constructs"), [(27, 24, 16), pytest.param(80, 12, 8, marks=thorough)]
)
def test_what_is_right_is_built_and_all_else_is_refused(count, few_ops, few_constructs):
    coverage = Coverage(FREE_CONSTRUCTS)
    for seed in range(count):
        of = drawn(seed)
        try:
            tried = trial(of)
        except Exception as error:
            error.add_note(f"{as_yaml(of.spec)}# python -m tests.fuzz 1 --kind free --seed {seed}")
            raise
        if tried.graph is None:
            coverage.refused += 1
        else:
            coverage.add(of.spec, tried.graph, constructs(of, tried.graph))
            coverage.targets.update(tried.targets)
    assert 0 < coverage.refused < count / 4
    assert coverage.targets.keys() >= SELDOM.keys()
    assert len(coverage.ops_missing) < few_ops  # so few networks may by chance lack a few, of which `make fuzz` tells
    assert len(coverage.constructs_missing) < few_constructs


def test_a_number_draws_one_spec():
    assert drawn(7) == drawn(7)
    assert len({json.dumps(drawn(seed).spec) for seed in range(20)}) == 20


def test_a_fault_is_made_as_small_as_it_can_be():
    """The fault here: a conv with a stride of 2, somewhere."""
    spec = {
        "cnnc": 1,
        "input": {"image": [3, 8, 8]},
        "blocks": {"b": {"nodes": ["relu", {"conv": {"out": 4, "kernel": 3, "stride": 2, "padding": 1}}]}},
        "nodes": [{"tanh": {"name": "a"}}, {"b": {"repeat": 2}}, {"group": {"nodes": ["relu"]}}],
    }

    tried = []

    def fault(of):
        tried.append(of)
        return "stride" if '"stride": 2' in json.dumps(of.spec) else None

    assert len(json.dumps(shrunk(Drawn(spec, {}, 0), fault, 10).spec)) < 80
    assert len(tried) < 100  # it ends when nothing smaller has the fault
