"""The small faults that can be planted in a source: what each replaces, and by what.

In: the text of a module. Out: its `Fault`s in the order of the text. What is for readers and tools
alone stays as it is: annotations (but for the calls in them, which bound values), decorators, docstrings, assertions,
texts, and what `if TYPE_CHECKING` holds.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: (r"<", "<="),
    ast.LtE: (r"<=", "<"),
    ast.Gt: (r">", ">="),
    ast.GtE: (r">=", ">"),
    ast.Eq: (r"==", "!="),
    ast.NotEq: (r"!=", "=="),
    ast.Is: (r"is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: (r"in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
OPERATORS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: (r"-", "+"),
    ast.Mult: (r"\*", "//"),
    ast.Div: (r"/", "*"),
    ast.FloorDiv: (r"//", "*"),
    ast.Mod: (r"%", "//"),
    ast.Pow: (r"\*\*", "*"),
    ast.BitOr: (r"\|", "&"),
    ast.BitAnd: (r"&", "|"),
    ast.LShift: (r"<<", ">>"),
    ast.RShift: (r">>", "<<"),
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
IDLE = ("strict",)  # arguments that only guard what holds anyway
SYMMETRIC = ("gcd", "lcm", "max", "min")  # functions whose arguments have no order


@dataclass(frozen=True)
class Fault:
    """Bytes `start` to `end` of a module become `text`. `scope` is the function or class around it, dotted."""

    path: str
    kind: str
    scope: str
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """The module with the fault in it."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def lines(self, source: bytes) -> tuple[int, str, str]:
        """The number of the line that it stands in, and what that line was and becomes; of several lines, the first."""
        first = source.rfind(b"\n", 0, self.start) + 1
        changed = self.applied(source)
        number = source.count(b"\n", 0, self.start) + 1
        before, after = (text[first:].partition(b"\n")[0].decode().strip() for text in (source, changed))
        if before == after:  # the change is further down: the lines from here to there, as one
            before, after = (" ".join(text[first : self.end + 1].decode().split()) for text in (source, changed))
        return number, before, after


