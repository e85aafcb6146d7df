"""How the house is built: imports point one way, light commands stay light, every code has its page."""

import ast
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from PIL import Image

import cnnc
from cnnc.diagnostics import Code
from tests.modules import MODULES, PACKAGE, ROOT, facts, imports

# A room may import those above it, and nothing of cnnc goes round.
ROOMS = [
    "columns",
    "processes",  # child processes, and the end of one
    "version",
    "diagnostics",  # what is wrong, where, and a way out
    "files",  # files opened, written and sealed
    "text",  # a file to values with places
    "formatting",  # values to a file's text
    "pages",  # HTML pages of one file
    "expressions",
    "ops",
    "language",  # values to a Spec
    "project",  # the settings in pyproject.toml
    "graph",
    "analysis",  # what a graph implies
    "diff",
    "drawing",
    "expand",  # a Spec to a proved Graph
    "recover",  # a graph to a spec
    "causes",  # why shapes do not fit
    "passes",
    "targets",
    "weights",
    "verification",
    "artifacts",
    "data",
    "train",
    "inference",
    "precision",  # int8 and fp16 files
    "checking",  # values to a proved Graph and its diagnostics
    "compiler",
    "importing",  # ONNX files of others to specs
    "editor",  # the language server
    "cli",
]

TINY = """
cnnc: 1
name: tiny
input: {image: [1, 8, 8]}
nodes:
  - conv: {out: 2, kernel: 3}
  - relu
  - global_avg_pool
  - flatten
  - linear: {out: 3}
"""


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def test_imports_point_one_way():
    named = [each for each in MODULES if each not in ("cnnc", "cnnc.__main__")]
    assert {room(each) for each in named} <= {*ROOMS}, "a module is in no room: name it in ROOMS"
    place = {each: at for at, each in enumerate(ROOMS)}
    down = {
        f"{module} imports {other}"
        for module in named
        for other in facts(module).imports - {"cnnc"}
        if place.get(room(other), len(ROOMS)) > place[room(module)]
    }
    assert not down


def test_no_imports_go_round():
    turns = TopologicalSorter({each: facts(each).imports - {"cnnc"} for each in MODULES})
    assert [*turns.static_order()]


def test_every_room_is_there():
    assert {room(name) for name in MODULES} - {"", "__main__"} == set(ROOMS)


def test_no_two_classes_have_one_name():
    homes: dict[str, list[str]] = {}
    for module in MODULES:
        for name in facts(module).classes:
            homes.setdefault(name, []).append(module)
    twice = {name: each for name, each in homes.items() if len(each) > 1}
    assert not twice


@pytest.mark.parametrize("room", [each for each in ROOMS if (PACKAGE / each).is_dir()])
def test_every_room_says_what_it_is_for(room):
    about = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))
    assert about
    assert len(about.splitlines()) >= 3


def test_imports_are_seen_wherever_they_stand():
    hidden = "import cnnc.files.write\ndef f():\n    from cnnc import ops\n    from cnnc.graph.graph import Graph\n"
    assert imports([*ast.walk(ast.parse(hidden))], MODULES) == {"cnnc.files.write", "cnnc.ops", "cnnc.graph.graph"}


def modules_of(*arguments, cwd):
    """The top-level packages that a fresh Python imports while it runs `arguments` to a good end."""
    command = [sys.executable, "-X", "importtime", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.split("|")[2].strip().split(".")[0] for line in lines}


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


def test_importing_cnnc_imports_no_framework(tmp_path):
    modules = modules_of("-c", "import cnnc", cwd=tmp_path)
    assert "cnnc" in modules
    assert not modules & {"torch", "onnx", "onnxruntime", "numpy", "PIL", "rich", "networkx"}


def test_check_imports_no_framework(tiny):
    modules = modules_of("-m", "cnnc", "check", tiny, cwd=tiny.parent)
    assert "yaml" in modules
    assert not modules & {"torch", "onnx", "onnxruntime", "numpy", "PIL", "rich", "networkx"}
    assert "email" not in modules, "pydantic has read the metadata of all that is installed, for its plugins"


def test_pydantic_can_ask_for_more_than_plugins(tmp_path):
    program = """
from cnnc import __main__
__main__._disable_pydantic_plugins()
from pydantic.plugin._loader import get_plugins
from pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP
import pydantic.plugin._loader
print(get_plugins(), PYDANTIC_ENTRY_POINT_GROUP, pydantic.plugin._loader.__file__)
"""
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"\(\) pydantic .*_loader\.py\n", done.stdout), done.stderr


def test_infer_imports_neither_torch_nor_networkx(tiny, tmp_path):
    cnnc.build(tiny, targets=["onnx"], out=tmp_path / "build")
    Image.new("L", (8, 8), 100).save(tmp_path / "picture.png")
    modules = modules_of("-m", "cnnc", "infer", "build/tiny/tiny.onnx", "picture.png", cwd=tmp_path)
    assert "onnxruntime" in modules
    assert not modules & {"torch", "networkx", "onnx"}


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_page(code):
    title, _, rest = code.page.partition("\n")
    assert title.startswith(f"# {code.value}")
    assert len(rest.split()) >= 20, "a page says what the code means, shows an example, and the way out"


def test_every_page_has_a_code():
    assert {path.stem for path in (PACKAGE / "diagnostics" / "pages").glob("*.md")} <= {code.value for code in Code}


def test_paths_are_asked_about_by_os_path():
    """Where pathlib raises, of names that are too long or folders that may not be read, os.path says no."""
    bare = {module: facts(module).bare for module in MODULES if facts(module).bare}
    assert not bare, "take os.path.exists, isdir, isfile or islink"
