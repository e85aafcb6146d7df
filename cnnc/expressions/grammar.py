"""The grammar of expressions: `$name`, `$(2 * channels)`, `conv$(i + 1)`, and `$$` for a dollar sign.

Takes a string from a spec; returns its literal parts and its expressions as checked trees of Python's `ast`, or raises
a `Fault` (E211) with its place. First the characters and then the nodes are checked against an allow-list. Length and
nesting are limited before Python parses the text, so that no string can cause harm. Code that walks a tree can rely on
these checks.
"""

import ast
import re
from collections.abc import Iterable
from typing import NamedTuple

from cnnc.diagnostics import Code
from cnnc.diagnostics.suggestions import nearest
from cnnc.expressions.operations import BINARY, COMPARISONS, FUNCTIONS, UNARY, Fault

MAX_TEXT = 2_000
MAX_NESTING = 20  # brackets within brackets
MAX_DEPTH = 60  # nodes within nodes: `1 + 1 + …` nests without any bracket
COUNTERS = ("i", "n")  # the variables of `repeat` and `each`
ATTRIBUTES = ("channels", "height", "width", "features", "tokens")

_DOLLAR = re.compile(r"\$(?:(?P<literal>\$)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<open>\())?")
_TOKEN = re.compile(
    r""" "[^"\\]*" | '[^'\\]*' | != | (?P<open>[(\[]) | (?P<close>[)\]])
    | [A-Za-z0-9_.+\-*/%<>=,\s] | (?P<alien>.) """,
    re.VERBOSE | re.ASCII,
)
_WORD = re.compile(r'"[^"]*"|\'[^\']*\'|\.?\d[\w.]*?(?P<joined>and|else|for|if|in|is|not|or)|[\w.]+', re.ASCII)
_QUOTES = "end a string with the quote that it began with, and use no backslash"
_HINTS = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "^": "write a power as `**`",
    "?": "write a choice as `a if condition else b`",
    ":": "slices are not supported; write an element as `sizes[0]`",
    "\\": _QUOTES,
    "'": _QUOTES,
    '"': _QUOTES,
}
_PLAIN = (ast.Name, ast.BoolOp, ast.IfExp, ast.List, ast.Subscript)
_LANGUAGE = (
    "an expression can contain numbers, strings, lists, parameters, sizes such as `input.channels`, arithmetic, "
    f"comparisons, `and or not`, `a if c else b`, and the functions {', '.join(FUNCTIONS)}"
)


class Expression(NamedTuple):
    """A parsed expression: `code` begins at `start` in the whole string.

    `size` is the number of nodes of its tree, `variables` the names whose values it reads, and `references` the names
    whose sizes it reads.
    """

    start: int
    code: str
    node: ast.expr
    size: int = 0
    variables: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()

    @property
    def extent(self) -> tuple[int, int]:
        """The range of the whole expression: start and end."""
        return self.start, self.start + len(self.code)

    def extent_of(self, node: ast.expr) -> tuple[int, int]:
        """The range of `node` in the whole string; `ast` counts in bytes of UTF-8."""
        if node.lineno != 1 or node.end_lineno != 1 or node.end_col_offset is None:
            return self.extent
        code = self.code.encode()
        first, last = (len(code[:column].decode()) for column in (node.col_offset, node.end_col_offset))
        return self.start + first, self.start + last

    def written(self, node: ast.expr) -> str:
        """The source text of `node`."""
        first, last = self.extent_of(node)
        return self.code[first - self.start : last - self.start]


def parse(text: str) -> tuple[str | Expression, ...]:
    """Split a string into literal text and expressions; empty literals are omitted. Raises Fault."""
    if len(text) > MAX_TEXT:
        raise _malformed(
            f"a string with expressions may have at most {MAX_TEXT:,} characters, this has {len(text):,}", None
        )
    parts: list[str | Expression] = []
    end = 0
    while dollar := _DOLLAR.search(text, end):
        parts.append(text[end : dollar.start()])
        start, end = dollar.start() + 1, dollar.end()
        if dollar["literal"]:
            parts.append("$")
            continue
        if not dollar.lastgroup:
            hint = "write `$name` or `$(expression)`, and `$$` for a dollar sign"
            raise _malformed("this `$` is followed by neither a name nor an expression", dollar.span(), hint)
        if dollar["open"]:
            end = _closing(text, start)
        parts.append(_parse_code(text[start:end], start))
    return tuple(part for part in (*parts, text[end:]) if part != "")


