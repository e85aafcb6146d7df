"""A check of a spec in two steps, so that an editor can show shapes before the search for causes of errors.

`prove_values` turns the values of a spec into a graph; `complete` checks what only a whole network can show, or looks
for the causes of errors. Both add to the same `Collector`, whose `Enough` they raise if there are too many errors.
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from cnnc.analysis.lint import lint
from cnnc.diagnostics import Source
from cnnc.diagnostics.collector import Collector
from cnnc.expand.prove import check_whole, prove
from cnnc.graph.graph import Graph
from cnnc.language.model import Spec
from cnnc.language.parse import parse
from cnnc.text.source import Read, read
from cnnc.text.value import Value


class Proved(NamedTuple):
    """A spec and its graph; None if they cannot be known. `settings` are the caller's values for parameters."""

    spec: Spec | None
    graph: Graph | None
    settings: Mapping[str, Value]


def prove_values(
    source: Source, root: Value, settings: Mapping[str, Value], collector: Collector, read: Read = read
) -> Proved:
    """Parse the values of a spec and infer its graph; `read` reads the files that it uses."""
    spec = parse(source, root, collector.add, read)
    if spec is None:
        return Proved(None, None, settings)
    collector.allow = spec.allow
    return Proved(spec, prove(spec, settings, collector.add), settings)


def complete(proved: Proved, collector: Collector) -> None:
    """Check a network without errors as a whole, or explain the errors that were found."""
    spec, graph, settings = proved
    if spec is None or graph is None:
        return
    if not collector.found:
        _check_proved(graph, spec, collector, settings=bool(settings))
    if collector.found:
        from cnnc.causes.shape_causes import explain  # not needed for a spec without errors

        collector.explain(partial(explain, graph=graph, spec=spec, overrides=settings))


def _check_proved(graph: Graph, spec: Spec, collector: Collector, *, settings: bool) -> None:
    """Report what only a network of proved nodes can show; `settings`: whether the caller has set parameters."""
    check_whole(graph, spec, collector.add)
    if not all(each.type.known for each in graph.inputs):
        from cnnc.causes.open_sizes import check_sizes

        check_sizes(graph, collector.add)
    for node, warning in lint(graph, None if spec.params else spec.source):
        collector.warn(warning, graph.allows.get(node.path, ()))
    if not (settings or collector.found):  # with other parameters an `allow` may silence nothing
        collector.warn_of_unused(graph.allows.values(), spec.source)
