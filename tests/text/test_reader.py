import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnc.diagnostics import CnncError, Source
from cnnc.text import composer, yaml_events
from cnnc.text.composer import MAX_DEPTH, MAX_PROBLEMS, MAX_STRING
from cnnc.text.reader import parse_text
from cnnc.text.source import decode

PARSERS = list(dict.fromkeys([yaml_events.PARSER, yaml_events.PureParser]))


@pytest.fixture(params=PARSERS, ids=lambda parser: parser.__name__)
def parse(request, monkeypatch):
    """`parse_text` of a string, over each of the two parsers."""
    monkeypatch.setattr(yaml_events, "PARSER", request.param)
    return lambda text: parse_text(Source("net.yaml", text))


@pytest.fixture
def problems(parse):
    """The (place, code) of each problem of a text."""

    def of(text):
        return [(f"{found.span.line}:{found.span.column}", found.code.value) for found in diagnostics(parse, text)]

    return of


def diagnostics(parse, text):
    with pytest.raises(CnncError) as caught:
        parse(text)
    assert all(found.span for found in caught.value.diagnostics)
    return caught.value.diagnostics


def outcome(text, parser):
    """What a parser makes of a text: its tree with all spans, or the codes of what is wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_events, "PARSER", parser)
        try:
            return tree(parse_text(Source("f", text)))
        except CnncError as error:
            return {found.code for found in error.diagnostics}


def stretch(span):
    return span.line, span.column, span.end_line, span.end_column


def tree(value):
    if isinstance(value.data, dict):
        keys = {key: stretch(span) for key, span in value.keys.items()}
        return stretch(value.span), keys, {key: tree(part) for key, part in value.data.items()}
    data = [tree(part) for part in value.data] if isinstance(value.data, tuple) else repr(value.data)
    return stretch(value.span), data


SPEC = """\
# a comment
cnnc: 1
name: "é"   # another
nodes:
  - conv: {out: 64, kernel: [3, 3],
           stride: 2}
  - relu
  - add:
      from: [a, b]

  - text: |
      one
      two

