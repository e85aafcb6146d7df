"""`cnnc draw`: every format draws every network of the repository, and what is wrong is said."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest

from cnnc.compiler import load
from cnnc.drawing.frames import items_of
from cnnc.drawing.items import Box
from cnnc.drawing.labels import family, text_width
from cnnc.drawing.layout import lay_out
from cnnc.drawing.renderers import RENDERERS
from cnnc.drawing.scene import scene
from cnnc.drawing.sizes import MARGIN, texts_of
from cnnc.drawing.sketch import sketch
from tests import onnx_files
from tests.command import run_command
from tests.thorough import every_network

ROOT = Path(__file__).parents[2]


def test_the_suffixes_of_the_command_are_those_of_the_renderers():
    from cnnc.cli.draw import SUFFIXES

    assert set(SUFFIXES) == set(RENDERERS)


@pytest.mark.parametrize(
    ("colour", "ops"),
    [
        ("convolution", "conv conv_transpose"),
        ("pooling, resizing", "max_pool avg_pool lp_pool adaptive_avg_pool adaptive_max_pool global_avg_pool upsample"),
        ("normalisation", "batch_norm layer_norm local_response_norm"),
        ("activation", "relu relu6 leaky_relu prelu sigmoid activation softmax glu"),
        ("linear, attention", "linear attention matmul"),
        ("joining", "add concat split"),
        ("other", "flatten reshape permute pad dropout"),
    ],
)
def test_ops_of_one_purpose_have_one_colour(colour, ops):
    assert {family(op) for op in ops.split()} == {colour}


@every_network
def test_every_network_is_drawn_without_overlaps(path):
    drawn = sketch(load(path))
    for depth, wrap in ((None, True), (None, False), (1, True)):
        root = scene(drawn, depth)
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


@pytest.mark.parametrize(("depth", "words"), [(1, "basic ×2"), (2, "")])
def test_a_repeated_block_is_named_once_with_its_count(depth, words):
    root = scene(sketch(load(ROOT / "specs/zoo/resnet18.yaml")), depth)
    layer = next(item for item in items_of(root) if item.path == "layer2")
    assert (layer.block if depth == 1 else layer.kind) == words


def test_depth_folds_blocks():
    root = scene(sketch(load(ROOT / "specs/googlenet.yaml")), 1)
    assert not [item for item in items_of(root) if isinstance(item, Box)]
    assert [item.block for item in root.items if item.block] == ["inception"] * 9


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["specs/lenet.yaml", "-o", "net.gif"], 2, ".svg, .png, .html, .dot, .mmd"),
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


def test_a_unet_is_drawn_as_a_u():
    """The skips are level: each ends at the height at which it starts."""
    root = scene(sketch(load(ROOT / "specs/zoo/unet.yaml")))
    lay_out(root, wrap=True)
    skips = [edge for edge in root.edges if edge.lane is not None]
    assert [(edge.source.path, edge.target.path) for edge in skips] == [(f"down{i}", f"up{i}") for i in (3, 2, 1, 0)]
    assert all(edge.target.up and not edge.source.up for edge in skips)
    assert [edge.source.exit for edge in skips] == pytest.approx([edge.target.entry for edge in skips])


def test_3000_nodes_with_long_edges_are_drawn():
    nodes = [{"add": {"name": f"n{i}", "from": [f"n{i - 1}", f"n{7919 % i}"]}} for i in range(2, 3000)]
    first = [{"conv": {"name": f"n{i}", "out": 8, "kernel": 1}} for i in range(2)]
    graph = load({"cnnc": 1, "input": {"x": [8, 4, 4]}, "nodes": first + nodes})
    root = scene(sketch(graph))
    lay_out(root, wrap=True)
    assert len([*items_of(root)]) > 2500


def onnx_file(tmp_path, *nodes, **rest):
    path = tmp_path / "model.onnx"
    onnx.save(onnx_files.model_of(*nodes, **rest), path)
    return path


def test_an_onnx_file_is_drawn_as_its_import(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(onnx_files.linear(), path)
    done = run_command("draw", path, "-o", tmp_path / "net.svg")
    assert (done.exit_code, done.stderr) == (0, "")
    text = (tmp_path / "net.svg").read_text(encoding="utf-8")
    assert ">linear 3<" in text
    assert ">1×2×2<" in text


def test_an_onnx_file_that_cannot_be_imported_is_drawn_as_it_is(tmp_path):
    """Scopes come from the names of nodes; a second scope of a name is a box of its own."""
    names = ["/a/x/Relu", "/a/y/Erf", "/b/Relu", "/a/Erf"]
    nodes = [
        onnx.helper.make_node(name.rpartition("/")[2], [f"v{i}" if i else "image"], [f"v{i + 1}"], name=name)
        for i, name in enumerate(names)
    ]
    path = onnx_file(tmp_path, *nodes, onnx.helper.make_node("Det", ["v4"], ["y"]))
    done = run_command("draw", path, "-o", tmp_path / "net.dot")
    assert done.exit_code == 0
    assert done.stderr.startswith("note: the picture shows the ops of ONNX: ")
    text = (tmp_path / "net.dot").read_text(encoding="utf-8")
    assert re.findall(r'cluster_n\d+ {\s+label="([^"]*)', text) == ["a: a", "x: x", "y: y", "b: b", "a~2: a"]
    assert 'label="N×1×2×2"' in text
    assert run_command("draw", path, "-o", tmp_path / "net.html").exit_code == 0


def test_a_node_with_the_name_of_an_input_is_another_node(tmp_path):
    nodes = [onnx.helper.make_node("Relu", ["image"], ["v"], name="image"), onnx.helper.make_node("Det", ["v"], ["y"])]
    assert run_command("draw", onnx_file(tmp_path, *nodes), "-o", tmp_path / "net.dot").exit_code == 0
    assert (tmp_path / "net.dot").read_text(encoding="utf-8").count("->") == 3


@pytest.mark.parametrize("suffix", ["svg", "png", "html"])
def test_control_characters_are_drawn_as_escapes(tmp_path, suffix):
    node = onnx.helper.make_node("Det", ["image"], ["y"], name="co\x01nv")
    out = tmp_path / f"net.{suffix}"
    done = run_command("draw", onnx_file(tmp_path, node), "-o", out)
    assert done.exit_code == 0, done.stderr
    if suffix == "svg":
        assert "co\\x01nv" in "".join(ElementTree.fromstring(out.read_text(encoding="utf-8")).itertext())


def test_a_damaged_onnx_file_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    done = run_command("draw", path, "-o", tmp_path / "net.svg")
    assert done.exit_code == 1
    assert "E501" in done.stderr


def test_a_png_without_its_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnc.diagnostics.missing_packages.find_spec", lambda name: None if "resvg" in name else name)
    done = run_command("draw", ROOT / "specs/lenet.yaml", "-o", tmp_path / "net.png")
    assert done.exit_code == 1
    assert "E513" in done.stderr
    assert "[draw]" in done.stderr


def test_drawing_imports_no_framework(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "cnnc", "draw", ROOT / "specs/lenet.yaml", "-o", "net.html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    modules = {line.split("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "cnnc" in modules
    assert not modules & {"torch", "onnx", "onnxruntime", "numpy"}


def test_the_picture_of_the_readme_is_up_to_date(tmp_path):
    """If not: `cnnc draw specs/zoo/unet.yaml -o specs/unet.svg`."""
    out = tmp_path / "unet.svg"
    run_command("draw", ROOT / "specs/zoo/unet.yaml", "-o", out)
    assert out.read_text(encoding="utf-8") == (ROOT / "specs/unet.svg").read_text(encoding="utf-8")
    assert out.stat().st_size < 60_000
