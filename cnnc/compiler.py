"""The whole way from a file to a proved graph, on one screen.

    path ──read──▶ Source ──parse_text──▶ Value ──parse──▶ Spec ──prove──▶ Graph

Every stage reports what is wrong and goes on where it can; a graph is given only where nothing was wrong. What becomes
of a graph is told in `cnnc.build`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic, Source
from cnnc.graph.graph import Graph
from cnnc.graph.prove import check_whole, prove
from cnnc.spec.parse import parse
from cnnc.spec.reader import parse_text
from cnnc.spec.source import read
from cnnc.spec.value import Value

SpecLike = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """What a check found: the graph as far as it is known, and all diagnostics. It is `ok` where none is an error."""

    path: str
    graph: Graph | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(each.code.severity == "error" for each in self.diagnostics)


def check(spec: SpecLike, *, set: Mapping[str, Any] | None = None) -> Checked:
    """Prove a spec: a path, `-` for standard input, or the spec itself as plain data. Never raises for a wrong spec.

    `set` gives values to the spec's parameters.
    """
    collector = _Collector()
    path = "<dict>" if isinstance(spec, Mapping) else str(spec)
    graph = None
    try:
        source = _from_data(spec) if isinstance(spec, Mapping) else read(spec)
        path = source.name
        overrides = _overrides(set or {})
        root = parse_text(source)
        parsed = parse(source, root, collector.add)
        if parsed is not None:
            graph = prove(parsed, overrides, collector.add)
            if graph is not None and not collector.found:
                check_whole(graph, parsed, collector.add)
    except CnncError as error:
        for diagnostic in error.diagnostics:
            collector.add(diagnostic)
    return Checked(path, graph, tuple(collector.found.values()))


def load(spec: SpecLike, *, set: Mapping[str, Any] | None = None) -> Graph:
    """The proved graph of a spec; raises CnncError with every diagnostic where there is any error."""
    checked = check(spec, set=set)
    if not checked.ok or checked.graph is None:
        raise CnncError(checked.diagnostics)
    return checked.graph


class _Collector:
    """Keeps each fault once: a block's line that is wrong is wrong in all its instances."""

    def __init__(self) -> None:
        self.found: dict[object, Diagnostic] = {}

    def add(self, diagnostic: Diagnostic) -> None:
        shapes_matter = diagnostic.code.value.startswith("E3")
        key = (diagnostic.code, diagnostic.span, diagnostic.message if shapes_matter or not diagnostic.span else "")
        self.found.setdefault(key, diagnostic)


def _from_data(data: Mapping[str, Any]) -> Source:
    """Plain data as the text that it would be, so that its errors have places too."""
    try:
        return Source("<dict>", json.dumps(data, indent=2, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        help = "a spec holds dicts, lists, strings, numbers, true, false and None"
        raise CnncError.of(Code.BAD_VALUE, f"the spec is not plain data: {error}", help=help) from None


def _overrides(given: Mapping[str, Any]) -> dict[str, Value]:
    """The parameters that the caller sets, as values with a place of their own."""
    if not given:
        return {}
    try:
        text = json.dumps(dict(given), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CnncError.of(Code.BAD_VALUE, f"a parameter's value is not plain data: {error}") from None
    root = parse_text(Source("<set>", text))
    assert isinstance(root.data, dict)
    return root.data
