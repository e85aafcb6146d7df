"""No text makes the server fail: specs are changed character by character, and everything is asked at the change."""

import random
from contextlib import suppress

import pytest
from lsprotocol.types import Position
from pygls.exceptions import JsonRpcInvalidParams

from cnnc.editor.completion import complete_at
from cnnc.editor.diagnostics import by_file
from cnnc.editor.fixes import quick_fixes
from cnnc.editor.hints import ShapeHints
from cnnc.editor.hover import hover
from cnnc.editor.navigation import definition, references
from cnnc.editor.outline import outline
from cnnc.editor.rename import prepare_rename, rename
from cnnc.editor.session import EditorSession
from tests.editor.client import EVERYTHING

YAML = """\
cnnc: 1
params: {classes: 10, deep: true}
input: {image: [3, 16, $(8 * 2)]}
use: [blocks.yaml]
blocks:
  unit:
    params: {width: null, stride: 1}
    inputs: [left, right]
    outputs: {first: conv, second: split.0}
    nodes:
      - conv: {from: left, out: $width, kernel: 3, act: relu, allow: W304}
      - split: {from: right, parts: 3}
nodes:
  - unit: {name: "u", from: [image, image], width: $(2 * image.channels)}
  - conv:
      from: u.first
      out: 4
      kernel: [3, 3]
  - group:
      repeat: 2
      when: $deep
      nodes:
        - relu: {name: r$i}
        - add: {from: [r$i, input]}
  - each: {over: {c: [4, 8]}, nodes: [{conv: {out: $c, kernel: 1}}]}
  - flatten   # ü😀
  - linear: {out: $classes, share: false}
outputs: {logits: linear, other: {from: u.second, only: train}}
train: {optimizer: adamw, lr: 1e-3}
"""
JSON = """{"cnnc": 1, "params": {"c": 2}, "input": {"image": [1, 8, 8]}, "blocks": {"b": {"nodes": ["relu"]}},
"nodes": [{"conv": {"name": "a", "out": "$c", "kernel": 3}}, {"b": {"from": "a"}}, "flatten",
{"linear": {"out": "$(a.channels * 4)"}}], "labels": ["x", "y"]}
"""
SIGNS = "\n\t {}[]:,-#'\"$().&*!|>%@`?0aé😀\x00\x0b\x85\u2028\ufeff\ue000"


def variants(text: str, seed: int, step: int):
    """The text without a character, and with another one, at every `step`th place; each with the place."""
    drawn = random.Random(seed)
    for place in range(drawn.randrange(step), len(text), step):
        yield text[:place] + text[place + 1 :], place
        yield text[:place] + drawn.choice(SIGNS) + text[place:], place + 1
        yield text[:place], place


def ask_everything(session: EditorSession, hints: ShapeHints, text: str, place: int) -> None:
    key = session.documents.open("file:///work%20space/spec.yaml", text)
    hints.of(key, EVERYTHING)
    by_file(session, key)
    outline(session, key)
    quick_fixes(session, key, EVERYTHING)
    at = session.positions(key).position(place)
    complete_at(session, key, at)
    hover(session, key, at)
    definition(session, key, at)
    references(session, key, at, definitions=True)
    prepare_rename(session, key, at)
    with suppress(JsonRpcInvalidParams):
        rename(session, key, at, "renamed")


@pytest.fixture
def session():
    return EditorSession()


@pytest.mark.parametrize(("text", "step"), [(YAML, 41), (JSON, 31)], ids=["yaml", "json"])
def test_everything_has_an_answer(session, text, step):
    hints = ShapeHints(session)
    session.documents.open("file:///work%20space/blocks.yaml", "cnnc: 1\nblocks: {far: {nodes: [relu]}}\n")
    for changed, place in variants(text, 3, step):
        try:
            ask_everything(session, hints, changed, place)
        except Exception as error:
            error.add_note(f"at {place} in {changed!r}")
            raise


@pytest.mark.parametrize(
    "text", ["", "\n", "- a", "cnnc", "cnnc:", "{", "[", "nodes: 3", "cnnc: 1\nnodes:\n-", "\ufeffcnnc: 1", '"']
)
def test_a_short_text_has_an_answer(session, text):
    for place in range(len(text) + 1):
        ask_everything(session, ShapeHints(session), text, place)


@pytest.mark.parametrize("line", ["a😀b", "é", "x", "a\x85b", "a\u2028b\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_lead_back_to_their_offsets(session, line, encoding):
    session.encoding = encoding
    text = f"first\r\n{line}\nlast"
    positions = session.positions(session.documents.open("file:///x.yaml", text))
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":
            assert positions.offset(positions.position(offset)) == offset
    assert positions.offset(Position(99, 0)) == len(text)
