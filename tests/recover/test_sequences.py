"""Sequences of one block, in several places, are a repeated item with lists."""

from cnnc.formatting import write
from cnnc.recover.structured import structured


def unit(path, last, out, kernel=1):
    """A conv and a norm in a scope, with their paths."""
    name = path.replace(".", "_")
    nodes = [
        {"conv": {"name": f"{name}_c", "from": last, "out": out, "kernel": kernel, "padding": kernel // 2}},
        {"batch_norm": {"name": f"{name}_n", "from": f"{name}_c"}},
    ]
    return nodes, {f"{name}_c": f"{path}.conv", f"{name}_n": f"{path}.bn"}


def recovered(*branches):
    """Branches of units that are added; each is a list of the widths and kernels of its units."""
    nodes, paths, ends = [], {}, []
    for at, branch in enumerate(branches):
        last = "x"
        for place, each in enumerate(branch):
            more, found = unit(f"branch{at}.{place}", last, *each)
            nodes, paths, last = [*nodes, *more], {**paths, **found}, next(iter(more[1].values()))["name"]
        ends.append(last)
    nodes.append({"add": {"name": "total", "from": ends}})
    found = structured({"cnnc": 1, "name": "net", "input": {"x": [4, 8, 8]}, "nodes": nodes}, paths)
    assert not found.faults
    return found.spec


def test_widths_are_expressions_over_the_index():
    found = recovered([(8, 1), (4, 3)], [(16, 1), (4, 3)], [(2, 1), (4, 3)])
    assert found["nodes"][:2] == [
        {
            "conv_bn": {
                "name": "branch0",
                "repeat": 2,
                "out": "$(8 if i == 0 else 4)",
                "kernel": "$(1 if i == 0 else 3)",
            }
        },
        {
            "conv_bn": {
                "name": "branch1",
                "from": "x",
                "repeat": 2,
                "out": "$(16 if i == 0 else 4)",
                "kernel": "$(1 if i == 0 else 3)",
            }
        },
    ]
    assert [*found["blocks"]] == ["conv_bn"]


def test_sequences_may_have_different_lengths_and_any_values():
    found = recovered([(8, 1), (2, 3), (4, 1)], [(2, 1), (8, 3), (4, 3)], [(6, 1), (4, 3)], [(6, 3), (4, 1)])
    assert 'repeat: 3, out: "$([8, 2, 4][i])", kernel: "$([1, 3, 1][i])"' in write(found)
    assert "repeat: 2, out: $(6 if i == 0 else 4), kernel: $(3 if i == 0 else 1)" in write(found)


def test_a_sequence_without_another_stays_a_group():
    assert "[i]" not in write(recovered([(8, 1), (4, 3)], [(4, 1)]))


def test_in_a_block_they_are_parameters_that_are_lists():
    nodes, paths, last = [], {}, "x"
    for at, widths in enumerate([(8, 2), (4, 6), (2, 2)]):
        for place, (out, kernel) in enumerate(zip(widths, (1, 3), strict=True)):
            more, found = unit(f"stage{at}.wide.{place}", last, out, kernel)
            nodes, paths, last = [*nodes, *more], {**paths, **found}, next(iter(more[1].values()))["name"]
        more, found = unit(f"stage{at}.narrow", last, 4)
        nodes, paths, last = [*nodes, *more], {**paths, **found}, next(iter(more[1].values()))["name"]
    found = structured({"cnnc": 1, "name": "net", "input": {"x": [4, 8, 8]}, "nodes": nodes}, paths)
    assert not found.faults
    stage = found.spec["nodes"][1]
    assert [each for each in next(iter(stage.values())).values() if isinstance(each, list)] == [[4, 6]]
    assert 'repeat: 2, out: "$(' in write(found.spec)
