"""`cnnc draw`: every format draws every network of the repository, and what is wrong is said."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cnnc.compiler import load
from cnnc.drawing.frames import items_of
from cnnc.drawing.items import Box
from cnnc.drawing.labels import text_width
from cnnc.drawing.layout import lay_out
from cnnc.drawing.renderers import RENDERERS
from cnnc.drawing.scene import scene
from cnnc.drawing.sizes import MARGIN, texts_of
from cnnc.drawing.sketch import sketch
from tests.command import run_command

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "specs").glob("*.yaml"), *(ROOT / "specs/zoo").glob("*.yaml")])


def test_the_suffixes_of_the_command_are_those_of_the_renderers():
    from cnnc.cli.draw import SUFFIXES

    assert set(SUFFIXES) == set(RENDERERS)


@pytest.fixture(scope="module")
def sketches():
    return {path: sketch(load(path)) for path in SPECS}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_network_is_drawn_without_overlaps(sketches, path):
    for depth, wrap in ((None, True), (None, False), (1, True)):
        root = scene(sketches[path], depth)
        lay_out(root, wrap=wrap)
        for box in [root, *(item for item in items_of(root) if isinstance(item, Box))]:
            check_items(box)
            check_edges(box)


def check_items(box):
    shown = [item for item in box.items if item.port is None]
    for item in shown:
        assert -box.left <= item.x - item.left <= item.x + item.right <= box.right, f"{item.path} leaves {box.path}"
        assert 0 <= item.y <= item.y + item.height <= box.height
        if not isinstance(item, Box):
            widest = max(text_width(text, size) for text, size in texts_of(item))
            assert widest + 2 * MARGIN <= item.width + 1e-6, f"a text of {item.path} is wider than its frame"
    by_rank = {}
    for item in shown:
        by_rank.setdefault(item.rank, []).append(item)
    for items in by_rank.values():
        ordered = sorted(items, key=lambda item: item.x)
        for one, two in pairwise(ordered):
            assert one.x + one.right <= two.x - two.left + 1e-6, f"{one.path} covers {two.path}"


def check_edges(box):
    """Edges end where their items are, and lanes cross no item."""
    for edge in box.edges:
        for item, x in ((edge.source, edge.start), (edge.target, edge.end)):
            assert item.x - item.left - 1e-6 <= x <= item.x + item.right + 1e-6
        for item in box.items if edge.lane is not None else ():
            if edge.source.rank < item.rank < edge.target.rank:
                assert not item.x - item.left < edge.lane < item.x + item.right, f"an edge crosses {item.path}"


@pytest.mark.parametrize("suffix", RENDERERS)
def test_every_format_of_the_command(suffix, tmp_path):
    out = tmp_path / f"net{suffix}"
    done = run_command("draw", ROOT / "specs/zoo/resnet18.yaml", "-o", out, "--depth", "2")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(str(out))
    data = out.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == ".png" else b"layer4" in data


def test_svg_is_xml_that_needs_nothing_else(tmp_path):
    out = tmp_path / "net.svg"
    run_command("draw", ROOT / "specs/googlenet.yaml", "-o", out)
    text = out.read_text(encoding="utf-8")
    tree = ElementTree.fromstring(text)
    titles = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}title")}
    assert {"inception3a.path1", "inception5b", "linear"} <= titles
    assert not re.search(r"href|url\((?!#)|@import", text)


def test_repeats_are_drawn_once_with_their_count():
    root = scene(sketch(load(ROOT / "specs/zoo/densenet121.yaml")))
    counts = [item.count for item in items_of(root) if item.count > 1]
    assert counts == [6, 12, 24, 16]
    macs = load(ROOT / "specs/zoo/densenet121.yaml").nodes
    assert root.macs == sum(node.cost.macs for node in macs)


def test_depth_folds_blocks():
    root = scene(sketch(load(ROOT / "specs/googlenet.yaml")), 1)
    assert not [item for item in items_of(root) if isinstance(item, Box)]
    assert [item.block for item in root.items if item.block] == ["inception"] * 9


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["specs/lenet.yaml", "-o", "net.gif"], 2, ".svg, .png, .dot, .mmd"),
        (["specs/lenet.yaml", "-o", "net"], 2, "a file without a suffix"),
        (["specs/lenet.yaml", "--depth", "0"], 2, "--depth"),
        (["missing.yaml", "-o", "net.svg"], 1, "E101"),
        (["specs/lenet.yaml", "-o", "missing/net.svg"], 1, "E405"),
        (["tests/data/boot.png", "-o", "net.svg"], 1, "E1"),
        (["missing.onnx", "-o", "net.svg"], 1, "E501"),
        (["a.onnx", "--set", "a=1"], 2, "--set"),
    ],
)
def test_what_is_wrong_is_said(words, code, said, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = run_command("draw", *words)
    assert done.exit_code == code
    assert said in done.stderr
    assert not Path("net.svg").exists()
