"""`use`: which files may be read, and what becomes of their blocks."""

import pytest

from cnnc.compiler import check, load
from cnnc.diagnostics import CnncError
from cnnc.language import imports

SPEC = "cnnc: 1\ninput: {image: [3, 8, 8]}\nuse: [%s]\nnodes: [%s]\n"
BLOCKS = "cnnc: 1\nblocks:\n  %s: {nodes: [%s]}\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def codes(path):
    return [each.code.value for each in check(path).diagnostics]


def test_blocks_come_from_files_and_from_those_that_they_use(tmp_path):
    write(tmp_path / "blocks/a.yaml", "cnnc: 1\nuse: [deep/b.yaml]\nblocks:\n  a: {nodes: [b, relu]}\n")
    write(tmp_path / "blocks/deep/b.yaml", BLOCKS % ("b", "tanh"))
    graph = load(write(tmp_path / "net.yaml", SPEC % ("blocks/a.yaml", "a, b")))
    assert [node.path for node in graph.nodes] == ["a.b.tanh", "a.relu", "b.tanh"]


def test_a_file_that_two_use_is_read_once(tmp_path):
    write(tmp_path / "a.yaml", "cnnc: 1\nuse: [c.yaml]\nblocks:\n  a: {nodes: [c]}\n")
    write(tmp_path / "b.yaml", "cnnc: 1\nuse: [c.yaml]\nblocks:\n  b: {nodes: [c]}\n")
    write(tmp_path / "c.yaml", BLOCKS % ("c", "relu"))
    assert codes(write(tmp_path / "net.yaml", SPEC % ("a.yaml, b.yaml", "a, b"))) == []


@pytest.mark.parametrize("name", ["../x.yaml", "/etc/passwd", "inside/../../x.yaml", ".", "''", "3", "[a]", '"a\\0b"'])
def test_only_files_below_the_spec_are_read(name, tmp_path):
    write(tmp_path / "x.yaml", BLOCKS % ("a", "relu"))
    (tmp_path / "net/inside").mkdir(parents=True)
    found = codes(write(tmp_path / "net/net.yaml", SPEC % (name, "a")))
    assert found in (["E214"], ["E101"])


def test_a_link_that_leads_out_is_not_followed(tmp_path):
    write(tmp_path / "secret.yaml", BLOCKS % ("a", "relu"))
    spec = write(tmp_path / "net/net.yaml", SPEC % ("link.yaml", "a"))
    (tmp_path / "net/link.yaml").symlink_to("../secret.yaml")
    assert codes(spec) == ["E214"]


def test_a_used_file_may_not_lead_out_by_a_folder_of_its_own(tmp_path):
    write(tmp_path / "net/blocks/a.yaml", "cnnc: 1\nuse: [../../x.yaml]\nblocks:\n  a: {nodes: [relu]}\n")
    write(tmp_path / "x.yaml", BLOCKS % ("b", "relu"))
    assert codes(write(tmp_path / "net/net.yaml", SPEC % ("blocks/a.yaml", "a"))) == ["E214"]


def test_the_way_round_a_circle_is_told(tmp_path):
    write(tmp_path / "a.yaml", "cnnc: 1\nuse: [b.yaml]\nblocks:\n  a: {nodes: [relu]}\n")
    write(tmp_path / "b.yaml", "cnnc: 1\nuse: [a.yaml]\nblocks:\n  b: {nodes: [relu]}\n")
    (found,) = check(write(tmp_path / "net.yaml", SPEC % ("a.yaml", "a, b"))).diagnostics
    assert found.code == "E214"
    assert [note.span.source.name.rpartition("/")[2] for note in found.notes] == ["net.yaml", "a.yaml"]


def test_two_blocks_of_one_name_are_an_error(tmp_path):
    write(tmp_path / "a.yaml", BLOCKS % ("a", "relu"))
    spec = write(tmp_path / "net.yaml", SPEC % ("a.yaml", "a") + "blocks:\n  a: {nodes: [tanh]}\n")
    assert codes(spec) == ["E210"]


def test_a_used_file_holds_blocks_alone(tmp_path):
    write(tmp_path / "a.yaml", BLOCKS % ("a", "relu") + "nodes: [relu]\n")
    assert codes(write(tmp_path / "net.yaml", SPEC % ("a.yaml", "a"))) == ["E201"]