last:
"""


def test_data(parse):
    assert parse(SPEC).plain() == {
        "cnnc": 1,
        "name": "é",
        "nodes": [
            {"conv": {"out": 64, "kernel": [3, 3], "stride": 2}},
            "relu",
            {"add": {"from": ["a", "b"]}},
            {"text": "one\ntwo\n"},
        ],
        "last": None,
    }


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("cnnc",), (2, 7, 2, 8)),
        (("name",), (3, 7, 3, 10)),
        (("nodes", 0, "conv"), (5, 11, 6, 22)),
        (("nodes", 0, "conv", "kernel", 1), (5, 33, 5, 34)),
        (("nodes", 1), (7, 5, 7, 9)),
        (("nodes", 2), (8, 5, 9, 19)),
        (("last",), (15, 6, 15, 6)),
    ],
)
def test_spans(parse, path, place, ending):
    assert stretch(parse(SPEC.replace("\n", ending)).at(*path).span) == place


def test_spans_of_keys(parse):
    root = parse(SPEC)
    assert stretch(root.keys["nodes"]) == (4, 1, 4, 6)
    assert stretch(root.at("nodes", 0, "conv").keys["stride"]) == (6, 12, 6, 18)


def test_spans_behind_wide_characters(parse):
    assert stretch(parse("日本😀: x").at("日本😀").span) == (1, 6, 1, 7)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("NO", "NO"),
        ("y", "y"),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("010", 10),
        ("089", 89),
        ("0o17", 15),
        ("-0o17", "-0o17"),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1.5e+2", 150.0),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("-", None),
        ("nan", "nan"),
        ("inf", "inf"),
        ("=", "="),
        ("12M", "12M"),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0" * 5000 + "1", 1),
        ('"12"', "12"),
        ("'null'", "null"),
        ('"1e400"', "1e400"),
        ("$(a + 1)", "$(a + 1)"),
        (r'"\x41\u00e9\t\/"', "Aé\t/"),
    ],
)
def test_scalars(parse, written, value):
    text = f"a: {written}\n"
    if written == "-":
        assert parse("a:\n  -\n").plain() == {"a": [None]}
        return
    found = parse(text).plain()["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "number",
    [
        *(".inf", "-.Inf", "+.INF", ".nan", ".NaN", "1e400", "-1e400", str(2**63), str(-(2**63) - 1)),
        *("1" + "0" * 30, "9" * 5000, "9" * 5000 + ".0", "0x" + "F" * 5000, "0o" + "7" * 30),
    ],
)
def test_numbers_that_nothing_holds(problems, number):
    assert problems(f"a: {number}") == [("1:4", "E108")]


def test_long_numbers_are_not_repeated_in_full(parse):
    (found,) = diagnostics(parse, "a: " + "9" * 5000)
    assert "5,000 digits" in found.message
    assert len(found.message) < 120


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3", [("3:1", "E105")]),
        ('a: 1\n"a": 3', [("2:1", "E105")]),
        ("a: {b: 1, b: [1, {c: 2}], b: 3}", [("1:11", "E105"), ("1:27", "E105")]),
        ("a: &x 1", [("1:4", "E106")]),
        ("a: &x {b: 1}\nb: *x", [("1:4", "E106"), ("2:4", "E106")]),
        ("&x a: 1\n*x : 2", [("1:1", "E106"), ("2:1", "E106")]),
        ("a: !!int 3\nb: !t [1]\nc: ! x", [("1:4", "E106"), ("2:4", "E106"), ("3:4", "E106")]),
        ("a: !!python/object/apply:os.system [ls]", [("1:4", "E106")]),
        ("a: &x !t 1", [("1:4", "E106"), ("1:7", "E106")]),
        ("a: !x!y 1", [("1:4", "E106")]),
        ("a: {<<: {b: 1}}", [("1:5", "E106")]),
        ("%YAML 1.1\n---\na: 1", [("1:1", "E106")]),
        ("# c\n%TAG ! x\n---\na: 1", [("2:1", "E106")]),
        ("%FOO\n---\na: 1", [("1:1", "E106")]),
        ("1: a\ntrue: b\n~: c\n1.5: d", [("1:1", "E106"), ("2:1", "E106"), ("3:1", "E106"), ("4:1", "E106")]),
        ("? [a]\n: 1\nb: 2", [("1:3", "E106")]),
        ("{{a: b}: 1, ~ : 2}", [("1:2", "E106"), ("1:13", "E106")]),
        ("a: .nan\na: &x 1\nb: [", [("1:4", "E108"), ("2:1", "E105"), ("2:4", "E106"), ("3:5", "E104")]),
        ("a: {b: $(min(a, b)), c: 1}", [("1:8", "E104")]),
        ("a: {b: $(x[0])}", [("1:8", "E104")]),
    ],
)
def test_problems_that_can_be_stepped_over(problems, text, found):
    assert problems(text) == found


def test_equal_keys_show_both_places(parse):
    (found,) = diagnostics(parse, "kernel: 1\nb: 2\nkernel: 3")
    assert "'kernel'" in found.message
    assert str(found.notes[0].span) == "net.yaml:1:1"
    assert stretch(found.span) == (3, 1, 3, 7)


def test_problems_are_bounded(parse):
    assert len(diagnostics(parse, "a: 1\n" * (MAX_PROBLEMS * 3))) == MAX_PROBLEMS + 1


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a:\n\tb: 1\n", "2:1", "tabs are not allowed in indentation"),
        ("\ta: 1\n", "1:1", "tabs are not allowed in indentation"),
        ("a: b\n\tc\n", "2:1", "tabs are not allowed in indentation"),
        ("a: |\n\tx\n", "2:1", "tabs are not allowed in indentation"),
        ("a:\tb\n", "1:3", "tabs are not allowed between"),
        ("a: b\t# c\n", "1:5", "tabs are not allowed between"),
        ("a: {b: 1,\tc: 2}\n", "1:10", "tabs are not allowed between"),
        ("a: b\tc\n", "1:5", "tabs are not allowed between"),
        ("a: [1\n", "1:6", "']' is missing"),
        ("a: {b: 1\n\n\n", "1:9", "'}' is missing"),
        ("a: 1\n b: 2\n", "2:3", "a ':' is not allowed"),
        ("a: b: c", "1:5", "a ':' is not allowed"),
        ("a:b\nc: d", "2:2", "a ':' is not allowed"),
        ("- a\nb: 1\n", "2:1", "does not belong to the list"),
        ("n:\n  - a\n - b\n", "3:2", "does not belong to the mapping"),
        ("a: - b", "1:4", "list item"),
        ("a: 1\nb\nc: 2\n", "2:1", "':' is missing"),
        ('a: "b\n\nc: d\n', "1:4", "never closed"),
        ("a: 'b\n---\n'", "1:4", "never closed"),
        ("a: @x", "1:4", "cannot begin with this"),
        ("a: *\n", "1:5", "unless it is quoted"),
        ("a: ]", "1:4", "value is missing"),
        ("a: |x\n b", "1:5", "only a line break"),
        ("{a: 1} b", "1:8", "after the end"),
        ("a: 1\n...\nb: 2\n", "3:1", "after the end"),
    ],
)
def test_syntax(parse, text, place, words):
    (found,) = diagnostics(parse, text)
    assert (found.code.value, f"{found.span.line}:{found.span.column}") == ("E104", place)
    assert words in found.message
    assert found.help


@pytest.mark.parametrize("escape", [r"\q", r"\ud83d\ude00", r"\ud800", r"\U00110000", r"\x4", r"\uzzzz"])
def test_escapes_that_are_no_character(problems, escape):
    assert [code for _, code in problems(f'a: "{escape}"')] == ["E104"]


def test_tabs_are_texts_where_they_are_quoted_or_remarks(parse):
    assert parse('a: "x\ty"\nb: |\n  u\tv\n# w\tx\n').plain() == {"a": "x\ty", "b": "u\tv\n"}


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9f", "\ufeff", "\ud800", "\ufffe"])
def test_control_characters(problems, character):
    assert problems(f"a: 1\nb: x{character}") == [("2:5", "E103")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("# one\n  # two\n", "only comments"),
        ("---\n", "no data"),
        ("---\n# x\n...\n", "no data"),
        ("x", "a string"),
        ('""', "a string"),
        ("12", "the number 12"),
        ("true", "the boolean true"),
        ("null", "null"),
        ("- a\n- b", "a list"),
        ("[]", "a list"),
        ("a: 1\n---\nb: 2", "second document"),
        ("---\n---\na: 1", "second document"),
    ],
)
def test_not_one_mapping(parse, text, words):
    (found,) = diagnostics(parse, text)
    assert found.code.value == "E109"
    assert words in found.message


def test_one_document_may_be_marked(parse):
    assert parse("---\na: 1\n...\n").plain() == {"a": 1}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "{? ", "a: [", '{"a":'])
def test_depth_is_bounded(problems, opening):
    (found,) = problems("x: " * (opening == "[") + opening * 200_000)
    assert found[1] == "E107" if opening != "a: [" else "E104"


def test_depth_is_told_where_it_is_too_much(problems):
    """libyaml refuses 1,001 levels, which it may see before it has told of the first."""
    assert problems("x: " + "[" * 5_000) == [("1:35", "E107")]
    assert problems("x: [é, " + "[" * 5_000) == [("1:38", "E107")]
    assert problems("x: [{a: 1}, 'b[', # c[\n" + "[" * 5_000) == [("2:31", "E107")]
    assert problems("- " * 5_000) == [("1:65", "E107")]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_deepest(parse, form):
    key = "a" if form == "yaml" else '"a"'

    def nested(depth):
        return f"{{{key}: " * depth + "1" + "}" * depth

    parse(nested(MAX_DEPTH))
    assert diagnostics(parse, nested(MAX_DEPTH + 1))[0].code.value == "E107"


def test_texts_are_bounded(parse, problems):
    assert parse("a: " + "x" * MAX_STRING).plain() == {"a": "x" * MAX_STRING}
    assert problems("a: " + "x" * (MAX_STRING + 1)) == [("1:4", "E102")]


def test_values_are_bounded(monkeypatch):
    monkeypatch.setattr(composer, "MAX_VALUES", 3_000)
    with pytest.raises(CnncError) as caught:
        parse_text(Source("f", "[" + "1," * 2_999 + "1]"))
    assert [found.code.value for found in caught.value.diagnostics] == ["E102"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1}',
        '{\t"a"\t:\t1\t,\n\t"b" : [\ttrue , null ]\r\n}',
        r'{"a": "\/ \ud83d\ude00 \u0041 \" \\ \b\f\n\r\t"}',
        '{"' + "k" * 5000 + '": "' + "v" * 5000 + '"}',
        '{"a": "{[,:]}", "b": "\\\\", "": {}, "c": [], "d": [[]]}',
        '{"a": "x\u2028y\x7f\x85\ufeff"}',
        '{"a": -0.0, "b": 1E+2, "c": -12, "d": 1.5e-3, "e": 0}',
        '\n\n  {"a": "# no remark", "b": "<<", "<<": 1, "1": "on", "c": "&x *y !z"}  \n',
    ],
)
def test_json(parse, text):
    assert parse(text).plain() == json.loads(text)


def test_spans_of_json(parse):
    root = parse('{\n\t"a": [1,\t"\\ud83d\\ude00"],\r\n\t"b": {"c": "x\u2028y"}, "d": 2}')
    assert stretch(root.keys["a"]) == (2, 2, 2, 5)
    assert stretch(root.at("a", 1).span) == (2, 11, 2, 25)
    assert stretch(root.at("a").span) == (2, 7, 2, 26)
    assert stretch(root.keys["b"]) == (3, 2, 3, 5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1, "b": 2, "a": 3}', [("1:18", "E105")]),
        ('{"a": 1e400, "b": 99999999999999999999}', [("1:7", "E108"), ("1:19", "E108")]),
        (r'{"a": "\ud83d"}', [("1:7", "E104")]),
        ('{"a": 1', [("1:8", "E104")]),
        ('{"a": 1} {"b": 2}', [("1:10", "E104")]),
        ("[1, 2]", [("1:1", "E109")]),
    ],
)
def test_problems_of_json(problems, text, found):
    assert problems(text) == found


def test_braces_may_begin_yaml(parse):
    assert parse("{a: 1, b: [x, y,], }  # flow").plain() == {"a": 1, "b": ["x", "y"]}


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
documents = st.dictionaries(
    st.text(),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20),
)


@given(documents, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_reads_what_json_writes(data, ascii_only, indent):
    text = json.dumps(data, ensure_ascii=ascii_only, indent=indent)
    assert parse_text(Source("f", text)).plain() == data


@given(st.binary())
def test_bytes_give_data_or_diagnostics(data):
    try:
        parse_text(decode("f", data))
    except CnncError as error:
        assert error.diagnostics  # noqa: PT017


pieces = st.sampled_from(
    [
        *("a", "b: ", "c:", "- ", "? ", ": ", "{", "}", "[", "]", ", ", '"', "'", "#", " # x", "&x ", "*x ", "!t "),
        *("| ", ">", " ", "1", "1e400", ".nan", "~", "<<: ", "%Y", "\\u00", "\\", "é", "@", "`", "$(", ")", "-", "010"),
        *("\n", "\n ", "\n  ", "\n    ", "---\n", "...\n", "|-\n", "\r\n", "\t", "\ud800", "\0"),
    ]
)


@given(st.lists(pieces, max_size=30).map("".join))
def test_both_parsers_agree(text):
    first, *others = (outcome(text, parser) for parser in PARSERS)
    for other in others:
        assert first == other or (isinstance(first, set) and isinstance(other, set))
