"""What the tests of the code's structure know of each module of cnnc: all of it from one pass over the module."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnnc"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
ASKED = ("exists", "is_dir", "is_file", "is_symlink")
HIDDEN = {"pydantic.plugin._loader", "torch.fx.experimental._config", "_guards_code"}  # by their names in strings
OWN = {"self", "cls", "other", "os", "NamedTuple"}
OF_NAMEDTUPLES = {"_replace", "_asdict", "_fields", "_field_defaults"}


@dataclass(frozen=True)
class Facts:
    """The facts of a module.

    `imports`: modules of cnnc; `classes`: those at the top; `names`: all that the code reads, as `os.path.join`;
    `private`: names of other packages; `bare`: calls of pathlib's questions that nothing guards.
    """

    imports: frozenset[str]
    classes: tuple[str, ...]
    names: frozenset[str]
    private: frozenset[str]
    bare: tuple[str, ...]


@cache
def facts(module: str) -> Facts:
    """The facts of a module of cnnc."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    return Facts(
        frozenset(imports(nodes, MODULES)),
        tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
        frozenset(filter(None, map(_dotted, nodes))),
        frozenset(_private(nodes)),
        tuple(_bare_questions(nodes)),
    )


def imports(nodes: Collection[ast.AST], modules: Collection[str]) -> set[str]:
    """The modules that a source imports anywhere, also inside functions and for the type checker alone."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in modules}
        elif isinstance(node, ast.ImportFrom):
            full = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else str(node.module) for name in full}
    return found & {*modules}


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    base = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{base}.{node.attr}" if base and isinstance(node, ast.Attribute) else ""


def _private(nodes: Collection[ast.AST]) -> Iterator[str]:
    """Private names of other packages: imported, or read of an object that is not `self`."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and any(part.startswith("_") for part in str(node.module).split(".")):
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if _is_private(alias.name))
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            base = ast.unparse(node.value)
            if base.split(".")[0] not in OWN and node.attr not in OF_NAMEDTUPLES:
                yield f"{base}.{node.attr}"
        elif isinstance(node, ast.Constant) and node.value in HIDDEN:
            yield str(node.value)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _bare_questions(nodes: Collection[ast.AST]) -> list[str]:
    asking = [
        node
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKED
        if ast.unparse(node.func.value) not in ("os.path", "entry")
    ]
    if not asking:
        return []
    guarded = {
        id(node)
        for block in nodes
        if isinstance(block, ast.With)
        and any(ast.unparse(each.context_expr).startswith(("reading(", "reported(")) for each in block.items)
        for node in ast.walk(block)
    }
    return [f"{node.lineno}: {ast.unparse(node)}" for node in asking if id(node) not in guarded]
