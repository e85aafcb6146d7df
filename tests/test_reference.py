"""The pages in `specs` hold what they say. `UPDATE_REFERENCE=1 pytest tests/test_reference.py` writes what
the consoles print, and the sections that the code tells, anew.

A block of YAML or JSON is written to `spec.yaml` (`spec.json`), or to the file that the words behind the fence name.
Where they say `wrong`, each marked line gives just the codes that its comment begins with, and no other line any.
"""

import doctest
import os
import re
import shlex
from contextlib import chdir
from itertools import zip_longest
from pathlib import Path

import pytest

import cnnc
from cnnc.diagnostics import Code
from cnnc.ops import purposes, registry
from tests import reference
from tests.command import run_command

FOLDER = Path(__file__).parents[1] / "specs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
TEXT = PAGES["README.md"]
FENCE = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"# ((?:[EW]\d{3} ?)+)")
SECTIONS = [
    pytest.param(name, section, id=f"{name}: {section.splitlines()[0].strip('# ')}")
    for name, page in PAGES.items()
    for section in re.split(r"^(?=## )", page, flags=re.MULTILINE)
]
PUBLISHED = {
    "inception_v3": (27_161_264, 5_713_216_096),
    "regnet_y_400mf": (4_344_144, 401_842_848),
    "convnext_tiny": (28_589_128, 4_455_531_264),
    "efficientnet_v2_s": (21_458_488, 8_365_617_152),
}


def run(command: str) -> str:
    """What a `cnnc` command prints in the current folder; with what went wrong, but without warnings."""
    program, *arguments = shlex.split(command)
    assert program == "cnnc"
    done = run_command(*arguments)
    return done.stdout + (done.stderr if done.exit_code else "")


def console(block: str) -> str:
    """A console block, with what its commands print now."""
    commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return "\n".join(f"$ {each}\n{run(each)}" for each in commands)


def write(found: re.Match[str]) -> Path | None:
    """Write an example to its file in the current folder; None for what is no example."""
    kind, words, body = found.groups()
    if kind not in ("yaml", "json"):
        return None
    path = Path(words if words and words != "wrong" else f"spec.{kind}")
    path.parent.mkdir(exist_ok=True)
    path.write_text(body, encoding="utf-8")
    return path


def shown(section: str) -> str:
    """The section with its consoles run, each after the examples above it were written."""

    def one(found: re.Match[str]) -> str:
        write(found)
        if found[1] == "pycon":
            test = doctest.DocTestParser().get_doctest(found[3], {}, "reference", None, None)
            assert doctest.DocTestRunner().run(test).failed == 0
        return f"```console\n{console(found[3])}```" if found[1] == "console" else found[0]

    return FENCE.sub(one, section)


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_consoles_show_what_is_printed(page, section, tmp_path):
    with chdir(tmp_path):
        found = shown(section)
    if os.environ.get("UPDATE_REFERENCE"):
        path = FOLDER / page
        path.write_text(path.read_text(encoding="utf-8").replace(section, found), encoding="utf-8")
    assert found == section


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_examples_are_right_or_wrong_as_they_say(page, section, tmp_path):
    """A wrong one gives what it marks; a right one nothing, but where the console behind it shows the error."""
    blocks = list(FENCE.finditer(section))
    with chdir(tmp_path):
        for block, behind in zip_longest(blocks, blocks[1:]):
            path = write(block)
            if path is None:
                continue
            found = cnnc.check(path).diagnostics
            if block[2] == "wrong":
                assert {(each.span.line, each.code.value) for each in found} == marked(block[3]) != set()
            elif not (behind and behind[1] == "console" and "error[" in behind[3]):
                # the strides of published networks pass rows by
                assert [str(each) for each in found if each.code != Code.LOST_ROWS] == []


def marked(text: str) -> set[tuple[int, str]]:
    """The lines of an example that are wrong, with their codes."""
    lines = enumerate(text.splitlines(), start=1)
    return {(number, code) for number, line in lines for mark in MARK.findall(line) for code in mark.split()}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_tells_its_own_sections(page):
    path = FOLDER / page
    if os.environ.get("UPDATE_REFERENCE"):
        path.write_text(reference.rewrite(path.read_text(encoding="utf-8")), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert reference.rewrite(text) == text


def test_every_section_that_the_code_tells_is_on_a_page():
    assert {found[1] for page in PAGES.values() for found in reference.PART.findall(page)} == {*reference.SECTIONS}


def test_an_op_that_is_new_would_be_missed():
    assert all(f"#### `{name}`" in TEXT for name in registry.names())
    without = TEXT.replace("#### `relu`\n", "")
    assert reference.rewrite(without) != without


def test_every_op_is_in_the_index():
    index = TEXT.partition("<!-- index -->")[2].partition("<!-- end index -->")[0]
    assert set(re.findall(r"\(#(\w+)\)", index)) == {*registry.names()}


@pytest.mark.parametrize("op", registry.names())
def test_the_index_describes_an_op_in_half_a_sentence(op):
    words = purposes.brief(op)
    assert 0 < len(words) <= 100
    assert not re.search(r"\d{4}|\.$", words)


def test_an_op_has_a_heading_of_its_own():
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", TEXT), re.MULTILINE)
    for op in registry.names():
        assert [each for each in headings if each.strip("`").lower() == op] == [f"`{op}`"]


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", PAGES[page]), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", PAGES[page]):
        assert (FOLDER / file).exists()
        assert not anchor or anchor in anchors(file or page)


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_written_from_the_page_alone_have_the_published_counts(name):
    """torchvision's numbers of parameters and MACs."""
    totals = cnnc.check(Path(__file__).parent / f"published/{name}.yaml").as_json()["totals"]
    assert (totals["params"], totals["macs"]) == PUBLISHED[name]
