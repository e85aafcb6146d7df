"""Expressions in spec strings: what they give, what they refuse, and the place each refusal points at."""

import operator
import string
import sys
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnnc.diagnostics import CnncError, Code, Diagnostic, Source, Span
from cnnc.expressions.budget import Work
from cnnc.expressions.strings import evaluate, evaluate_value, is_expression, references
from cnnc.text.value import Value


class Scope:
    """Parameters and the sizes of nodes, from two dictionaries."""

    def __init__(self, variables: Mapping[str, object], nodes: Mapping[str, Mapping[str, int]]) -> None:
        self.variables, self.nodes, self.work = variables, nodes, Work(sys.maxsize)

    def variable(self, name: str) -> object:
        return self.variables[name]

    def attribute(self, name: str, attribute: str) -> int:
        sizes = self.nodes[name]
        if attribute not in sizes:
            raise CnncError.of(Code.UNKNOWN_SIZE, f"{name} has no known {attribute}")
        return sizes[attribute]

    def names(self) -> Iterable[str]:
        return [*self.variables, *self.nodes]

    def spend(self, operations: int) -> None:
        self.work.spend(operations)


SCOPE = Scope(
    {"i": 1, "n": 4, "channels": 64, "act": "relu", "on": True, "none": None, "sizes": [3, 5, 7], "rate": 0.5}
    | {"mapping": {"a": 1}, "pair": (1, 2)},
    {"input": {"channels": 32, "height": 8, "width": 6}, "fc": {"features": 10}},
)
BIG = 2**63


def span_of(text: str, written: str | None = None, before: str = "out: ") -> Span:
    line = before + (text if written is None else written)
    return Span(Source("spec.yaml", line), 1, len(before) + 1, 1, len(line) + 1)


def value_of(text: str) -> object:
    return evaluate(text, span_of(text), SCOPE)


def fault_of(text: str, span: Span | None = None) -> Diagnostic:
    with pytest.raises(CnncError) as caught:
        evaluate(text, span or span_of(text), SCOPE)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def marked(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    assert span is not None
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$channels", 64),
        ("$none", None),
        ("$on", True),
        ("$pair", [1, 2]),
        ("$(2 if i == 0 else 1)", 1),
        ("$(input.channels * 2)", 64),
        ("$(input.height // 3 + input.width % 4)", 4),
        ("$(fc.features)", 10),
        ("$(6 / 2)", 3.0),
        ("$(int(6 / 2))", 3),
        ("$(round(2.5) + floor(2.7) + ceil(2.1) + abs(-1) + len(sizes))", 11),
        ("$(min(3, 1) + max(sizes))", 8),
        ("$(2 ** -1)", 0.5),
        ("$(-2 ** 2)", -4),
        ("$(sizes[i] + sizes[-1])", 12),
        ("$(act[0] + 'x' * 2)", "rxx"),
        ("$([1] * 2 + [channels])", [1, 1, 64]),
        ("$(0 < i < n and not i >= n)", True),
        ("$(3 < i < 1 // 0)", False),
        ("$(0 < 5 < 3)", False),
        ("$(sizes[-3])", 3),
        ("$(i in [1, 2] and i not in [3])", True),
        ("$(on or 1 // 0)", True),
        ("$(on and not false and (none == null or 1 // 0))", True),
        ("$(false or on and false)", False),
        ("$('a' if i else null)", "a"),
        ("$(not none and not 0 and not [])", True),
        ("$(1 if true else 1 // 0)", 1),
        ("$(true == 1 or [true] == [1] or true in [1])", False),
        ("$(null == none and 1 == 1.0)", True),
        ("$(none != 1 and None == null and False == false)", True),
        ("$('a)b' + \"(c\")", "a)b(c"),
        ("$(\n  1 +\n  2 )", 3),
        ("$( 'größe' )", "größe"),
    ],
)
def test_a_whole_expression_keeps_its_type(text: str, expected: object) -> None:
    result = value_of(text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("denselayer$(i + 1)", "denselayer2"),
        ("conv$i", "conv1"),
        ("$i$n", "14"),
        ("$act.$on.$rate", "relu.true.0.5"),
        ("$$", "$"),
        ("costs $$5, $$(i)", "costs $5, $(i)"),
        ("$$$i", "$1"),
        ("a)$(len('))'))(", "a)2("),
    ],
)
def test_expressions_within_a_text_are_filled_in(text: str, expected: str) -> None:
    assert value_of(text) == expected


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("a $ b", "$", "neither a name nor an expression"),
        ("${i}", "$", "neither a name nor an expression"),
        ("$(1 + 2", "(", "never closed"),
        ("$('a)", "'", "is not allowed"),
        (r"$('\'')", "'", "is not allowed"),
        ("$()", "()", "empty"),
        ("$(1, 2)", "(1, 2)", "square brackets"),
        ("$(i; n)", ";", "is not allowed"),
        ("$(sizes[0:1])", ":", "is not allowed"),
        ("$({i})", "{", "is not allowed"),
        ("$(i && n)", "&", "is not allowed"),
        ("$(lambda: 1)", ":", "is not allowed"),
        ("$(1 # one)", "#", "is not allowed"),
        ("$(größe)", "ö", "is not allowed"),
        ("$(1 + i.real)", "i.real", "no `.real`"),
        ("$(act.__class__)", "act.__class__", "no `.__class__`"),
        ("$('a'.channels)", "'a'.channels", "not part"),
        ("$(input.channels.width)", "input.channels.width", "not part"),
        ("$(minn(1, 2))", "minn(1, 2)", "did you mean `min`?"),
        ("$(__import__('os'))", "__import__('os')", "no function"),
        ("$(max(1, 2, key=len))", "max(1, 2, key=len)", "not part"),
        ("$(max(*sizes))", "*sizes", "not part"),
        ("$(sizes[0]())", "sizes[0]()", "not part"),
        ("$([x for x in sizes])", "[x for x in sizes]", "not part"),
        ("$(x for x in sizes)", "(x for x in sizes)", "not part"),
        ("$(n is none)", "n is none", "not part"),
        ("$(1 << 70)", "1 << 70", "not part"),
        ("$(1j)", "1j", "not part"),
        ("$(b'a')", "b'a'", "not part"),
        ("$(f'a')", "f'a'", "not part"),
        ("$(yield)", "yield", "not part"),
        ("$(...)", "...", "not part"),
        ("$(1 if on else (n is none))", "n is none", "not part"),
        ("$('größe' + n.real)", "n.real", "no `.real`"),
        ("name$(1)$(2 << 1)", "2 << 1", "not part"),
    ],
)
def test_what_is_no_expression_is_refused_at_its_place(text: str, where: str, says: str) -> None:
    diagnostic = fault_of(text)
    assert diagnostic.code is Code.BAD_EXPRESSION
    assert says in diagnostic.message
    assert marked(diagnostic) == where


