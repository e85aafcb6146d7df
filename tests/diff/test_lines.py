"""The lines of a spec that changed a network, in the table and as notices on GitHub."""

import pytest

import cnnc
from cnnc.diff import formats
from cnnc.diff.changes import compare
from cnnc.diff.notices import notices

SPEC = """cnnc: 1
name: net
input: {image: [3, 16, 16]}
blocks:
  pair:
    params: {channels: null}
    nodes:
      - conv: {name: one, out: $channels, kernel: 3}
      - conv: {name: two, out: 8, kernel: 3}
nodes:
  - pair: {name: a, channels: 4}
  - pair: {name: b, channels: 4}
  - group: {name: end, nodes: [relu]}
"""


@pytest.fixture
def told(tmp_path):
    """Compares a spec with itself after a replacement; returns (kind, line, path) of each change, and the notices."""

    def told(old, new):
        files = tmp_path / "old.yaml", tmp_path / "new.yaml"
        for file, text in zip(files, (SPEC, SPEC.replace(old, new)), strict=True):
            file.write_text(text, encoding="utf-8")
        found = compare(*map(cnnc.load, files)).with_files(str, lambda _: "new.yaml")
        rows = [(each.kind, each.shown.at.line, each.shown.path) for each in found.changes]
        assert "| change | line |" in formats.markdown(found, "old", "new")
        return rows, [*notices(found)]

    return told


def test_a_line_of_a_block_changes_all_its_instances(told):
    rows, (notice,) = told("out: 8, kernel: 3", "out: 8, kernel: 1")
    assert [row for row in rows if row[0] == "changed"] == [("changed", 9, "a.two"), ("changed", 9, "b.two")]
    assert notice == (
        "::notice file=new.yaml,line=9,title=2 nodes changed::a.two and b.two%0Akernel 3 → 1%0A8×12×12 → 8×14×14 and "
        "8×8×8 → 8×12×12%0A−512 parameters%0A−49,024 MACs%0A+4,224 bytes of activations"
    )


def test_an_attribute_of_an_instance_stands_in_the_line_of_the_instance(told):
    rows, (notice,) = told("b, channels: 4", "b, channels: 5")
    assert rows == [("changed", 12, "b.one"), ("affected", 12, "b.two")]
    assert notice.startswith("::notice file=new.yaml,line=12,title=1 node changed::b.one%0Aout 4 → 5%0A")


def test_an_added_instance_is_a_single_notice(told):
    rows, (notice, _) = told("  - group", "  - pair: {name: c, channels: 6}\n  - group")
    assert rows == [("added", 13, "c.one"), ("added", 13, "c.two"), ("changed", 14, "end.relu")]
    assert notice.startswith("::notice file=new.yaml,line=13,title=2 nodes added::c.one and c.two%0A")


def test_a_removed_node_has_its_old_line_and_no_notice(told):
    rows, found = told("  - group: {name: end, nodes: [relu]}\n", "")
    assert rows == [("removed", 13, "end.relu")]
    assert found == []
