"""`cnnc check --format sarif|junit|gitlab`: one document for all specs, with each diagnostic at its place."""

import json
from io import BytesIO, TextIOWrapper
from xml.etree import ElementTree

import pytest

from cnnc.cli import reports
from cnnc.cli.renderers import REPORTS as FORMATS
from cnnc.cli.reports import REPORTS, SpecFindings, _fingerprint
from cnnc.compiler import check
from tests.command import run_command
from tests.shown import PARSERS

WRONG = "cnnc: 1\ninput: {x: [3, 8, 8]}\nnodes:\n  - conv: {out: 4, kernel: 9}\n"
ODD = "cnnc: 1\ninput: {x: [3, 8, 8]}\nnodes:\n  - conv: {out: 4, kernel: 3, stride: 2}\n"  # W302
BLOCKS = "cnnc: 1\nblocks:\n  twice:\n    nodes:\n      - rleu\n"
USER = "cnnc: 1\nuse: [blocks.yaml]\ninput: {x: [4]}\nnodes: [twice]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in (("a b.yaml", WRONG), ("odd.yaml", ODD), ("fine.yaml", WRONG.replace("9", "3"))):
        (tmp_path / name).write_text(text)
    (tmp_path / "other.yaml").write_text("hello: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_format_has_a_report():
    assert tuple(REPORTS) == FORMATS


@pytest.mark.parametrize("format", REPORTS)
def test_there_is_one_document_for_all_specs(folder, format):
    done = run_command("check", ".", "--format", format)
    assert done.exit_code == 1
    PARSERS[format](done.stdout)
    assert "E303" in done.stdout
    assert "W302" in done.stdout
    assert done.stderr.startswith("skipped, ")


@pytest.mark.parametrize("format", REPORTS)
def test_fine_specs_have_an_empty_report(folder, format):
    done = run_command("check", "fine.yaml", "--format", format)
    assert (done.exit_code, done.stderr) == (0, "")
    PARSERS[format](done.stdout)
    assert "303" not in done.stdout


def test_sarif_has_the_place_the_rule_and_the_level(folder):
    [run] = json.loads(run_command("check", "a b.yaml", "odd.yaml", "--format", "sarif").stdout)["runs"]
    error, warning = run["results"]
    rules = run["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == ["E303", "W302"]
    assert (error["ruleId"], error["level"], rules[error["ruleIndex"]]["id"]) == ("E303", "error", "E303")
    assert (warning["level"], rules[warning["ruleIndex"]]["defaultConfiguration"]) == ("warning", {"level": "warning"})
    place = error["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b.yaml"}
    assert place["region"] == {"startLine": 4, "startColumn": 28, "endLine": 4, "endColumn": 29}
    assert "conv" in rules[0]["help"]["markdown"]


def test_a_denied_warning_is_an_error_in_each_report(folder):
    found = {each: run_command("check", "odd.yaml", "--deny", "W302", "--format", each) for each in REPORTS}
    assert {done.exit_code for done in found.values()} == {1}
    assert json.loads(found["sarif"].stdout)["runs"][0]["results"][0]["level"] == "error"
    assert json.loads(found["gitlab"].stdout)[0]["severity"] == "major"
    assert ElementTree.fromstring(found["junit"].stdout).get("failures") == "1"


def test_a_diagnostic_of_a_file_that_several_specs_use_appears_once(folder):
    (folder / "blocks.yaml").write_text(BLOCKS)
    for name in ("one.yaml", "two.yaml"):
        (folder / name).write_text(USER)
    words = ("check", "blocks.yaml", "one.yaml", "two.yaml", "--format")
    assert len(json.loads(run_command(*words, "gitlab").stdout)) == 1
    assert len(json.loads(run_command(*words, "sarif").stdout)["runs"][0]["results"]) == 1
    assert ElementTree.fromstring(run_command(*words, "junit").stdout).get("failures") == "3"


def test_a_fingerprint_outlives_changes_to_other_lines(folder):
    def fingerprint(text):
        (folder / "s.yaml").write_text(text)
        [each] = check("s.yaml").diagnostics
        return _fingerprint(each)

    first = fingerprint(WRONG)
    assert fingerprint(WRONG.replace("nodes:", "# why\nnodes:")) == first
    assert fingerprint(WRONG.replace("out: 4", "out: 5")) != first


def test_junit_has_warnings_as_output_and_failures_of_cnnc_as_errors():
    broken = ElementTree.fromstring(REPORTS["junit"]([SpecFindings("a.yaml", (), "KeyError: 'x\x1b'")]))
    assert (broken.get("errors"), broken.get("failures")) == ("1", "0")
    assert broken.find("testsuite/testcase/error").get("message") == r"KeyError: 'x\x1b'"


@pytest.mark.parametrize("format", REPORTS)
def test_a_failure_of_cnnc_is_in_the_report(folder, format, monkeypatch):
    def fail(*_, **__):
        raise KeyError("no such thing")

    monkeypatch.setattr("cnnc.compiler.check_with", fail)
    monkeypatch.setenv("CNNC_DEBUG", "1")  # leaves no file
    done = run_command("check", "fine.yaml", "--format", format)
    assert done.exit_code == 3
    PARSERS[format](done.stdout)
    assert "no such thing" in done.stdout


def test_standard_input_has_a_place(folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(WRONG.encode())))
    done = run_command("check", "-", "--format", "sarif")
    [result] = json.loads(done.stdout)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 4


def test_a_fault_in_data_has_its_path(folder):
    spec = {"cnnc": 1, "input": {"x": [3, 8, 8]}, "nodes": [{"conv": {"out": 4, "kernel": 9}}]}
    found = check(spec)
    for format, report in reports.REPORTS.items():
        text = report([SpecFindings("net", found.diagnostics)])
        PARSERS[format](text)
        assert "nodes[0].conv.kernel" in text
