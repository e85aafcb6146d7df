"""What holds for every right spec, on random ones."""

import json
from itertools import groupby

import yaml
from hypothesis import HealthCheck, given, settings

from cnnc.compiler import check, load
from cnnc.ops.registry import is_source
from tests.strategies import specs
from tests.thorough import examples


def proved(spec):
    checked = check(spec)
    assert checked.ok, checked.diagnostics
    return checked.graph


@settings(max_examples=examples(30))
@given(specs())
def test_a_right_spec_is_proved_in_order(spec):
    graph = proved(spec)
    seen = {each.name for each in graph.inputs}
    for node in graph.nodes:
        assert {ref.node for ref in node.inputs} <= seen
        assert node.path not in seen
        seen.add(node.path)
    for scope in graph.scopes:
        inside = [node.path.startswith(f"{scope}.") for node in graph.nodes]
        assert [each for each, _ in groupby(inside)].count(True) == 1, "the nodes of a scope stand together"
    rows = check(spec).as_json()
    assert [row["name"] for row in rows["nodes"]] == [node.path for node in graph.nodes]
    assert json.loads(json.dumps(rows)) == rows


def flat(graph):
    """The same network as a list of nodes, each with a name and inputs."""
    names = {each.name: each.name for each in graph.inputs}
    names |= {node.path: f"n{at}" for at, node in enumerate(graph.nodes)}

    def spelt(ref):
        _, _, port = graph.spelling(ref)[len(ref.node) :].partition(".")
        return f"{names[ref.node]}.{port}" if port else names[ref.node]

    def written(node):
        given = {**node.op.model_dump(mode="json", exclude_defaults=True), "name": names[node.path]}
        sources = [spelt(ref) for ref in node.inputs]
        if "like" in given:
            given["like"] = sources.pop()
        if node.shares:
            given["share"] = names[node.shares]
        return {node.op.name: given if is_source(node.op.name) else {**given, "from": sources}}

    nodes = [written(node) for node in graph.nodes]
    inputs = {each.name: list(each.type.shape) for each in graph.inputs}
    outputs = {f"out{at}": spelt(each.ref) for at, each in enumerate(graph.outputs)}
    return {"cnnc": 1, "name": "flat", "inputs": inputs, "outputs": outputs, "nodes": nodes}


def nameless(op):
    return op.model_copy(update={"like": "named"}) if getattr(op, "like", None) else op


def facts(graph):
    """What does not depend on names."""
    place = {node.path: at for at, node in enumerate(graph.nodes)}
    return [
        (
            *(nameless(node.op), node.outputs, node.cost, place[node.keys]),
            [(place.get(ref.node, ref.node), ref.port) for ref in node.inputs if not is_source(node.op.name)],
        )
        for node in graph.nodes
    ]


@settings(max_examples=examples(30))
@given(specs())
def test_a_spec_means_what_it_means_written_flat(spec):
    graph = proved(spec)
    assert facts(proved(flat(graph))) == facts(graph)


@settings(max_examples=examples(30))
@given(specs())
def test_the_resolved_spec_stands_by_itself(spec):
    graph = proved(spec)
    again = load(json.loads(json.dumps(graph.spec)))
    assert [(node.path, *rest) for node, rest in zip(again.nodes, facts(again), strict=True)] == [
        (node.path, *rest) for node, rest in zip(graph.nodes, facts(graph), strict=True)
    ]
    assert again.scopes == graph.scopes
    assert again.spec == graph.spec


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(specs())
def test_blocks_of_another_file_and_those_that_it_uses_are_the_same(tmp_path, spec):
    """The blocks go into two files of YAML, the second of which uses the first."""
    graph = proved(spec)
    names = list(spec["blocks"])
    first, second = ({name: spec["blocks"][name] for name in part} for part in (names[::2], names[1::2]))
    rest = {key: value for key, value in spec.items() if key != "blocks"}
    for name, data in (
        ("first", {"cnnc": 1, "blocks": first}),
        ("second", {"cnnc": 1, "use": ["first.yaml"], "blocks": second}),
        ("spec", {**rest, "use": ["second.yaml"]}),
    ):
        apart = json.loads(json.dumps(data))  # what is one list in two places would become an anchor
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(apart, sort_keys=False), encoding="utf-8")
    again = proved(tmp_path / "spec.yaml")
    assert facts(again) == facts(graph)
    assert again.scopes == graph.scopes
