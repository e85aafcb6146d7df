"""The pages that `cnnc explain` prints: their first YAML is wrong in the way they are about, their second is mended."""

import re

import pytest

from cnnc.compiler import check
from cnnc.diagnostics import Code

YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [code for code in Code if code.value[1] in "123"]
NOT_A_SPEC = {Code.UNREADABLE, Code.TOO_LARGE, Code.NOT_TEXT, Code.UNKNOWN_PARAM}  # about files, and about a call


def codes(text, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(text, encoding="utf-8")
    return {each.code for each in check(path).diagnostics}


@pytest.mark.parametrize("code", [code for code in PAGES if code not in NOT_A_SPEC])
def test_the_example_of_a_page_is_wrong_in_its_way(code, tmp_path):
    examples = YAML.findall(code.page)
    assert 1 <= len(examples) <= 2
    assert codes(examples[0], tmp_path) == {code}


@pytest.mark.parametrize("code", PAGES)
def test_what_a_page_calls_mended_is_fine(code, tmp_path):
    examples = YAML.findall(code.page)
    assert len(examples) == (1 if code in NOT_A_SPEC - {Code.UNREADABLE, Code.NOT_TEXT} else len(examples))
    for mended in examples if code in NOT_A_SPEC else examples[1:]:
        assert codes(mended, tmp_path) == set()


@pytest.mark.parametrize("code", PAGES)
def test_a_page_can_be_read_in_a_terminal(code):
    title, *lines = code.page.splitlines()
    assert re.fullmatch(rf"# {code.value}: \S.*[^.]", title)
    assert max(map(len, lines)) <= 120