def faults(path: str, source: bytes) -> list[Fault]:
    """All faults that can be planted in a module."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda each: (each.start, each.end, each.text))


class _Finder(ast.NodeVisitor):
    """Walks over a module and notes what can be changed where."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path, self._source = path, source
        self._starts = [0, *(match.end() for match in re.finditer(rb"\n", source))]
        self._scope: list[str] = []
        self._attributes: list[dict[tuple[str, bool], list[str]]] = []
        self.found: list[Fault] = []

    def visit_Module(self, node: ast.Module) -> None:
        self._attributes.append(_attributes(node))
        self._statements(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._named(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        self._named(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for call in ast.walk(node.annotation):
            if isinstance(call, ast.Call):
                self.visit(call)
        if node.value:
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        """It only says what holds."""

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self._condition(node.test)
            self.visit(node.test)
            self._statements(node.body)
        self._statements(node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._add("statement", *self._span(node), "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._between("operator", node.target, node.value, OPERATORS.get(type(node.op)), "=")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            self._between("comparison", left, right, COMPARISONS[type(op)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not any(isinstance(each, ast.JoinedStr) or _is_text(each) for each in (node.left, node.right)):
            self._between("operator", node.left, node.right, OPERATORS.get(type(node.op)))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        words = (r"and", "or") if isinstance(node.op, ast.And) else (r"or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between("operator", left, right, words)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        start, _ = self._span(node)
        if isinstance(node.op, ast.Not):
            self._add("not", start, start + len("not"), "")
        elif isinstance(node.op, ast.USub):
            self._add("constant", start, start + len("-"), "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add("constant", *self._span(node), str(not node.value))
        elif isinstance(node.value, int):
            for other in (node.value + 1, node.value - 1):
                self._add("constant", *self._span(node), str(other))
        elif isinstance(node.value, float):
            self._add("constant", *self._span(node), repr(node.value * 2 or 1.0))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        index = node.slice
        if isinstance(index, ast.Constant) and isinstance(index.value, int):
            self._add("index", *self._span(index), "0" if index.value else "1")
        elif isinstance(index, ast.UnaryOp):
            self._add("index", *self._span(index), "0")
        else:
            self.visit(index)
        self.visit(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            others = self._others(node, called=False)
            _, end = self._span(node)
            for other in others:
                self._add("attribute", end - len(node.attr.encode()), end, other)
        self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in FUNCTIONS:
            self._add("function", *self._span(node), FUNCTIONS[node.id])

    def visit_Call(self, node: ast.Call) -> None:
        self._arguments(node)
        if isinstance(node.func, ast.Attribute):
            _, end = self._span(node.func)
            for other in self._others(node.func, called=True):
                self._add("attribute", end - len(node.func.attr.encode()), end, other)
            self.visit(node.func.value)
        else:
            self.visit(node.func)
        for each in (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg not in IDLE)):
            self.visit(each)

    def _arguments(self, node: ast.Call) -> None:
        """An argument less, or the first two in each other's place."""
        plain = [each for each in node.args if not isinstance(each, ast.Starred)]
        given: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
        spans = [self._span(each) for each in given]
        for index, keyword in enumerate(node.keywords, len(node.args)):
            if keyword.arg and keyword.arg not in IDLE:
                self._add("argument", *self._with_comma(spans, index), "")
        if len(node.args) > 1:
            self._add("argument", *self._with_comma(spans, len(node.args) - 1), "")
        ordered = not (isinstance(node.func, ast.Name) and node.func.id in SYMMETRIC)
        if ordered and len(plain) > 1 and plain == node.args:
            (start, middle), (again, end) = spans[:2]
            text = self._source[again:end] + self._source[middle:again] + self._source[start:middle]
            self._add("order", start, end, text.decode())

    def _with_comma(self, spans: list[tuple[int, int]], index: int) -> tuple[int, int]:
        start, end = spans[index]
        if index:
            return spans[index - 1][1], end
        return start, spans[1][0] if len(spans) > 1 else end

    def _condition(self, test: ast.expr) -> None:
        if not isinstance(test, ast.Compare | ast.UnaryOp):  # these are turned round as such
            start, end = self._span(test)
            self._add("not", start, end, f"not ({self._source[start:end].decode()})")

    def _between(
        self, kind: str, left: ast.expr, right: ast.expr, words: tuple[str, str] | None, behind: str = ""
    ) -> None:
        """Exchange the operator that stands between two operands."""
        if words is None:
            return
        (_, start), (end, _) = self._span(left), self._span(right)
        pattern = rf"(?<![\w<>=!*/]){words[0]}(?![\w<>!*/]){re.escape(behind)}"
        match = re.search(pattern.encode(), self._source[start:end])
        if match:
            self._add(kind, start + match.start(), start + match.end(), words[1] + behind)

    def _others(self, node: ast.Attribute, *, called: bool) -> list[str]:
        """The attribute of the same value that is used next in the class or function around, if there is one."""
        names = self._attributes[-1].get((ast.dump(node.value), called), [])
        index = names.index(node.attr) if node.attr in names else 0
        following = names[index + 1 :] + names[:index]
        return following[:1]

    def _named(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self._scope.append(node.name)
        self._attributes.append(_attributes(node))
        self._statements(node.body)
        self._attributes.pop()
        self._scope.pop()

    def _statements(self, body: Iterable[ast.stmt]) -> None:
        for each in body:
            self.visit(each)

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _add(self, kind: str, start: int, end: int, text: str) -> None:
        self.found.append(Fault(self._path, kind, ".".join(self._scope), start, end, text))


def _attributes(scope: ast.AST) -> dict[tuple[str, bool], list[str]]:
    """By value and whether they are called: the names of its attributes, in the order of the text."""
    called = {id(node.func) for node in ast.walk(scope) if isinstance(node, ast.Call)}
    names: dict[tuple[str, bool], list[str]] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            seen = names.setdefault((ast.dump(node.value), id(node) in called), [])
            if node.attr not in seen:
                seen.append(node.attr)
    return names


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
