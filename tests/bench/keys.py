"""The time from a key in an editor to the shapes beside the lines, with the real server on the other side of a pipe."""

from collections.abc import Iterator
from itertools import cycle
from math import inf
from pathlib import Path

import cnnc
from tests.bench.measure import ROOT, Row, interleave
from tests.editor.client import Editor

FLAT = (
    """\
cnnc: 1
input: {image: [3, 64, 64]}
nodes:
"""
    + 167
    * """\
  - conv: {out: 16, kernel: 3, padding: 1, bias: false}
  - batch_norm
  - relu
"""
)


def keys(folder: Path) -> Iterator[Row]:
    """A comment that grows by a letter, until all hints are there, against a check; at most 0.1 s for 500 nodes."""
    flat, deep = folder / "flat.yaml", ROOT / "specs" / "resnet152.yaml"
    flat.write_text(FLAT, encoding="utf-8")
    for path, nodes in ((flat, 501), (deep, 515)):
        editor = Editor(path.parent)
        texts = cycle(path.read_text(encoding="utf-8") + each for each in ("# a\n", "# ab\n"))

        def type_key(name: str = path.name, editor: Editor = editor, texts: Iterator[str] = texts) -> None:
            editor.open(name, next(texts))
            assert editor.hints(name)

        def check(path: Path = path) -> None:
            assert cnnc.check(path).ok

        yield Row(f"key to hints, {nodes} nodes", interleave(type_key, check, lasting=8), inf, limit=0.1)
        editor.end()
