"""Random networks whose heights and widths are open: what `check` lets through can be built, and its rules are right.

Each is drawn from a seed. Of those that pass, the rules are held against the proof at every small size, and ONNX files
are built, which runs them at sizes that the rules allow.
"""

import random
from itertools import product

import pytest

import cnnc
from cnnc.analysis.accepted_sizes import size_rules
from cnnc.analysis.size_questions import Trial
from cnnc.diagnostics.collector import Collector
from tests.thorough import examples

SEEDS = range(300, 300 + examples(500))  # of which 304 draws a rule by examples, as one seed of 250 does
BUILT = 30  # every so many of those that pass: proving is quick, building is not


def drawn(seed):
    """A spec of up to three inputs and seven nodes; many do not fit together."""
    draw = random.Random(seed)
    inputs = {"a": [2, *draw.choices([None, None, None, 8, 12], k=2)]}
    for name in "bc"[: draw.choice([0, 0, 1, 2])]:
        inputs[name] = [2, *draw.choices([None, None, 8, 12, 6], k=2)]
    names, nodes = list(inputs), []
    for at in range(draw.randint(1, 7)):
        if draw.random() < 0.1:
            nodes += down_and_up(f"n{at}", draw.choice(names[-3:]), draw.choice([2, 3, [1, 4]]))
            names.append(f"n{at}")
            continue
        if draw.random() < 0.35 and len(names) > 1:
            op, given = joined(draw)
            given["from"] = draw.sample(names, min(len(names), draw.choice([2, 2, 3])))
        else:
            op, given = single(draw)
            given["from"] = draw.choice(names[-3:])
        nodes.append({op: {"name": f"n{at}", **given}})
        names.append(f"n{at}")
    taken = {name for node in nodes for each in node.values() for name in listed(each["from"])}
    inputs = {name: shape for name, shape in inputs.items() if name in taken}
    outputs = [name for name in names if name.startswith("n") and name not in taken]
    return {"cnnc": 1, "name": "net", "inputs": inputs, "nodes": nodes, "outputs": outputs}


def down_and_up(name, source, factor):
    """A pool, its inverse, and what it came from beside it: multiples of the factor alone fit."""
    yield {"max_pool": {"name": f"{name}_down", "from": source, "kernel": factor}}
    yield {"upsample": {"name": f"{name}_up", "from": f"{name}_down", "factor": factor}}
    yield {"concat": {"name": name, "from": [f"{name}_up", source]}}


def listed(source):
    return [source] if isinstance(source, str) else source


def joined(draw):
    op = draw.choice(["add", "concat", "concat", "mul"])
    return op, {"axis": draw.choice([0, 0, 0, 1, 2, -1])} if op == "concat" else {}


def single(draw):
    def pair(least, most):
        return [draw.randint(least, most), draw.randint(least, most)]

    padding = draw.choice([0, 0, 1, [0, 1], [1, 0, 0, 1], [0, 0, 1, 0], "same"])
    rates = {"stride": draw.choice([1, 1, pair(1, 3)]), "dilation": draw.choice([1, 1, 2])}
    mode = draw.choice(["constant", "reflect", "circular", "replicate"])
    return draw.choice(
        [
            ("conv", {"out": 2, "kernel": pair(1, 4), "padding": padding, **rates}),
            ("conv", {"out": 2, "kernel": 1}),
            ("max_pool", {"kernel": pair(2, 3), "stride": draw.choice([1, 2, 3]), "padding": draw.choice([0, 1])}),
            ("avg_pool", {"kernel": pair(2, 3)}),
            ("conv_transpose", {"out": 2, "kernel": pair(1, 4), "stride": pair(1, 3), "padding": draw.choice([0, 1])}),
            ("upsample", {"factor": pair(1, 3)}),
            ("upsample", {"size": pair(3, 12)}),
            ("permute", {"axes": draw.choice([[0, 2, 1], [0, 1, 2]])}),
            ("pad", {"padding": draw.choice([1, [0, 1], [0, 0, 1, 1], [2, 0, 0, 0]]), "mode": mode}),
            ("instance_norm", {}),
            ("group_norm", {"groups": draw.choice([1, 2])}),
            ("global_avg_pool", {}),
            ("relu", {}),
        ]
    )


@pytest.fixture(scope="module")
def passed():
    """The specs that a check lets through, with what it found; of the others, nobody asks how to mend them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collector, "explain", lambda *_: None)
        found = [(spec, cnnc.check(spec)) for spec in map(drawn, SEEDS)]
    return [(spec, checked) for spec, checked in found if checked.ok and not all_known(checked.graph)]


def all_known(graph):
    return all(each.type.known for each in graph.inputs)


def test_the_seeds_draw_every_kind_of_rule(passed):
    rules = [size_rules(checked.graph) for _, checked in passed]
    sides = [side for each in rules for side in (each.height, each.width) if side and not each.examples]
    assert len(passed) > len(SEEDS) / 5
    assert any(each.examples for each in rules)
    assert any(each.either for each in rules)
    assert any(side.remainders not in ((), (0,)) or side.divisor > 1 for side in sides)
    assert sum(not side.remainders for side in sides) > len(SEEDS) / 50


def test_rules_are_those_of_the_proof(passed):
    for spec, checked in passed:
        rules, trial = size_rules(checked.graph), Trial(checked.graph)
        if rules.examples:
            assert all(map(trial.takes_all, rules.examples)), spec
            continue
        for height, width in product(range(1, 20), repeat=2):
            taken = trial.takes(height if rules.height else None, width if rules.width else None)
            told = all(rule is None or rule.takes(n) for rule, n in ((rules.height, height), (rules.width, width)))
            told = told and (rules.either is None or rules.takes(height, width))
            assert taken or not told, (spec, height, width)
            # `mul` and `add` take a map of one position for a number per channel, which is no size to count on
            spread = any({"mul", "add"} & node.keys() for node in spec["nodes"])
            assert told or not taken or spread, (spec, height, width)


def test_what_passes_is_built(passed, tmp_path):
    for spec, _ in passed[::BUILT]:
        cnnc.build(spec, targets=["onnx"], out=tmp_path)