def _closing(text: str, start: int) -> int:
    """The end of the bracketed text that begins at `start`; brackets within quotes do not count."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token["alien"]:
            message = f"`{token[0]}` is not allowed in an expression"
            raise _malformed(message, token.span(), _HINTS.get(token[0], _LANGUAGE))
        depth += bool(token["open"]) - bool(token["close"])
        if depth > MAX_NESTING:
            raise _malformed(f"brackets nest deeper than {MAX_NESTING}", token.span())
        if depth == 0:
            return token.end()
    raise _malformed("this bracket is never closed", (start, start + 1))


def _parse_code(code: str, start: int) -> Expression:
    """Parse `name` or `(expression)` to a checked tree."""
    for word in _WORD.finditer(code):
        if word["joined"]:  # Python only warns of `1if x else 2`
            raise _not_parsed(code, start, word.start("joined") - 1)
    try:
        expression = Expression(start, code, ast.parse(code, mode="eval").body)
    except SyntaxError as error:
        raise _not_parsed(code, start, (error.offset or 1) - 1 if error.lineno == 1 else None) from None
    except (ValueError, RecursionError, MemoryError):
        raise _malformed("this is too complex for an expression", (start, start + len(code))) from None
    return _checked(expression)


def _not_parsed(code: str, start: int, offset: int | None) -> Fault:
    """Return the fault of an expression that Python cannot parse, at `offset` in its code."""
    hint = "write equality as `==`" if re.search(r"(?<![=<>!])=(?!=)", code) else None
    first = start + min(max(offset or 0, 0), len(code) - 1)
    extent = None if offset is None else (first, first + 1)
    return _malformed(f"`{_shortened(code)}` is not an expression", extent, hint)


def _checked(expression: Expression) -> Expression:
    """Check every node, also in unused branches, against the allow-list; fills in `size` and the names."""
    pending = [(expression.node, 1)]
    size = 0
    variables, references = set(), set()
    while pending:
        node, depth = pending.pop()
        size += 1
        if depth > MAX_DEPTH:
            raise _malformed(f"operations nest deeper than {MAX_DEPTH}", expression.extent)
        if objection := _objection(node):
            raise _malformed(objection, expression.extent_of(node), _LANGUAGE)
        match node:
            case ast.Name():
                variables.add(node.id)
            case ast.Attribute(value=ast.Name(id=name)):
                references.add(name)
                size += 1
            case ast.Constant(value=int() | float()):
                if "_" in expression.code and "_" in expression.written(node):
                    raise _malformed("a number cannot contain `_`", expression.extent_of(node), "write only its digits")
            case _:
                pending += [(child, depth + 1) for child in _operands(node)]
    return expression._replace(size=size, variables=frozenset(variables), references=frozenset(references))


def _operands(node: ast.expr) -> Iterable[ast.expr]:
    """The operands of a node, without the name of a function."""
    match node:
        case ast.BinOp():
            return node.left, node.right
        case ast.UnaryOp():
            return (node.operand,)
        case ast.Call():
            return node.args
        case ast.List():
            return node.elts
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _objection(node: ast.expr) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(), attr=attribute) if attribute not in ATTRIBUTES:
            return f"there is no `.{attribute}`, only {', '.join(f'`.{known}`' for known in ATTRIBUTES)}"
        case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
            return f"there is no function `{name}`{meant(name, FUNCTIONS)}"
        case ast.Tuple(elts=[]):
            return "the expression is empty"
        case ast.Tuple():
            return "a list must be in square brackets"
        case ast.Constant(value=value):
            allowed = value is None or isinstance(value, bool | int | float | str)
        case ast.BinOp() | ast.UnaryOp():
            allowed = type(node.op) in (*BINARY, *UNARY)
        case ast.Compare(ops=operations):
            allowed = all(type(operation) in COMPARISONS for operation in operations)
        case ast.Attribute(value=value) | ast.Call(func=value, keywords=[]):
            allowed = isinstance(value, ast.Name)
        case _:
            allowed = isinstance(node, _PLAIN)
    return None if allowed else "this is not part of the expression language"


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a message that proposes the nearest known name; empty if none is near."""
    near = nearest(name, known)
    return f", did you mean `{near}`?" if near else ""


def _shortened(code: str) -> str:
    return code if len(code) <= 60 else f"{code[:59]}…"


def _malformed(message: str, extent: tuple[int, int] | None, help: str | None = None) -> Fault:
    return Fault(message, extent, code=Code.BAD_EXPRESSION, help=help)
