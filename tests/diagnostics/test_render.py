import json

import pytest

from cnnc.diagnostics import Code, Diagnostic, Note, Source, Span
from cnnc.diagnostics.render import as_github, as_json, render

SOURCE = Source("net.yaml", "nodes:\n  - conv: {out: 64, kernel: 3}\n" + "\n" * 8 + "  - add\n")
FULL = Diagnostic(
    Code.UNEQUAL_SHAPES,
    "the shapes differ",
    Span(SOURCE, 11, 5, 11, 8),
    "here",
    (Note("this is 64 wide", Span(SOURCE, 2, 17, 2, 19)), Note("add takes equal shapes")),
    "use a conv\nor a pad",
)


def marked(text, column, end_column, line=1, end_line=None):
    """The source line and the line of marks of a diagnostic about a stretch of `text`."""
    span = Span(Source("f", text), line, column, end_line or line, end_column)
    lines = render(Diagnostic(Code.SYNTAX, "m", span), color=False).split("\n")
    return [shown.partition("| ")[2] for shown in lines[3:5]]


def test_render():
    assert render(FULL, color=False) == (
        "error[E301]: the shapes differ\n"
        "  --> net.yaml:11:5\n"
        "   |\n"
        "11 |   - add\n"
        "   |     ^^^ here\n"
        "note: this is 64 wide\n"
        "  --> net.yaml:2:17\n"
        "   |\n"
        " 2 |   - conv: {out: 64, kernel: 3}\n"
        "   |                 --\n"
        "   = note: add takes equal shapes\n"
        "   = help: use a conv\n"
        "           or a pad"
    )


def test_without_a_place():
    diagnostic = Diagnostic(Code.UNREADABLE, "there is no file a", help="check")
    assert render(diagnostic, color=False) == "error[E101]: there is no file a\n  = help: check"


def test_an_empty_file_has_no_line_to_show():
    diagnostic = Diagnostic(Code.NOT_ONE_DOCUMENT, "empty", Span(Source("f", ""), 1, 1, 1, 1))
    assert render(diagnostic, color=False) == "error[E109]: empty\n --> f:1:1"


def test_color_adds_only_codes():
    import re

    colored = render(FULL, color=True)
    assert "\x1b[1;31merror[E301]\x1b[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render(FULL, color=False)


@pytest.mark.parametrize(
    ("text", "column", "end_column", "line", "marks"),
    [
        ("ab cd", 4, 6, "ab cd", "   ^^"),
        ("a\tcd", 3, 5, "a   cd", "    ^^"),
        ("日本: x", 5, 6, "日本: x", "      ^"),
        ("日本: x", 1, 3, "日本: x", "^^^^"),
        ("e\u0301\u0301: x", 6, 7, "e\u0301\u0301: x", "   ^"),
        ("a\x1b[31mb", 7, 8, "a\\x1b[31mb", "         ^"),
        ("a\u202eb", 2, 3, "a\\u202eb", " ^^^^^^"),
        ("a\0b", 3, 4, "a\\x00b", "     ^"),
        ("abc", 4, 5, "abc", "   ^"),
        ("abc", 6, 7, "abc", "     ^"),
        ("abc", 2, 2, "abc", " ^"),
    ],
)
def test_marks_stand_under_the_place(text, column, end_column, line, marks):
    assert marked(text, column, end_column) == [line, marks]


def test_of_several_lines_the_first_is_marked():
    assert marked("a:\n  b: c  \n  d: e", 3, 7, line=2, end_line=3) == ["  b: c", "  ^^^^"]


@pytest.mark.parametrize("column", [1, 10, 60, 500_000, 999_999])
def test_long_lines_are_clipped_around_the_place(column):
    text = "x" * (column - 1) + "Y" + "x" * (1_000_000 - column)
    line, marks = marked(text, column, column + 1)
    assert len(line) <= 122
    assert line[marks.index("^")] == "Y"


def test_long_places_are_clipped():
    line, marks = marked("x" * 1_000_000, 1, 1_000_001)
    assert line == "x" * 120 + "…"
    assert marks == "^" * 120


def test_hostile_texts_are_neutralised_everywhere():
    evil = "\x1b[2J\u202e\0\u2028"
    span = Span(Source(evil, evil), 1, 1, 1, 2)
    diagnostic = Diagnostic(Code.BAD_NAME, evil, span, evil, (Note(evil, span), Note(evil)), evil)
    for text in (render(diagnostic, color=False), as_github(diagnostic)):
        assert not set(text) & set(evil) - set("[2J")
        assert "\\x1b[2J\\u202e\\x00\\u2028" in text


def test_a_message_cannot_pose_as_another_diagnostic():
    diagnostic = Diagnostic(Code.BAD_NAME, "bad\nerror[E999]: fake", label="a\nb")
    assert "\nerror" not in render(diagnostic, color=False)


def test_endless_messages_are_clipped():
    assert len(render(Diagnostic(Code.BAD_NAME, "x" * 100_000), color=False)) < 3000


def test_json():
    assert as_json(FULL) == {
        "code": "E301",
        "severity": "error",
        "message": "the shapes differ",
        "file": "net.yaml",
        "line": 11,
        "column": 5,
        "end_line": 11,
        "end_column": 8,
        "path": None,
        "label": "here",
        "help": "use a conv\nor a pad",
        "notes": [
            {"message": "this is 64 wide", "file": "net.yaml", "line": 2, "column": 17, "path": None},
            {"message": "add takes equal shapes", "file": None, "line": None, "column": None, "path": None},
        ],
    }
    assert json.loads(json.dumps(as_json(FULL))) == as_json(FULL)


def test_json_without_a_place():
    plain = as_json(Diagnostic(Code.UNREADABLE, "gone"))
    assert [key for key, value in plain.items() if value is None] == [
        "file",
        "line",
        "column",
        "end_line",
        "end_column",
        "path",
        "label",
        "help",
    ]
    assert plain["notes"] == []


def test_github():
    assert as_github(FULL) == (
        "::error file=net.yaml,line=11,col=5,endLine=11,endColumn=8,title=E301::the shapes differ%0Ahere"
        "%0Anote: this is 64 wide (net.yaml:2:17)%0Anote: add takes equal shapes%0Ahelp: use a conv%0Aor a pad"
    )


def test_github_escapes():
    span = Span(Source("a:b,c%.yaml", "x"), 1, 1, 1, 2)
    assert as_github(Diagnostic(Code.SYNTAX, "50% of a:b, c\nd", span)) == (
        "::error file=a%3Ab%2Cc%25.yaml,line=1,col=1,endLine=1,endColumn=2,title=E104::50%25 of a:b, c%0Ad"
    )


def test_github_without_a_place():
    assert as_github(Diagnostic(Code.UNREADABLE, "gone")) == "::error title=E101::gone"


def test_github_gives_no_columns_for_several_lines():
    span = Span(Source("f", "a\nb"), 1, 1, 2, 2)
    assert as_github(Diagnostic(Code.SYNTAX, "m", span)) == "::error file=f,line=1,endLine=2,title=E104::m"


@pytest.mark.parametrize("number", range(101, 110))
def test_every_code_of_the_text_stage_has_its_page(number):
    code = Code(f"E{number}")
    assert code.page.startswith(f"# {code}: ")
    assert "```" in code.page
