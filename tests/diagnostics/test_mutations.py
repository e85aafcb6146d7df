"""The specs of the house with something broken in them: never a traceback, and a place for whatever is wrong.

Whatever is found is shown in every way that there is.
"""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.compiler import check
from tests.shown import show_every_way
from tests.thorough import examples

ROOT = Path(__file__).parents[2]
SPECS = [path.read_bytes() for path in sorted((ROOT / "specs").glob("*.yaml"))]
TOKEN = re.compile(rb"[A-Za-z0-9_.$]+|[^A-Za-z0-9_.$\s]")
WORDS = [
    b"null", b"true", b"yes", b"0", b"-1", b"1e3", b"1000000000", b"9" * 30, b"[]", b"{}", b"''", b"~", b"$x",
    b"$(1/0)", b"$(9**9**9)", b"$(input.channels)", b"$i", b"&a", b"*a", b"!!int", b"conv", b"add", b"each", b"group",
    b"input", b"from", b"when", b"repeat", b"name", b"nodes", b"forward", b"a.b", b"split.7", b"\t", b"\x00", b"\xff",
    b"\xe2\x80\xae", b"---", b"<<", b"%", b"- ", b": ", b"\n", b"#",
]  # fmt: skip


@st.composite
def broken_specs(draw):
    text = draw(st.sampled_from(SPECS))
    for mutation in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        text = mutation(draw, text)
    return text


def delete_line(draw, text):
    lines = text.splitlines(keepends=True)
    return b"".join(lines[:-1]) if len(lines) < 2 else b"".join(lines[: (k := pick(draw, lines))] + lines[k + 1 :])


def double_line(draw, text):
    lines = text.splitlines(keepends=True) or [b""]
    k = pick(draw, lines)
    return b"".join(lines[: k + 1] + lines[k:])


def move_line(draw, text):
    lines = text.splitlines(keepends=True) or [b""]
    line = lines.pop(pick(draw, lines))
    lines.insert(draw(st.integers(0, len(lines))), line)
    return b"".join(lines)


def indent_line(draw, text):
    lines = text.splitlines(keepends=True) or [b""]
    k = pick(draw, lines)
    lines[k] = b"  " + lines[k] if draw(st.booleans()) else lines[k].removeprefix(b"  ")
    return b"".join(lines)


def swap_tokens(draw, text):
    tokens = list(TOKEN.finditer(text))
    if len(tokens) < 2:
        return text
    one, other = sorted(draw(st.lists(st.integers(0, len(tokens) - 1), min_size=2, max_size=2, unique=True)))
    a, b = tokens[one], tokens[other]
    return text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]


def replace_token(draw, text):
    tokens = list(TOKEN.finditer(text)) or [re.match(rb"", text)]
    token = tokens[pick(draw, tokens)]
    return text[: token.start()] + draw(st.sampled_from(WORDS)) + text[token.end() :]


def misspell(draw, text):
    k = draw(st.integers(0, max(0, len(text) - 1)))
    return (
        text[:k] + draw(st.sampled_from([b"", text[k : k + 1] * 2, b"x", b" ", b"{", b"}", b",", b":"])) + text[k + 1 :]
    )


def cut(draw, text):
    return text[: draw(st.integers(0, len(text)))]


def pick(draw, items):
    return draw(st.integers(0, len(items) - 1))


MUTATIONS = [delete_line, double_line, move_line, indent_line, swap_tokens, replace_token, replace_token, misspell, cut]


@settings(max_examples=examples(300))
@given(text=broken_specs())
def test_a_broken_spec_gives_diagnostics_with_places(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "broken.yaml"
    path.write_bytes(text)
    checked = check(path)
    show_every_way(checked)
    assert checked.ok or any(each.span for each in checked.diagnostics if each.severity == "error")
    for each in checked.diagnostics:
        assert each.span is None or 1 <= each.span.line <= text.count(b"\n") + text.count(b"\r") + 1
    messages = [(each.code, each.span, each.message) for each in checked.diagnostics]
    assert len(set(messages)) == len(messages)