@pytest.mark.parametrize("text", ["$(1 +)", "$(i = 1)", "$(1if on else 2)", "$(010)", "$([)])", "$(if)", "$('a\nb')"])
def test_what_python_cannot_parse_is_refused(text: str) -> None:
    diagnostic = fault_of(text)
    assert diagnostic.code is Code.BAD_EXPRESSION
    assert "is not an expression" in diagnostic.message


def test_an_equals_sign_is_explained() -> None:
    assert "==" in str(fault_of("$(2 if i = 1 else 3)").help)
    assert fault_of("$(2 if i == 1 else)").help is None


@pytest.mark.parametrize(
    "text",
    [
        "$(" + "(" * 100_000,
        "$(" + "(" * 30 + "1" + ")" * 30 + ")",
        "$(" + "[" * 20 + "]" * 20 + ")",
        "$(" + "-" * 1900 + "1)",
        "$(" + "not " * 400 + "1)",
        "$(1" + "+1" * 900 + ")",
        "$(1" + "**1" * 600 + ")",
        "$(1" + " if on else 1" * 150 + ")",
        "$(" + "min(" * 100 + ")",
        "$(sizes" + "[0]" * 600 + ")",
        "x" * 3_000 + "$i",
        "$i" * 200_000,
    ],
)
def test_text_and_nesting_are_bounded(text: str) -> None:
    assert fault_of(text).code is Code.BAD_EXPRESSION


