"""Every way in which `cnnc check` can show a spec: each renderer of the product's table with each option, each report.

All of it is read from the product: a renderer or a report that is added there, or an option, is tried here.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from xml.etree import ElementTree

from jsonschema import Draft4Validator

from cnnc.cli import renderers, reports
from cnnc.compiler import Checked
from cnnc.diagnostics import Change, Fix, Insert, Put, Remove, Source, Span, Write
from cnnc.diagnostics.suggestions import ways
from cnnc.formatting.edits import apply, text_edits
from cnnc.language import validate
from cnnc.text.reader import parse_text

PLAIN = {"depth": None, "wide": False, "sort": None, "batch": None, "brief": False}


def views(renderer: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """No options, each by itself with every value that it takes, and all of them but `brief`, which hides the rest."""
    kinds = get_type_hints(renderer, localns={"Checked": Checked})
    heeded = [name for name, each in signature(renderer).parameters.items() if each.kind is Parameter.KEYWORD_ONLY]
    values = {name: list(_values(kinds[name])) for name in heeded}
    yield PLAIN
    yield from ({**PLAIN, name: value} for name, each in values.items() for value in each)
    if len(values) > 1:
        yield {**PLAIN, **{name: each[-1] for name, each in values.items() if name != "brief"}}


def _values(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif kind is bool:
        yield True
    elif kind is int:
        yield from (1, 3)
    elif get_args(kind):  # a union
        for each in get_args(kind):
            yield from _values(each)
    elif kind is not NoneType:
        raise TypeError(f"which values does an option of {kind} take?")


WAYS = [(format, show, view) for format, show in renderers.RENDERERS.items() for view in views(show)]


def show_every_way(checked: Checked) -> None:
    """Show a check in all ways: something is said of whatever is wrong, and what is for programs can be read."""
    for format, show, view in WAYS:
        shown = show(checked, **view)
        said = "\n".join([*shown.out, *shown.err])
        assert all(f"{each.code}" in said for each in checked.diagnostics), (format, view)
        if format == "json":
            [line] = shown.out
            found = json.loads(line, parse_constant=_refuse)
            assert (found["spec"], found["ok"]) == (checked.path, checked.ok)
    for format, report in reports.REPORTS.items():
        text = report([reports.SpecFindings(checked.path, checked.diagnostics)])
        assert all(f"{each.code}" in text for each in checked.diagnostics), format
        PARSERS[format](text)
    for each in checked.diagnostics:
        for help, fix in ways(each):
            _require_true(help, fix)


def _require_true(help: str, fix: Fix) -> None:
    """A fix does what the help says, and leaves a text that can be read."""
    own = {name for change in fix.changes if isinstance(change, Insert) for name in _names(change)}
    assert all(_is_said(help, change) or (isinstance(change, Write) and change.data in own) for change in fix.changes)
    if text_edits(fix):
        text, count = apply(fix.source, [fix])
        assert (count, text != fix.source.text) == (1, True)
        parse_text(Source(fix.source.name, text))


def _names(change: Insert) -> Iterator[str]:
    yield from (
        body["name"] for node in change.nodes if isinstance(node, dict) for body in node.values() if "name" in body
    )


def _is_said(help: str, change: Change) -> bool:
    match change:
        case Insert(_, nodes):
            return all(f"`{each if isinstance(each, str) else next(iter(each))}" in help for each in nodes)
        case Remove():
            return "write only its name" in help or "it has no attributes" in help or "remove it" in help
        case Put(_, attribute, data):
            keys, values = (attribute, f'"{attribute}"'), (validate.show(data), str(data))  # JSON has quotes, YAML none
            return any(f"`{key}: {value}`" in help for key in keys for value in values)
        case Write(_, dict() as body):
            return all(key in help and str(value if key != "from" else value[0]) in help for key, value in body.items())
        case Write(_, list() as items):
            return f"[{', '.join(map(str, items))}]" in help
    at, data = change
    return _is_written(help, at, data) if isinstance(data, str) else validate.show(data) in help


def _is_written(help: str, at: Span, data: str) -> bool:
    old = at.source.line(at.line)[at.column - 1 :]
    return data in help or all(part in help or part in old for part in data.split("."))  # a part of a path


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _gitlab(text: str) -> None:
    for each in json.loads(text):
        assert set(each) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert each["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert each["location"]["lines"]["begin"] > 0


SARIF = Draft4Validator(
    json.loads(gzip.decompress((Path(__file__).parent / "diagnostics/sarif-2.1.0.json.gz").read_bytes()))
)
PARSERS = {"sarif": lambda text: SARIF.validate(json.loads(text)), "junit": ElementTree.fromstring, "gitlab": _gitlab}
