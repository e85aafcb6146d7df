"""Reports of a whole `cnnc check` for CI: SARIF, JUnit XML and GitLab's code quality. `REPORTS` is the table of them.

A report takes the `SpecFindings` of every spec and returns one document. A diagnostic of a file that
several specs use appears once in SARIF and GitLab; JUnit has it in each spec that it fails.
"""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.diagnostics.render import annotation, render, visible
from cnnc.diagnostics.suggestions import ways
from cnnc.formatting.edits import TextEdit, text_edits
from cnnc.version import __version__

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


class SpecFindings(NamedTuple):
    """What was found in a spec; `failure` is set if cnnc itself failed on it."""

    path: str
    diagnostics: Sequence[Diagnostic]
    failure: str | None = None


def _as_sarif(results: Sequence[SpecFindings]) -> str:
    """Return SARIF 2.1.0 (OASIS), which GitHub's code scanning and many editors read."""
    found = _distinct(results)
    codes = sorted({each.code for each in found})
    failures = [
        {"level": "error", "message": {"text": visible(f"cnnc failed on {each.path}: {each.failure}")}}
        for each in results
        if each.failure is not None
    ]
    run = {
        "tool": {"driver": {"name": "cnnc", "version": __version__, "rules": [_sarif_rule(code) for code in codes]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not failures, "toolExecutionNotifications": failures}],
        "results": [_sarif_result(each, codes.index(each.code)) for each in found],
    }
    return json.dumps({"$schema": SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def _sarif_rule(code: Code) -> dict[str, Any]:
    title, _, text = code.page.partition("\n")
    return {
        "id": code.value,
        "shortDescription": {"text": title.partition(": ")[2]},
        "help": {"text": text.strip(), "markdown": text.strip()},
        "defaultConfiguration": {"level": code.severity},
    }


def _sarif_result(each: Diagnostic, rule: int) -> dict[str, Any]:
    notes = [note for note in each.notes if note.span is not None and note.span.path is None]
    return {
        "ruleId": each.code.value,
        "ruleIndex": rule,
        "level": each.severity,
        "message": {"text": annotation(each)},
        "locations": [{"physicalLocation": _sarif_place(each.span)}] if each.span else [],
        "relatedLocations": [
            {"id": at, "message": {"text": visible(note.message)}, "physicalLocation": _sarif_place(note.span)}
            for at, note in enumerate(notes)
            if note.span
        ],
        "partialFingerprints": {"cnnc/v1": _fingerprint(each)},
        **_sarif_fixes(each),
    }


def _sarif_fixes(each: Diagnostic) -> dict[str, Any]:
    fixes = [_sarif_fix(help, edits) for help, fix in ways(each) if (edits := text_edits(fix))]
    return {"fixes": fixes} if fixes else {}


def _sarif_fix(help: str, edits: Sequence[TextEdit]) -> dict[str, Any]:
    replacements = [
        {"deletedRegion": _sarif_place(span)["region"], "insertedContent": {"text": text}} for span, text in edits
    ]
    change = {"artifactLocation": _sarif_place(edits[0].span)["artifactLocation"], "replacements": replacements}
    return {"description": {"text": visible(help)}, "artifactChanges": [change]}


def _sarif_place(span: Span) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(Path(span.source.name).as_posix())}}
    if span.path is None:  # a text
        region = {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line}
        place["region"] = {**region, "endColumn": span.end_column}
    return place


def _as_junit(results: Sequence[SpecFindings]) -> str:
    """Return JUnit XML: a test case for each spec, which fails with its errors; warnings are its output."""
    from xml.etree import ElementTree

    failed = sum(any(each.severity == "error" for each in result.diagnostics) for result in results)
    broken = sum(result.failure is not None for result in results)
    counts = {"tests": str(len(results)), "failures": str(failed), "errors": str(broken)}
    root = ElementTree.Element("testsuites", {"name": "cnnc", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "cnnc check", **counts})
    for result in results:
        name = visible(result.path)
        case = ElementTree.SubElement(suite, "testcase", {"classname": "cnnc.check", "name": name, "file": name})
        errors = [each for each in result.diagnostics if each.severity == "error"]
        warnings = [render(each, color=False) for each in result.diagnostics if each.severity != "error"]
        if errors:
            first = {"type": errors[0].code.value, "message": visible(errors[0].message)}
            failure = ElementTree.SubElement(case, "failure", first)
            failure.text = _for_xml("\n\n".join(render(each, color=False) for each in errors))
        if result.failure is not None:
            ElementTree.SubElement(case, "error", {"type": "internal", "message": visible(result.failure)})
        if warnings:
            ElementTree.SubElement(case, "system-out").text = _for_xml("\n\n".join(warnings))
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=False)


def _for_xml(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _as_gitlab(results: Sequence[SpecFindings]) -> str:
    """Return GitLab's code quality report, which its merge requests show beside the changed lines."""
    found = [
        {
            "description": annotation(each),
            "check_name": each.code.value,
            "fingerprint": _fingerprint(each),
            "severity": "major" if each.severity == "error" else "minor",
            "location": _gitlab_place(each.span),
        }
        for each in _distinct(results)
    ]
    failed = [
        {
            "description": visible(f"cnnc itself failed: {each.failure}"),
            "check_name": "internal error",
            "fingerprint": sha256(f"{each.path}\0{each.failure}".encode("utf-8", "backslashreplace")).hexdigest(),
            "severity": "blocker",
            "location": {"path": each.path, "lines": {"begin": 1}},
        }
        for each in results
        if each.failure is not None
    ]
    return json.dumps([*found, *failed], indent=2)


def _gitlab_place(span: Span | None) -> dict[str, Any]:
    line = span.line if span and span.path is None else 1
    return {"path": Path(span.source.name).as_posix() if span else ".", "lines": {"begin": line}}


def _fingerprint(each: Diagnostic) -> str:
    """Identify a diagnostic by its file, the text of its line and its message: lines above it may come and go."""
    span = each.span
    place = (span.source.name, span.path or span.source.line(span.line), str(span.column)) if span else ()
    return sha256("\0".join((each.code, each.message, *place)).encode("utf-8", "backslashreplace")).hexdigest()


def _distinct(results: Sequence[SpecFindings]) -> list[Diagnostic]:
    """Return the diagnostics of all results in order, each once."""
    return list({str(each): each for result in results for each in result.diagnostics}.values())


REPORTS: dict[str, Callable[[Sequence[SpecFindings]], str]] = {
    "sarif": _as_sarif,
    "junit": _as_junit,
    "gitlab": _as_gitlab,
}