def test_reasonable_nesting_is_not_refused() -> None:
    assert value_of("$(" + "(" * 15 + "1" + ")" * 15 + "+ 1" * 40 + ")") == 41


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("$(9 ** 9 ** 9)", "9 ** 9 ** 9", "64 bits"),
        ("$((-2) ** 64)", "(-2) ** 64", "64 bits"),
        (f"$(1 + {BIG})", str(BIG), "64 bits"),
        (f"$({BIG - 1} + 1)", f"{BIG - 1} + 1", "64 bits"),
        ("$(int(1e300))", "int(1e300)", "64 bits"),
        ("$('a' * 10 ** 9)", "'a' * 10 ** 9", "limit"),
        ("$(10 ** 9 * [0])", "10 ** 9 * [0]", "limit"),
        ("$([[0] * 1000] * 1000)", "[[0] * 1000] * 1000", "limit"),
        ("$(['a' * 6000 + 'b' * 6000])", "'a' * 6000 + 'b' * 6000", "limit"),
        ("$(1e400)", "1e400", "finite"),
        ("$(1e308 * 10)", "1e308 * 10", "finite"),
        ("$(10.0 ** 400)", "10.0 ** 400", "too large"),
        ("$((-8) ** 0.5)", "(-8) ** 0.5", "real"),
        ("$(1 + 1 // (i - 1))", "1 // (i - 1)", "division by zero: 1 // 0"),
        ("$(1 % 0)", "1 % 0", "division by zero"),
        ("$(0 ** -1)", "0 ** -1", "division by zero"),
        ("$(2 * (1 + on))", "1 + on", "an integer and a boolean"),
        ("$(true + 1)", "true + 1", "a boolean and an integer"),
        ("$(-on)", "-on", "a boolean"),
        ("$('a' * on)", "'a' * on", "a string and a boolean"),
        ("$('%d' % 1)", "'%d' % 1", "a string and an integer"),
        ("$(none * 2)", "none * 2", "null and an integer"),
        ("$(none or act)", "none", "`or` takes booleans, not null"),
        ("$(false or act)", "act", "`or` takes booleans, not a string"),
        ("$(on and i)", "i", "`and` takes booleans, not an integer"),
        ("$(not 'No')", "'No'", "`not` takes booleans, not a string"),
        ("$(1 if 'off' else 2)", "'off'", "`if` takes booleans, not a string"),
        ("$(1 if i < 2 and 1 + n else 2)", "1 + n", "`and` takes booleans, not an integer"),
        ("$('a' < 1)", "'a' < 1", "a string and an integer"),
        ("$('a' in act)", "'a' in act", "a string"),
        ("$(sizes[3])", "sizes[3]", "index 3"),
        ("$(sizes[4 / 2])", "sizes[4 / 2]", "a float"),
        ("$(sizes[true])", "sizes[true]", "a boolean"),
        ("$(n[0])", "n[0]", "an integer"),
        ("$(int('3'))", "int('3')", "a string"),
        ("$(abs(1, 2))", "abs(1, 2)", "an integer and an integer"),
        ("$(round())", "round()", "nothing"),
        ("$(min([]))", "min([])", "a list"),
        ("$(min(3))", "min(3)", "an integer"),
        ("$(len(3))", "len(3)", "an integer"),
        ("$mapping", "mapping", "a mapping"),
        ("a$none", "none", "null"),
        ("a$(sizes + [i])b", "(sizes + [i])", "a list"),
        ("$(chanels * 2)", "chanels", "did you mean `channels`?"),
        ("conv$ii", "ii", "no `ii`"),
        ("$(inputs.channels)", "inputs.channels", "did you mean `input`?"),
        ("$(channels.width)", "channels.width", "`channels` is an integer"),
        ("$input.channels", "input", "an input or a node"),
        ("$(max)", "max", "a function"),
    ],
)
def test_what_has_no_value_is_refused_at_its_place(text: str, where: str, says: str) -> None:
    diagnostic = fault_of(text)
    assert diagnostic.code is Code.FAILED_EXPRESSION
    assert says in diagnostic.message
    assert marked(diagnostic) == where


def test_a_node_without_a_size_is_told_how_to_ask() -> None:
    assert "$(input.channels)" in str(fault_of("$(input * 2)").help)


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert str(fault_of("$zzz").help).startswith("the names in scope are act, channels, fc, i, input")


def test_what_the_lookup_finds_wrong_is_passed_on_with_a_place() -> None:
    diagnostic = fault_of("$(fc.width + 1)")
    assert diagnostic.code is Code.UNKNOWN_SIZE
    assert marked(diagnostic) == "$(fc.width + 1)"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_places_within_quoted_scalars(quote: str) -> None:
    text = "a$(1 + on)"
    assert marked(fault_of(text, span_of(text, f"{quote}{text}{quote}"))) == "1 + on"


def test_the_whole_value_is_marked_where_the_source_spells_it_differently() -> None:
    text = "$(1 + 'b' * on)"
    written = "'$(1 + ''b'' * on)'"
    assert marked(fault_of(text, span_of(text, written))) == written
    folded = Span(Source("spec.yaml", "$(1 +\n on)"), 1, 1, 2, 5)
    assert fault_of("$(1 + on)", folded).span == folded


