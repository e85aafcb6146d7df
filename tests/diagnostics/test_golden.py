"""What `cnnc check` says, word for word: each spec in `golden` lies beside the text that it gives.

After a change of words run `UPDATE_GOLDEN=1 pytest tests/diagnostics/test_golden.py`, and read the difference: what is
written there is what a person will read. A first line `# --set …` holds arguments.
"""

import os
import re
from pathlib import Path

import pytest

from cnnc.compiler import check
from cnnc.diagnostics import Code
from cnnc.text.python_data import parse_setting
from tests.command import run_command
from tests.shown import show_every_way

GOLDEN = Path(__file__).parent / "golden"
SPECS = sorted(path.name for path in GOLDEN.glob("*.yaml"))
GENERATED = {  # files that no editor would keep, or that are not there
    "E101-missing": None,
    "E101-folder": None,
    "E102-bytes": b"#" * (1 << 20) + b"\n",
    "E102-text": b"cnnc: 1\nname: " + b"x" * 65_537 + b"\n",
    "E103-binary": b"\x7fELF\x02\x01\x01\x00\x00\x00",
    "E103-latin1": "cnnc: 1\nname: résumé\n".encode("latin-1"),
    "E103-utf16": "cnnc: 1\nname: net\n".encode("utf-16"),
}
ELSEWHERE = {code for code in Code if code.value[1] in "45"}  # of targets and the runtime: test_golden_commands.py

COMPANIONS = {
    "E308-round": {"W309"},  # the `from` that takes another node
    "E214-use": {"E101"},  # a file that `use` names and that is not there is said as any missing file
    "E309-input": {"E208"},  # without an input values are still looked at
}


def arguments(path):
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first[2:].split() if first.startswith("# --") else []


def said(*args):
    """The exit code of a check, and what it prints for a person to read."""
    result = run_command("check", *args)
    assert bool(result.stdout) == (result.exit_code == 0)
    return result.exit_code, result.stderr


def hold(name, text):
    golden = GOLDEN / f"{name}.txt"
    if "UPDATE_GOLDEN" in os.environ:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_what_is_said_of_a_bad_spec(name, monkeypatch):
    monkeypatch.chdir(GOLDEN)
    given = arguments(Path(name))
    exit_code, text = said(*given, name)
    assert exit_code == (0 if name.startswith("W") else 2 if given else 1)
    hold(name.removesuffix(".yaml"), text)


@pytest.mark.parametrize("name", SPECS)
def test_a_bad_spec_is_shown_in_every_way(name, monkeypatch):
    monkeypatch.chdir(GOLDEN)
    given = dict(parse_setting(each) for each in arguments(Path(name)) if each != "--set")
    show_every_way(check(name, set=given))


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_said_of_a_file_that_is_no_spec(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(f"{name}.yaml")
    if GENERATED[name] is not None:
        path.write_bytes(GENERATED[name])
    if name == "E101-folder":
        path.mkdir()
    exit_code, text = said(str(path))
    assert exit_code == 1
    show_every_way(check(path))
    hold(name, text)


@pytest.mark.parametrize("code", [code for code in Code if code not in ELSEWHERE])
def test_every_code_has_a_golden_text(code):
    mine = [path for path in GOLDEN.glob("*.txt") if path.name.startswith(f"{code.value}-")]
    assert mine
    for path in mine:
        text = path.read_text(encoding="utf-8")
        assert f"[{code.value}]: " in text or code is Code.UNKNOWN_PARAM  # which is a fault of the call


def test_every_golden_text_has_its_spec():
    texts = {path.stem for path in GOLDEN.glob("*.txt")}
    assert texts == {name.removesuffix(".yaml") for name in SPECS} | GENERATED.keys()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("[EW][0-9]*.txt")), ids=lambda path: path.stem)
def test_a_golden_text_speaks_of_its_own_code_alone(path):
    found = set(re.findall(r"^(?:error|warning)\[(\w+)\]", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert found <= {path.stem.partition("-")[0]} | COMPANIONS.get(path.stem, set())
