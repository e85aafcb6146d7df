"""The page about expansion, in the docstring of `cnnc.expand`: its example is expanded as the page describes."""

import re

import cnnc.expand
from cnnc.compiler import load
from cnnc.expand.expander import Expander

PAGE = cnnc.expand.__doc__


def example(tmp_path):
    """The page's example as a file; `cnnc: 1` is left out on the page."""
    path = tmp_path / "example.yaml"
    lines = re.search(r"For example, in\n\n(.*?)\n\nthe ", PAGE, re.DOTALL)[1]
    path.write_text(f"cnnc: 1\n{re.sub('^    ', '', lines, flags=re.MULTILINE)}\n", encoding="utf-8")
    return path


def test_the_page_lists_the_nodes_of_its_example_in_their_order(tmp_path):
    listed = re.search(r"The nodes are: (.*?)\.\n", PAGE, re.DOTALL)[1]
    assert [node.path for node in load(example(tmp_path)).nodes] == re.split(r",\s+", listed)


def test_the_items_of_the_example_are_read_and_built_in_the_order_of_the_page(tmp_path, monkeypatch):
    events = []

    def noted(verb, method):
        return lambda self, unit, *rest: events.append(f"{verb} {unit.path}") or method(self, unit, *rest)

    monkeypatch.setattr(Expander, "_place", noted("read", Expander._place))
    monkeypatch.setattr(Expander, "_build", noted("build", Expander._build))
    load(example(tmp_path))
    network = ["read stage", "read relu", "read late", "build late", "build stage", "build relu"]
    assert [event for event in events if "." not in event] == network
    inside = [f"{verb} stage.1.{name}" for name in ("conv", "side", "side.conv", "add") for verb in ("read", "build")]
    assert [event for event in events if "stage.1" in event] == inside
    assert events.index("build stage") < events.index("read stage.0.conv") < events.index("build relu")
