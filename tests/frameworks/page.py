"""The tables of `specs/FROM_OTHER_FRAMEWORKS.md`: constructs of other frameworks, and the cnnc nodes for each."""

import re
from math import prod
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "specs/FROM_OTHER_FRAMEWORKS.md"
NAMES = ("x", "y", "z")


class Line(NamedTuple):
    """A line of a table: the foreign construct, the nodes, and the shapes of their inputs `x`, `y` and `z`."""

    foreign: str
    nodes: list[str]
    shapes: tuple[tuple[int, ...], ...]
    note: str

    @property
    def ops(self) -> list[str]:
        """The ops of the nodes, in order."""
        return [each.partition(":")[0] for each in self.nodes]

    def spec(self, outputs: int = 1) -> str:
        """A spec of the nodes, whose last node has this number of outputs. Its inputs are vectors of all elements."""
        inputs = dict(zip(NAMES, self.shapes, strict=False))
        shapes = ", ".join(f"in_{name}: [{prod(shape)}]" for name, shape in inputs.items())
        given = [f"reshape: {{name: {name}, from: in_{name}, shape: {[*shape]}}}" for name, shape in inputs.items()]
        ports = ", ".join(f"{self.ops[-1]}.{port}" for port in range(outputs))
        named = f"outputs: [{ports}]\n" if outputs > 1 else ""
        written = "".join(f"  - {each}\n" for each in [*given, *self.nodes])
        return f"cnnc: 1\nname: line\ninputs: {{{shapes}}}\n{named}nodes:\n{written}"


def section(title: str) -> str:
    """The text of a section of the page, by its title."""
    parts = re.split(r"^## (.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows(title: str) -> list[list[str]]:
    """The cells of all table rows of a section, without the heads of the tables."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = [set("".join(row)) <= {"-", ":"} for row in cells]
    return [row for k, row in enumerate(cells) if not any(heads[k : k + 2])]


def lines(title: str) -> list[Line]:
    """The lines of a section whose tables map constructs to nodes."""
    found = []
    for foreign, nodes, shapes, note in rows(title):
        sizes = tuple(tuple(map(int, shape.split("×"))) for shape in shapes.split(", "))
        found.append(Line(foreign.strip("`"), re.findall(r"`([^`]+)`", nodes), sizes, note))
    return found
