"""Random networks: what is inferred, computed and counted is the same in every form. `make fuzz` tries more of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.analysis.accepted_sizes import Rule, size_rules
from cnnc.compiler import load
from cnnc.ops import registry
from tests.agreement.whole import agree
from tests.covered import Coverage
from tests.random_ops import VALUES, attributes
from tests.strategies import specs
from tests.thorough import thorough


@pytest.mark.parametrize(
    ("count", "few_ops", "few_constructs"), [(130, 16, 6), pytest.param(400, 6, 4, marks=thorough)]
)
def test_every_form_of_a_network_agrees(count, few_ops, few_constructs):
    coverage = Coverage()

    @settings(max_examples=count)
    @given(specs(), st.integers(0, 99))
    def every(spec, seed):
        graph = load(spec)
        coverage.add(spec, graph)
        agree(graph, seed)

    every()
    # so few networks may lack a few, and which ones depends on the version of hypothesis; `make fuzz` tells of them
    assert len(coverage.ops_missing) < few_ops
    assert len(coverage.constructs_missing) < few_constructs


def of(shape, *nodes, **rest):
    return {"cnnc": 1, "name": "found", "input": {"image": shape}, "nodes": list(nodes), **rest}


# What random specs have found, each as small as it could be made; what is refused now has a row in test_refusals.
FOUND = {
    "classes of the Python source that differ in a parameter's shape": of(
        [1, 4, 4],
        *[{"group": {"name": "first", "nodes": ["scale"]}}, {"conv": {"out": 3, "kernel": 1}}],
        {"group": {"name": "second", "nodes": ["scale"]}},
    ),
    "rows that onnxruntime takes from one too far up": of(
        [1, None, None], {"conv_transpose": {"out": 1, "kernel": 1, "padding": 1}}, {"upsample": {"size": 2}}
    ),
    "zeros that onnxruntime moves into a pool no larger than they are": of(
        [1, None, None], {"pad": {"padding": 1}}, {"max_pool": {"kernel": 1}}
    ),
    "zeros that onnxruntime moves past an identity, which only the bare network has": of(
        [1, None, None], {"pad": {"padding": 1}}, "identity", {"max_pool": {"kernel": 1}}
    ),
    "a constant map, of whose rounding a norm makes three hundred times as much": of(
        [1, None, None],
        *[{"layer_norm": {"bias": False}}, {"conv": {"out": 2, "kernel": 1}}, "instance_norm"],
        {"conv": {"out": 1, "kernel": 1, "act": "relu"}},
    ),
}


@pytest.mark.parametrize("seed", [0, 21])  # one through the Python source, one through TorchScript
@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(found, seed):
    agree(load(FOUND[found]), seed)


@pytest.mark.parametrize("op", registry.names())
def test_every_attribute_is_drawn(op):
    """A new op or attribute without values to draw is a KeyError here."""
    drawn = set()

    @settings(max_examples=60)
    @given(attributes(op, load(of([6, 4, 4], "relu")).nodes[0].outputs[0]))
    def draw(given):
        drawn.update(given)

    draw()
    assert drawn == set(registry.get(op).model_fields)


def test_no_values_are_left_over():
    fields = {f"{op}.{name}" for op in registry.names() for name in registry.get(op).model_fields}
    names = {each.partition(".")[2] for each in fields}
    assert VALUES.keys() <= fields | names


def test_what_a_transposed_convolution_cuts_off_bounds_sizes_from_below_alone():
    """Found as a network of which no larger size was said to fit, for all that its receptive field is one row."""
    cut = of([2, None, None], {"conv_transpose": {"out": 1, "kernel": 1, "padding": 3}})
    assert size_rules(load(cut)).height == Rule(7)