def test_is_expression() -> None:
    assert is_expression("$$")
    assert is_expression("a$i")
    assert not is_expression("a(i)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input.channels", set()),
        ("$channels", set()),
        ("$(channels + len(sizes))", set()),
        ("$(a.channels if b.width > 1 else max(c.height, a.features))", {"a", "b", "c"}),
        ("x$(a.channels)y$(b.width)", {"a", "b"}),
        ("$$(a.channels)", set()),
        ("$(a.channels", set()),
    ],
)
def test_references(text: str, expected: set[str]) -> None:
    assert references(text) == expected


def tree(data: object, span: Span) -> Value:
    if isinstance(data, dict):
        return Value({key: tree(entry, span) for key, entry in data.items()}, span, dict.fromkeys(data, span))
    if isinstance(data, list):
        return Value(tuple(tree(element, span) for element in data), span)
    assert data is None or isinstance(data, bool | int | float | str)
    return Value(data, span)


def test_a_tree_is_evaluated_and_shares_what_is_untouched() -> None:
    span = span_of("")
    before = tree({"a": ["$i", "x$n"], "b": {"c": [1, "d"]}, "e": "$([1, [act]])", "$i": None}, span)
    after = evaluate_value(before, SCOPE)
    assert after.plain() == {"a": [1, "x4"], "b": {"c": [1, "d"]}, "e": [1, ["relu"]], "$i": None}
    assert after.keys == before.keys
    assert after.at("b") is before.at("b")
    assert after.at("e", 1, 0).span is span
    assert isinstance(after.at("e").data, tuple)
    assert before.at("a", 0).data == "$i"


def test_a_tree_without_expressions_is_returned_itself() -> None:
    before = tree({"a": [1, "x", {"b": None}]}, span_of(""))
    assert evaluate_value(before, SCOPE) is before


def test_all_that_is_wrong_in_a_tree_is_reported() -> None:
    with pytest.raises(CnncError) as caught:
        evaluate_value(tree({"a": ["$nope", "$i"], "b": "$(1 +)", "c": "$(1 / 0)"}, span_of("")), SCOPE)
    codes = [diagnostic.code for diagnostic in caught.value.diagnostics]
    assert codes == [Code.FAILED_EXPRESSION, Code.BAD_EXPRESSION, Code.FAILED_EXPRESSION]


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod}
Sum = tuple[str, int | None]


def combine(parts: tuple[Sum, str, Sum]) -> Sum:
    (left, a), symbol, (right, b) = parts
    text = f"({left} {symbol} {right})"
    if a is None or b is None or (b == 0 and symbol in ("//", "%")):
        return text, None
    result = OPERATORS[symbol](a, b)
    return text, result if -BIG <= result < BIG else None


SUMS: st.SearchStrategy[Sum] = st.recursive(
    st.integers(-10_000, 10_000).map(lambda number: (str(number), number)) | st.sampled_from([("i", 1), ("n", 4)]),
    lambda inner: st.tuples(inner, st.sampled_from(sorted(OPERATORS)), inner).map(combine),
    max_leaves=12,
)


@given(SUMS)
def test_integer_arithmetic_is_pythons_own_within_bounds(case: Sum) -> None:
    text, expected = case
    if expected is None:
        assert fault_of(f"$({text})").code is Code.FAILED_EXPRESSION
    else:
        assert value_of(f"$({text})") == expected
        assert value_of(f"x$({text})") == f"x{expected}"


def assert_safe(text: str) -> None:
    assert isinstance(references(text), frozenset)
    try:
        result = value_of(text)
    except CnncError:
        return
    assert result is None or isinstance(result, bool | int | float | str | list)


@given(st.text())
@example("$('\ud800')")
@example("$(\x00)")
@example("$(1\r+1 +\x0c on)")
def test_any_text_gives_a_value_or_a_diagnostic(text: str) -> None:
    assert_safe(text)
    assert_safe(f"$({text})")


PIECES = [
    "i",
    "n",
    "sizes",
    "act",
    "on",
    "none",
    "input.channels",
    "1",
    "2.5",
    "9",
    "'a'",
    "(",
    ")",
    "[",
    "]",
    ",",
    " ",
]
PIECES += [
    *OPERATORS,
    "**",
    "/",
    "<",
    "==",
    " in ",
    " not ",
    " and ",
    " if ",
    " else ",
    "max(",
    "len(",
    "int(",
    "lambda",
]
PIECES += [" for ", ":", "$", "f'", "=", "!=", ".", "é", "\\", *string.whitespace]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_sequence_of_tokens_gives_a_value_or_a_diagnostic(code: str) -> None:
    assert_safe(f"$({code})")
