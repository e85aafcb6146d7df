"""Names that are no identifiers: every target's file has the keys of the spec."""

import cnnc
from cnnc.targets.choices import Target
from tests.nets import codes, conv, net


def test_hyphens_in_names_of_nodes(tmp_path):
    inner = [conv(name="c-1", act="relu"), {"prelu": {"name": "r-2"}}]
    nodes = [
        {"group": {"name": "b-0", "nodes": inner}},
        {"parameter": {"name": "p-1", "shape": [4, 1, 1], "init": 2}},
        {"mul": {"name": "m-1", "from": ["b-0", "p-1"]}},
        {"scale": {"name": "s-1"}},
        {"group": {"name": "b-1", "share": "b-0", "nodes": inner}},
    ]
    spec = net(*nodes, outputs={"out": "b-1"})
    assert list(cnnc.compile(spec).state_dict()) == [
        *("p-1", "b-0.c-1.weight", "b-0.c-1.bias", "b-0.r-2.weight", "s-1.weight"),
    ]
    cnnc.build(spec, out=tmp_path, targets=list(Target))  # verifies the files


def test_hyphens_are_refused_where_an_expression_would_subtract():
    assert codes(net("relu", params={"a-b": 1})) == ["E209"]
    assert codes({"cnnc": 1, "name": "net", "input": {"a-b": [1]}, "nodes": ["relu"]}) == ["E209"]
    assert codes(net("u-v", blocks={"u-v": {"nodes": ["relu"]}})) == ["E209"]
    assert codes(net({"relu": {"name": "-a"}})) == ["E209"]
    assert codes(net({"relu": {"name": "a--b"}})) == ["E209"]
