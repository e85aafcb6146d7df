"""The formats of pictures: a table of renderers by the suffix of the file.

Takes a sketch; returns the contents of the file. A renderer makes the scene that it needs: one in columns for a page of
paper, an unfolded one for the HTML page, one without places for the languages of other tools.
"""

from collections.abc import Callable
from typing import Final

from cnnc.drawing.dot import dot, mermaid
from cnnc.drawing.layout import lay_out
from cnnc.drawing.scene import scene
from cnnc.drawing.sketch import Sketch
from cnnc.drawing.svg import svg


def _svg(sketch: Sketch, depth: int | None) -> bytes:
    return _picture(sketch, depth).encode()


def _png(sketch: Sketch, depth: int | None) -> bytes:
    from cnnc.drawing.png import png

    return png(_picture(sketch, depth))


def _picture(sketch: Sketch, depth: int | None) -> str:
    root = scene(sketch, depth)
    lay_out(root, wrap=True)
    return svg(sketch, root)


def _html(sketch: Sketch, depth: int | None) -> bytes:
    from cnnc.drawing.html import html

    return html(sketch, depth).encode()


def _dot(sketch: Sketch, depth: int | None) -> bytes:
    return dot(sketch, scene(sketch, depth)).encode()


def _mermaid(sketch: Sketch, depth: int | None) -> bytes:
    return mermaid(sketch, scene(sketch, depth)).encode()


RENDERERS: Final[dict[str, Callable[[Sketch, int | None], bytes]]] = {
    ".svg": _svg,
    ".png": _png,
    ".html": _html,
    ".dot": _dot,
    ".mmd": _mermaid,
}
"""By suffix: the function that returns a file's contents for a sketch, with scopes folded below a depth."""
