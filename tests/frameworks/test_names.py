"""The page and the help of `cnnc check` agree on the names of other frameworks."""

import ast
import inspect
import re

import pytest
from torch import nn

from cnnc.compiler import check
from cnnc.diagnostics.suggestions import known_as, plain_name
from cnnc.language import foreign_ops
from cnnc.language.foreign_nodes import OPS
from tests.frameworks.page import PAGE, lines

RARE = frozenset(
    """
    Bilinear Container CrossMapLRN2d DataParallel Module ModuleDict ParameterDict ParameterList RNNBase RNNCellBase
    Transformer TransformerDecoder TransformerDecoderLayer
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)
"""Modules of torch that are containers or bases, or that no network of pictures uses."""
MODULES = [
    name
    for name, kind in inspect.getmembers(nn, inspect.isclass)
    if issubclass(kind, nn.Module) and not name.startswith("Lazy") and "Loss" not in name and name not in RARE
]


def name_of(title, construct):
    """The name of a construct that is one call; None for any other."""
    if title == "Darknet":
        kind = re.fullmatch(r"\[activation\] activation=(\w+)", construct)
        return kind[1] if kind else re.match(r"\[(\w+)\]", construct)[1]
    node = ast.parse(construct, mode="eval").body
    node = node.value if isinstance(node, ast.Subscript) else node
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
        node = node.func
    if not isinstance(node, ast.Call) or isinstance(getattr(node.func, "value", None), ast.Call):
        return None
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    return ast.literal_eval(node.args[0]) if name == "Activation" else name


def ops_by_name():
    """The ops of all lines for each name, however it is spelt."""
    found = {}
    for title in ("torch", "ONNX", "Keras", "Darknet"):
        for line in lines(title):
            if name := name_of(title, line.foreign):
                found.setdefault(plain_name(name), []).append((name, line.ops))
    return found


@pytest.mark.parametrize("lines", ops_by_name().values(), ids=ops_by_name())
def test_the_help_for_a_name_is_what_the_page_says(lines):
    name = lines[0][0]
    help = foreign_ops.help_for(name)
    if help:
        assert any(all(f"`{op}`" in help for op in ops) for _, ops in lines)
    else:
        assert any(known_as(name, OPS) in ops for _, ops in lines)


@pytest.mark.parametrize("help", foreign_ops.ABSENT.values(), ids=foreign_ops.ABSENT)
def test_a_check_says_of_a_node_what_the_page_says_of_its_name(help, tmp_path):
    names = next(names for names, each in foreign_ops.ABSENT.items() if each == help)
    for name in names.split():
        spec = tmp_path / "spec.yaml"
        spec.write_text(f"cnnc: 1\ninput: {{image: [3, 8, 8]}}\nnodes:\n  - nn.{name}\n", encoding="utf-8")
        (found,) = check(spec).diagnostics
        assert found.help == help


def test_a_name_has_one_help():
    names = [name for table in (foreign_ops.SEVERAL, foreign_ops.ABSENT) for names in table for name in names.split()]
    assert len({re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}) == len(names)
    assert not {foreign_ops.help_for(op) for op in OPS} - {None}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_of_torch_is_on_the_page_and_known(module):
    """Written out, or with another number of dimensions."""
    assert foreign_ops.help_for(module) or known_as(module, OPS)
    text = PAGE.read_text(encoding="utf-8")
    on_page = {plain_name(each) for each in re.findall(r"\w+", text)}
    assert plain_name(module) in on_page
