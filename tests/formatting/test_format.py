"""A formatted text has the same data and comments, in the usual format, and formatting it again changes nothing."""

import json
import random
import re
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from cnnc.diagnostics import CnncError, Source
from cnnc.formatting import format, format_source, texts
from cnnc.text import yaml_events
from cnnc.text.reader import parse_text
from cnnc.text.yaml_events import PureParser
from tests.thorough import examples

ROOT = Path(__file__).parents[2]
GOOD = sorted([*(ROOT / "specs").rglob("*.yaml"), *(ROOT / "tests/published").glob("*.yaml")])
CASES = Path(__file__).parent / "cases"
PARTS = [
    *(
        "# c",
        "  # x\n",
        "\n",
        "\n\n",
        " ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "- ",
        '"',
        "'",
        "|\n",
        ">-\n",
        "&a ",
        "*a",
        "!t ",
    ),
    *(
        "? ",
        "#",
        "\t",
        "\r\n",
        "é",
        "null",
        "1e3",
        "0o7",
        "on",
        "~",
        "---\n",
        "...\n",
        "<<",
        "$(",
        "\x85",
        "\u2028",
        "%",
    ),
]
ENDS = ("  # end", "# x", " #y", "     # far")
BROKEN = ["a: &x 1\n", "a: *x\n", "a: {<<: {b: 1}}\n", "a: !!int 1\n", "a: 1\na: 2\n", "a\n", "a: [\n", ""]


def plain(text):
    return parse_text(Source("<test>", text)).plain()


def comments(text):
    return sorted(re.findall(r"(?m)(?:^|\s)(#.*)$", text))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_specs_of_this_repository_are_formatted(path):
    text = path.read_text(encoding="utf-8")
    assert format(text) == text


@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.txt")))
def test_what_becomes_of_a_text(name):
    """Each case is a text, and what it is formatted to."""
    before, after = (CASES / f"{name}.txt").read_text(encoding="utf-8").split("=====\n")
    assert format(before) == after
    assert format(after) == after
    assert comments(before) == comments(after)


@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.txt")))
def test_pythons_parser_gives_the_same(name):
    before, after = (CASES / f"{name}.txt").read_text(encoding="utf-8").split("=====\n")
    with patch.object(yaml_events, "PARSER", PureParser):
        assert format(before) == after


def mutant(draw, text):
    """The text with a few random changes."""
    for _ in range(draw.randint(1, 4)):
        lines = text.split("\n")
        at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        place = draw.randrange(len(text) + 1)
        end = min(len(text), place + draw.randrange(1, 30))
        shuffled = {at: lines[other], other: lines[at]}
        text = draw.choice(
            [
                text[:place] + draw.choice(PARTS) + text[place:],
                text[:place] + text[end:],
                text[:end] + text[place:end] + text[end:],
                "\n".join(shuffled.get(number, line) for number, line in enumerate(lines)),
                "\n".join(
                    [
                        *lines[:at],
                        f"{lines[at]}{draw.choice(ENDS)}",
                        *lines[at + 1 :],
                    ]
                ),
                "\n".join([*lines[:at], draw.randrange(9) * " " + draw.choice(["# whole", ""]), *lines[at:]]),
            ]
        )
    return text


@pytest.mark.parametrize("seed", range(examples(300)))
def test_a_random_text_is_formatted_or_refused(seed):
    draw = random.Random(seed)
    text = mutant(draw, draw.choice(GOOD).read_text(encoding="utf-8"))
    try:
        formatted = format(text)
    except CnncError:
        with pytest.raises(CnncError):
            plain(text)
        return
    assert plain(formatted) == plain(text)
    assert format(formatted) == formatted


LENET = (ROOT / "specs/lenet.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        LENET.rstrip("\n"),
        LENET.replace("\n", "\n\n\n"),
        f"\n\n{LENET}\n\n",
        f"\ufeff{LENET}".removeprefix("\ufeff"),
        f"---\n{LENET}...\n",
        re.sub(r"(?m)^( +)", r"\1\1", LENET),
        re.sub(r"(?m)$", "   ", LENET),
    ],
    ids=["no final line end", "blank lines", "around", "mark", "document", "four spaces", "trailing spaces"],
)
def test_layout_that_carries_nothing_goes(text):
    assert format(text).replace("\n\n", "\n") == LENET.replace("\n\n", "\n")


def test_windows_line_ends_stay():
    assert format(LENET.replace("\n", "\r\n")) == LENET.replace("\n", "\r\n")
    assert format(LENET.replace("name: lenet\n", "name:    lenet\r\n")) == LENET


@pytest.mark.parametrize(
    "text", ["a: &x 1\n", "a: *x\n", "a: {<<: {b: 1}}\n", "a: !!int 1\n", "a: 1\na: 2\n", "a\n", "a: [\n", ""]
)
def test_what_is_no_spec_gets_its_usual_diagnostic(text):
    with pytest.raises(CnncError) as refused:
        format(text)
    with pytest.raises(CnncError) as usual:
        plain(text)
    assert [each.code for each in refused.value.diagnostics] == [each.code for each in usual.value.diagnostics]


def test_json_stays_json():
    text = json.dumps(plain(LENET), ensure_ascii=False)
    formatted = format_source(Source("net.json", text))
    assert json.loads(formatted) == json.loads(text)
    assert formatted.startswith('{\n  "cnnc": 1,\n')
    assert '    {"conv": {"out": 6, "kernel": 5, "padding": 2, "act": "sigmoid"}},\n' in formatted
    assert format(formatted) == formatted
    assert format('{"b": 1e3, "cnnc": 01}') == "b: 1e3\ncnnc: 01\n"  # YAML: JSON has no 01


def test_yaml_in_a_file_named_json_is_refused():
    with pytest.raises(CnncError, match=r"net\.json is YAML, but not JSON"):
        format_source(Source("net.json", LENET))


def test_what_would_be_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(texts, "LIMIT", 100)
    with pytest.raises(CnncError, match="formatted, <text> would be larger than 100 bytes"):
        format(LENET)


@pytest.mark.parametrize(
    "broken",
    [LENET.replace("6", "7"), LENET.replace("cnnc: 1\nname: lenet\n", "name: lenet\ncnnc: 1\n"), f"# c\n{LENET}"],
)
def test_a_fault_of_the_layout_is_an_internal_error(monkeypatch, broken):
    monkeypatch.setattr(texts, "as_lines", lambda root: broken.splitlines())
    with pytest.raises(AssertionError, match="formatting would change"):
        format(LENET)


def test_the_time_is_linear():
    """Ten times as many nodes take ten times as many calls of functions."""
    counts = []
    for nodes in (100, 1000):
        calls = 0

        def count(frame, event, arg):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            format("nodes:\n" + "  - conv: {out: 8,  kernel: 3}  # c\n" * nodes)
        finally:
            sys.setprofile(None)
        counts.append(calls)
    assert counts[1] < 10.2 * counts[0]
