"""Data written as YAML is the same data when cnnc reads it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnc
from cnnc.diagnostics import Source
from cnnc.text.reader import parse_text
from cnnc.text.written import as_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=20)
SCALARS = st.one_of(
    TEXTS,
    st.sampled_from(
        ["on", "1e3", "1e400", "0o17", "010", "1:30", "null", "~", "", "9" * 30, ".inf", "- a", "a: b", "$(x)"]
    ),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
DATA = st.dictionaries(
    st.text("abcx10-_", min_size=1, max_size=5),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=10),
    min_size=1,
)
SPECS = sorted((Path(__file__).parents[2] / "specs").rglob("*.yaml"))


@given(DATA)
def test_what_is_written_is_read_back(data):
    assert parse_text(Source("<test>", as_yaml(data))).plain() == data


@pytest.mark.parametrize("path", [each for each in SPECS if "blocks" not in each.parts], ids=lambda path: path.stem)
def test_every_spec_is_the_same_network_when_written_again(path, tmp_path):
    graph = cnnc.load(path)
    again = tmp_path / "again.yaml"
    again.write_text(as_yaml(graph.spec), encoding="utf-8")
    found = cnnc.load(again)
    assert [each.path for each in found.nodes] == [each.path for each in graph.nodes]
    assert found.spec == graph.spec