def test_a_file_of_blocks_is_fine_but_no_network(tmp_path):
    path = write(tmp_path / "a.yaml", BLOCKS % ("a", "relu"))
    checked = check(path)
    assert checked.ok
    assert checked.graph is None
    assert checked.as_text().endswith("a.yaml: fine, a file of blocks")
    with pytest.raises(CnncError, match="only blocks"):
        load(path)


def test_a_spec_without_a_folder_uses_no_files():
    spec = {"cnnc": 1, "input": {"image": [3, 8, 8]}, "use": ["a.yaml"], "nodes": ["a"]}
    assert [each.code.value for each in check(spec).diagnostics] == ["E214"]


def test_a_link_to_itself_is_no_file_of_blocks(tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert codes(write(tmp_path / "net.yaml", SPEC % ("loop.yaml", "relu"))) == ["E101"]


def test_a_folder_that_is_a_link_to_itself_holds_no_blocks(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert codes(write(tmp_path / "net.yaml", SPEC % ("loop/a.yaml", "relu"))) == ["E101"]


def test_a_name_that_no_file_can_have(tmp_path):
    assert codes(write(tmp_path / "net.yaml", SPEC % ("x" * 5000, "relu"))) == ["E101"]


def test_a_spec_cannot_use_itself(tmp_path):
    (found,) = check(write(tmp_path / "net.yaml", SPEC % ("net.yaml", "relu"))).diagnostics
    assert (found.code, found.span.line) == ("E214", 3)
    assert "uses itself" in found.message


def test_a_circle_may_lead_through_the_file_that_is_checked(tmp_path):
    write(tmp_path / "a.yaml", "cnnc: 1\nuse: [b.yaml]\nblocks:\n  a: {nodes: [relu]}\n")
    write(tmp_path / "b.yaml", "cnnc: 1\nuse: [a.yaml]\nblocks:\n  b: {nodes: [relu]}\n")
    (found,) = check(tmp_path / "a.yaml").diagnostics
    assert found.code == "E214"
    assert found.span.source.name.endswith("b.yaml")
    assert [note.span.source.name.rpartition("/")[2] for note in found.notes] == ["a.yaml"]


def test_the_files_of_a_spec_are_bounded_together(tmp_path, monkeypatch):
    for name in "abc":
        write(tmp_path / f"{name}.yaml", BLOCKS % (name, "relu") + "#" * 400)
    path = write(tmp_path / "net.yaml", SPEC % ("a.yaml, b.yaml, c.yaml", "a, b"))
    assert codes(path) == []
    monkeypatch.setattr(imports, "LIMIT", 1_000)
    [fault] = check(path).diagnostics
    assert (fault.code.value, fault.span.line) == ("E102", 3)
    assert fault.message == "the files that this spec uses are larger than 1,000 bytes in total"


def test_a_long_chain_of_files_is_refused(tmp_path):
    """At 400 files Python's stack was not deep enough."""
    for at in range(400):
        write(tmp_path / f"f{at}.yaml", f"cnnc: 1\nuse: [f{at + 1}.yaml]\nblocks:\n  b{at}: {{nodes: [relu]}}\n")
    [fault] = check(write(tmp_path / "net.yaml", SPEC % ("f0.yaml", "b0, b1"))).diagnostics
    assert str(fault).endswith("f99.yaml:2:7: error[E214]: the spec uses more than 100 files")


def test_a_block_of_two_files_is_given_twice(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.yaml", BLOCKS % ("b", "relu"))
    [fault] = check(write(tmp_path / "net.yaml", SPEC % ("one.yaml, two.yaml", "b"))).diagnostics
    assert (fault.code, fault.message) == ("E210", "there are two blocks `b`")
    assert fault.span.source.name.endswith("two.yaml")
    assert [note.span.source.name.rpartition("/")[2] for note in fault.notes] == ["one.yaml"]


def test_a_file_of_another_version_is_refused(tmp_path):
    write(tmp_path / "new.yaml", (BLOCKS % ("b", "relu")).replace("cnnc: 1", "cnnc: 2"))
    [fault] = check(write(tmp_path / "net.yaml", SPEC % ("new.yaml", "b"))).diagnostics
    assert (fault.code, fault.span.line) == ("E218", 1)
    assert fault.span.source.name.endswith("new.yaml")
