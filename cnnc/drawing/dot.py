"""Writes a scene as text for Graphviz (`.dot`) and Mermaid (`.mmd`), which lay it out themselves.

Takes the sketch and the outermost box, which needs no places; returns the text. Scopes are clusters, or subgraphs.
"""

from collections.abc import Iterator

from cnnc.drawing.items import Box, Drawn, Edge
from cnnc.drawing.labels import COLOURS
from cnnc.drawing.sketch import Sketch


def dot(sketch: Sketch, root: Box) -> str:
    """Return the network in the language of Graphviz."""
    names = _names(root)
    lines = [
        f"digraph {_quoted(sketch.name)} {{",
        '  graph [fontname="Helvetica", fontsize=11, labeljust=l, color="#aab3bf", style=rounded]',
        '  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11, height=0.3, margin="0.12,0.05"]',
        '  edge [fontname="Helvetica", fontsize=9, color="#4b5563", arrowsize=0.6]',
        *_dot_items(root, names, "  "),
        *(
            f"  {names[one]} -> {names[two]} [label={_quoted(edge.shape)}{', style=dashed' * edge.faint}]"
            for edge, one, two in _whole_edges(root)
        ),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _dot_items(box: Box, names: dict[Drawn, str], indent: str) -> Iterator[str]:
    for item in box.items:
        if isinstance(item, Box):
            yield f"{indent}subgraph cluster_{names[item]} {{"
            yield f"{indent}  label={_quoted(_heading(item))}"
            yield from _dot_items(item, names, f"{indent}  ")
            yield f"{indent}}}"
        elif item.port is None:
            fill, border, _ = COLOURS[_family(item)]
            yield f'{indent}{names[item]} [label={_quoted(_words(item))}, fillcolor="{fill}", color="{border}"]'


def mermaid(sketch: Sketch, root: Box) -> str:
    """Return the network as a flowchart of Mermaid."""
    names = _names(root)
    lines = ["---", f"title: {_text(sketch.name)}", "---", "flowchart TD", *_mermaid_items(root, names, "  ")]
    for edge, one, two in _whole_edges(root):
        arrow = "-.->" if edge.faint else "-->"
        lines.append(f'  {names[one]} {arrow}|"{_text(edge.shape)}"| {names[two]}')
    for index, (fill, border, _) in enumerate(COLOURS.values()):
        lines.append(f"  classDef f{index} fill:{fill},stroke:{border},color:#1b1f27")
    return "\n".join(lines) + "\n"


def _mermaid_items(box: Box, names: dict[Drawn, str], indent: str) -> Iterator[str]:
    for item in box.items:
        if isinstance(item, Box):
            yield f'{indent}subgraph {names[item]}["{_text(_heading(item))}"]'
            yield from _mermaid_items(item, names, f"{indent}  ")
            yield f"{indent}end"
        elif item.port is None:
            yield f'{indent}{names[item]}["{_text(_words(item))}"]:::f{[*COLOURS].index(_family(item))}'


def _family(item: Drawn) -> str:
    return item.rows[0].family if item.rows else "block"


def _words(item: Drawn) -> str:
    lines = [node.label for node in item.rows] or [item.name, item.block]
    return "\n".join([*lines[:-1], f"{lines[-1]}{f' (×{item.count})' if item.count > 1 else ''}"])


def _heading(box: Box) -> str:
    return ": ".join(filter(None, (box.name, box.kind)))


def _names(root: Box) -> dict[Drawn, str]:
    """Return a name for each item that both languages accept."""
    names: dict[Drawn, str] = {}

    def enter(box: Box) -> None:
        for item in box.items:
            if item.port is None:
                names[item] = f"n{len(names)}"
            if isinstance(item, Box):
                enter(item)

    enter(root)
    return names


def _whole_edges(root: Box) -> Iterator[tuple[Edge, Drawn, Drawn]]:
    """Yield the edges without ports, with their ends: a value that passes the borders of boxes is one edge."""

    def enter(box: Box) -> Iterator[tuple[Edge, Drawn, Drawn]]:
        for edge in box.edges:
            if edge.source.port is None and edge.target.port is None:
                for target in _targets(edge):
                    yield edge, _source(edge), target
        for item in box.items:
            if isinstance(item, Box):
                yield from enter(item)

    return enter(root)


def _source(edge: Edge) -> Drawn:
    """Return the item in which the value of an edge is made."""
    while isinstance(edge.source, Box):
        port = edge.source.ports[edge.key, True]
        edge = next(inner for inner in edge.source.edges if inner.target is port)
    return edge.source


def _targets(edge: Edge) -> Iterator[Drawn]:
    """Yield the items that take the value of an edge."""
    if not isinstance(edge.target, Box):
        yield edge.target
        return
    port = edge.target.ports[edge.key, False]
    for inner in edge.target.edges:
        if inner.source is port and inner.target.port is None:
            yield from _targets(inner)


def _quoted(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _text(words: str) -> str:
    """Return a text without the characters that end a string of Mermaid."""
    return words.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace("\n", "<br>")
