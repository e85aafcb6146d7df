"""Which functions of cnnc a test calls, also in the processes that it starts.

A hook on the import of cnnc lets every function tell its name when it is first called. In the process of the tests the
names gather in `called`; processes that a test starts append theirs to the file that the environment names.
"""

import ast
import builtins
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

FILE = "CNNC_CALLED"
TELL = "__cnnc_called__"

called: set[str] = set()


def install() -> None:
    """Hook the import of cnnc, where the environment names a file."""
    if FILE in os.environ:
        setattr(builtins, TELL, _tell)
        sys.meta_path.insert(0, Hook)


def _tell(name: str) -> None:
    if name not in called:
        called.add(name)
        if path := os.environ.get(FILE):
            with open(path, "a", encoding="utf-8") as file:
                file.write(name + "\n")


class Hook(PathFinder):
    """Finds cnnc's modules, and has them loaded by Loader."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("cnnc."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.origin and spec.origin.endswith(".py"):
            spec.loader = Loader(fullname, spec.origin)
        return spec


class Loader(SourceFileLoader):
    """Loads a module whose functions tell that they are called. Their source stays as it is, for who looks at it."""

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        return compile(telling(source, self.name), self.path, "exec", dont_inherit=True)


def telling(source: bytes, module: str) -> ast.Module:
    """The module with a call of TELL at the head of each function, with the name that `Fault.scope` has too."""
    tree = ast.parse(source)
    _tell_in(tree, module.replace(".", "/") + ".py:", ())
    return ast.fix_missing_locations(tree)


def _tell_in(node: Any, prefix: str, scope: tuple[str, ...]) -> None:
    for child in ast.iter_child_nodes(node):
        within = (*scope, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else scope
        _tell_in(child, prefix, within)
        if isinstance(child, ast.FunctionDef):
            call = ast.Call(ast.Name(TELL, ast.Load()), [ast.Constant(prefix + ".".join(within))], [])
            child.body.insert(1 if ast.get_docstring(child) is not None else 0, ast.Expr(call))
