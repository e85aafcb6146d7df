"""The pages of `cnnc draw` and `cnnc diff --html`, as files and in a browser.

The tests in a browser need Chromium and playwright, which `make test` does not install. They run if CNNC_CHROMIUM is
the path of a Chromium. The rules of axe are tried if CNNC_AXE is the path of `axe.min.js` of the npm package axe-core.
"""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cnnc.compiler import load
from cnnc.drawing.html import html
from cnnc.drawing.sketch import sketch
from tests.command import run_command

ROOT = Path(__file__).parents[2]
GOOGLENET = ROOT / "specs/googlenet.yaml"
LENETS = ("diff", ROOT / "specs/lenet.yaml", ROOT / "specs/lenet_max.yaml", "--html")
CHROMIUM, AXE = os.environ.get("CNNC_CHROMIUM"), os.environ.get("CNNC_AXE")
VOID = {"meta", "input", "link", "br"}

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="CNNC_CHROMIUM is not set to the path of a Chromium")


class Reader(HTMLParser):
    """Checks that elements are nested, and collects ids, roles and what is loaded."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.items, self.loads, self.data = [], [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        if tag not in VOID:
            self.open.append((tag, about.get("id")))
        self.ids += [about["id"]] if "id" in about else []
        if about.get("role") == "treeitem":
            self.items.append(about["aria-label"])
        self.loads += [about[name] for name in ("src", "href") if not about.get(name, "#").startswith("#")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.data += data if self.open and self.open[-1] == ("script", "data") else ""


def test_a_page_is_whole_and_names_everything_once():
    graph = load(GOOGLENET)
    reader = Reader(html(sketch(graph)))
    assert not reader.loads
    assert len(reader.ids) == len({*reader.ids})
    (pane,) = json.loads(reader.data)["panes"]
    assert len(reader.items) == len(pane["items"])
    nodes = {node["path"]: node for node in pane["nodes"]}
    assert [*nodes] == [node.path for node in graph.nodes]
    conv = nodes["inception3a.path2"]
    assert conv["shape"] == "128×12×12"
    assert conv["facts"]["receptive field"] == "43 × 43"
    assert "path2, out:" in pane["files"][conv["at"][0]].splitlines()[conv["at"][1] - 1]
    assert max(node["alive"] for node in nodes.values()) == 1_179_648


def test_a_screen_reader_hears_the_op_the_name_and_the_shape_of_everything():
    """And, as the colours tell others, what a change has done to it."""
    labels = Reader(html(sketch(load(GOOGLENET)))).items
    assert "conv 3×3, 128 relu, path2, output 128×12×12, 15.9 M MACs" in labels
    assert "inception3a inception · 9% of MACs, 14 nodes, output 256×12×12" in labels
    assert "flatten, output 1024" in labels
    marks = {"inception3a.path2": "changed", "inception3a.concat": "affected"}
    labels = Reader(html(sketch(load(GOOGLENET), marks))).items
    assert "conv 3×3, 128, path2, output 128×12×12, 15.9 M MACs, changed" in labels
    assert "inception3a inception · 9% of MACs, 14 nodes, output 256×12×12, affected and changed" in labels


def test_repeats_lead_to_what_is_drawn():
    reader = Reader(html(sketch(load(ROOT / "specs/zoo/densenet121.yaml"))))
    (pane,) = json.loads(reader.data)["panes"]
    items = {node["path"]: pane["items"][node["item"]]["path"] for node in pane["nodes"]}
    assert items["features.denseblock2.denselayer7.relu_2"] == "features.denseblock2.denselayer1.conv1"


def test_a_spec_cannot_leave_its_page():
    end = "</script><svg onload=alert(1)>"
    spec = {"cnnc": 1, "name": "net", "description": end, "input": {"x": [3, 8, 8]}, "nodes": ["relu"]}
    text = html(sketch(load(spec)))
    assert "<svg onload" not in text
    Reader(text)


def test_diff_writes_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("diff", ROOT / "specs/lenet.yaml", ROOT / "specs/lenet_max.yaml")
    done = run_command(*words, "--html", "--exit-code")
    assert (done.exit_code, done.stdout) == (1, "diff.html  10 changed nodes\n")
    data = json.loads(Reader(Path("diff.html").read_text(encoding="utf-8")).data)
    marks = [{node["path"]: node["mark"] for node in pane["nodes"]} for pane in data["panes"]]
    assert [side["conv"] for side in marks] == ["changed", "changed"]
    assert marks[0]["avg_pool"] == "removed"
    assert marks[1]["max_pool"] == "added"
    assert data["changes"][0] == {
        "kind": "changed", "old": "conv", "new": "conv", "what": "padding 2 → 0; 6×28×28 → 6×24×24"
    }  # fmt: skip
    assert run_command(*words, "-o", "a.html").exit_code == 2
    assert run_command(*words, "--html", "-o", "a.svg").exit_code == 2
    assert run_command("diff", words[1], words[1], "--html").stdout == "diff.html  0 changed nodes\n"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser, tmp_path):
    """Opens a page without a network, and fails the test for every error of its script."""
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    def show(*words, scheme="light"):
        out = tmp_path / "net.html"
        tab.emulate_media(color_scheme=scheme)
        assert run_command(*words, "-o", out).exit_code == 0
        tab.goto(out.as_uri())
        return tab

    yield show
    context.close()
    assert not errors


def heights(tab):
    return tab.evaluate("[pictures[0].tall, pictures[0].data.items.filter((_, i) => pictures[0].seen(i)).length]")


@in_browser
def test_blocks_fold_and_unfold_by_mouse_and_keys(page):
    tab = page("draw", GOOGLENET)
    tall, seen = heights(tab)
    tab.click("#fold")
    assert heights(tab)[0] < tall / 2
    block = tab.locator('[aria-label^="inception3a "]')
    assert block.get_attribute("aria-expanded") == "false"
    block.focus()
    tab.keyboard.press("ArrowRight")
    assert block.get_attribute("aria-expanded") == "true"
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("conv 1×1, 64 relu")
    said = tab.inner_text("#said")
    assert said == "all blocks are folded"  # not that the block is unfolded: aria-expanded tells
    tab.keyboard.press("Enter")
    assert "inception3a.path1" in tab.inner_text("#facts")
    costs = "output 64×12×12, 12,352 parameters, 1,769,472 MACs, line 11"
    assert tab.inner_text("#said") == f"inception3a.path1: conv 1×1, 64, {costs}"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    assert block.get_attribute("aria-expanded") == "false"
    tab.click("#unfold")
    assert heights(tab) == [tall, seen]


@in_browser
def test_a_click_shows_the_facts_and_the_line(page):
    tab = page("draw", GOOGLENET)
    tab.locator('[aria-label^="conv 5×5, 32"]').click()
    facts = tab.inner_text("#facts")
    assert "inception3a.path3: conv 5×5, 32" in facts
    assert "receptive field" in facts
    assert "path3, out:" in tab.inner_text("#facts .here >> nth=0")
    assert tab.locator("tr.chosen").count() == 2


@in_browser
def test_search_sorting_and_zoom(page):
    tab = page("draw", GOOGLENET, "--depth", "1")
    tab.keyboard.press("/")
    tab.keyboard.type("inception4c.path2_reduce")
    assert "1 found" in tab.inner_text("#found")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#said").startswith("1 of 1: inception4c.path2_reduce: conv 1×1, 128, output 128×6×6,")
    assert tab.locator('[aria-label^="inception4c "]').get_attribute("aria-expanded") == "true"
    tab.click('[data-sort="macs"]')
    assert tab.inner_text("#nodes tbody tr >> nth=0").split()[0] == "conv_3"
    assert tab.get_by_role("rowheader").first.inner_text() == "conv_3"
    assert tab.locator('th[aria-sort="descending"]').inner_text().startswith("MACs")
    before = tab.evaluate("pictures[0].zoom")
    tab.click("#in")
    assert tab.evaluate("pictures[0].zoom") == pytest.approx(1.25 * before)


@in_browser
@pytest.mark.skipif(AXE is None, reason="CNNC_AXE is not set to the path of axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("words", [("draw", GOOGLENET), LENETS])
def test_axe_has_nothing_to_say(page, words, scheme):
    tab = page(*words, scheme=scheme)
    tab.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    about = [(rule["id"], node["html"].partition(">")[0]) for rule in found for node in rule["nodes"]]
    # a box is named by its own words; axe expects those of all nodes inside as well
    assert [each for each in about if each[0] != "label-content-name-mismatch" or "aria-expanded" not in each[1]] == []


@in_browser
def test_a_narrow_window_does_not_scroll_sideways(page):
    tab = page("draw", GOOGLENET)
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == 400


@in_browser
def test_light_and_dark(page):
    tab = page("draw", GOOGLENET)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(ground)
    tab.click("#theme")
    assert tab.evaluate(ground) != light
    assert tab.get_attribute("#theme", "aria-pressed") == "true"


@in_browser
def test_the_script_stacks_as_the_layout_does(page):
    """The page and the SVG draw the same lines."""
    tab = page("draw", ROOT / "specs/zoo/resnet18.yaml")
    from cnnc.drawing.layout import lay_out
    from cnnc.drawing.paths import line
    from cnnc.drawing.scene import scene

    root = scene(sketch(load(ROOT / "specs/zoo/resnet18.yaml")))
    lay_out(root, wrap=False)
    first = line(root, root.edges[0])
    numbers = [re.findall(r"[\d.]+", each) for each in (first, tab.get_attribute("#p0e0", "d"))]
    assert [*map(float, numbers[0])] == pytest.approx([*map(float, numbers[1])], abs=0.11)
    assert tab.evaluate("pictures[0].data.tree.tall") == pytest.approx(root.height, abs=1)


@in_browser
def test_a_change_leads_to_both_sides(page):
    tab = page(*LENETS)
    assert tab.locator("#changes tbody tr").count() == 10
    tab.click("#changes tbody button >> nth=0")
    assert tab.locator("[role=treeitem].chosen").count() == 2
    assert "padding" in tab.inner_text("#facts") or "conv" in tab.inner_text("#facts")
