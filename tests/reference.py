"""The generated parts of the pages in `specs`: the ops, their index, the fields of `train`, the limits, what is absent.

Takes a page and returns it with its parts regenerated, each between `<!-- NAME -->` and `<!-- end NAME -->`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from itertools import groupby
from typing import Any

from cnnc.expand import blocks, infer_node
from cnnc.expand.limits import MAX_LINKS, MAX_NODES
from cnnc.expressions import budget, grammar, operations, strings
from cnnc.language import foreign_ops, imports, names
from cnnc.language.recipe import Train
from cnnc.ops import purposes, registry
from cnnc.ops.describe import attributes, op_page, paragraphs
from cnnc.targets import torch_module
from cnnc.text import composer, source
from tests.agreement.one_node import graph_of
from tests.agreement.rows import rows
from tests.bench import quality


def ops() -> str:
    """All ops, family by family: what each computes, its attributes, and its keys in the state_dict."""
    learned = state()
    return "\n".join(line for family in registry.FAMILIES for line in _family(family, learned)).rstrip()


def _family(family: str, learned: dict[str, list[str]]) -> Iterator[str]:
    module = import_module(f"cnnc.ops.{family}")
    yield f"### {registry.TITLES[family]}\n"
    yield f"{paragraphs(module.__doc__ or '')}\n"
    for name in registry.FAMILIES[family]:
        yield f"#### `{name}`\n\n{op_page(registry.get(name), learned.get(name, []))}\n"


def state() -> dict[str, list[str]]:
    """The state_dict keys of each op, by its name: the keys of all rows of its table."""
    found: dict[str, list[str]] = {}
    for name, group in groupby(rows(), lambda row: row.op):
        if name == "activation":  # it adds what the op that it names adds
            continue
        keys: dict[str, None] = {}
        for row in group:
            module = torch_module.lower(graph_of(row.op, row.attributes, row.shapes))
            keys.update({key.removeprefix("node."): None for key in module.state_dict() if key != "node"})
        found[name] = list(keys)
    return found


def index() -> str:
    """All ops by what they are for, with links."""
    lines = ["| I want to | op | |", "| --- | --- | --- |"]
    for purpose, ops in purposes.index():
        starts = [f"**{purpose}**", *[""] * (len(ops) - 1)]
        for start, (op, words) in zip(starts, ops, strict=True):
            cells = (start, f"[`{op}`](#{op})", words.replace("|", r"\|"))
            lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(lines)


def limits() -> str:
    """The numbers that a spec may not exceed."""
    table: list[tuple[str, int, str]] = [
        ("bytes of a file", source.LIMIT, "E102"),
        ("bytes of all files that a spec uses", source.LIMIT, "E102"),
        ("files that a spec uses", imports.MAX_FILES, "E214"),
        ("values in a file", composer.MAX_VALUES, "E102"),
        ("characters of one string", composer.MAX_STRING, "E102"),
        ("levels of nesting in a file", composer.MAX_DEPTH, "E107"),
        ("characters of a name", names.LONGEST, "E209"),
        ("characters of a path", infer_node.LONGEST_PATH, "E209"),
        ("characters of a string with expressions", grammar.MAX_TEXT, "E211"),
        ("levels of nested brackets in an expression", grammar.MAX_NESTING, "E211"),
        ("elements or characters in an expression's value", operations.MAX_LENGTH, "E212"),
        ("levels of nested lists in an expression's value", operations.MAX_NESTING, "E212"),
        ("elements of all lists that expressions insert into one value", strings.MAX_ELEMENTS, "E212"),
        ("element operations to evaluate all values", budget.MAX_OPERATIONS, "E212"),
        ("levels of nested blocks", blocks.MAX_DEPTH, "E217"),
        ("nodes after expansion", MAX_NODES, "E217"),
        ("inputs and outputs of all nodes and blocks", MAX_LINKS, "E217"),
        ("parameters of a network", infer_node.MAX_PARAMS, "E311"),
        ("elements of one activation", infer_node.MAX_ELEMENTS, "E311"),
    ]
    lines = ["| limit | at most | code |", "| --- | --: | --- |"]
    return "\n".join([*lines, *(f"| {what} | {most:,} | {code} |" for what, most, code in table)])


def train() -> str:
    """The fields of `train`."""
    return attributes(Train)


def absent() -> str:
    """Ops of other frameworks that the language does not have, and what to do instead."""
    names = {", ".join(f"`{name}`" for name in group.split()): help for group, help in foreign_ops.ABSENT.items()}
    return "\n".join(["| op | |", "| --- | --- |", *(f"| {group} | {help} |" for group, help in names.items())])


def measured(table: Callable[[Mapping[str, Any]], str]) -> str:
    """A table of what the recipes reach, from the figures in the repository."""
    results = json.loads(quality.MEASURED.read_text(encoding="utf-8"))
    return table({name: results[name] for name in quality.MEASURES if name in results})


SECTIONS: dict[str, Callable[[], str]] = {
    "train": train,
    "recipes": partial(measured, quality.recipes),
    "ablations": partial(measured, quality.ablations),
    "index": index,
    "ops": ops,
    "limits": limits,
    "absent": absent,
}
PART = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def rewrite(text: str) -> str:
    """The page with its parts written anew."""
    return PART.sub(lambda found: f"{found[1]}{SECTIONS[found[2]]()}\n{found[3]}", text)
