"""Changes to a spec, tried: the proof is run again as if they were made, and what it then finds is compared.

In: a spec and what a check found. Out: whether a change mends a fault, and what it lets be seen behind it. All tries of
a check together are bounded, so that a fault in a large network is told as soon as one in a small one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from cnnc.causes.open_sizes import check_sizes
from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.expand.edits import NOTHING, Edits, Impossible
from cnnc.expand.prove import check_whole, prove
from cnnc.expand.refusal import Refused
from cnnc.expressions.budget import Work
from cnnc.graph.graph import Graph
from cnnc.language.model import Spec
from cnnc.ops.types import TensorType
from cnnc.text.value import Value

MAX_NODES = 40_000  # of all tries together
A_TRY = 100  # nodes' worth of work, whatever the size

Fault = tuple[Code, Span | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a changed spec comes to: its graph as far as it is proved, and its faults.

    `hidden` are those that could not be seen before, where a fault stood before them.
    """

    graph: Graph | None
    faults: frozenset[Fault]
    hidden: frozenset[Fault]


class Attempts:
    """Tries changes of one spec, whose `proved` nodes are known, as long as there is room for another."""

    def __init__(
        self, spec: Spec, overrides: Mapping[str, Value], found: Iterable[Diagnostic], proved: Collection[str]
    ) -> None:
        self.spec, self._overrides, self._proved = spec, overrides, proved
        self._before = frozenset(map(_fault, found))
        self._opened: tuple[Mapping[str, TensorType], Graph | None] = ({}, None)
        self._left = MAX_NODES if len(proved) <= MAX_NODES else 0

    def outcome(self, edits: Edits, inputs: Mapping[str, TensorType] | None = None) -> Outcome | None:
        """What becomes of the spec with lines changed and inputs of other shapes; None where it cannot be told."""
        spec = self.spec if inputs is None else _with_inputs(self.spec, inputs)
        if self._left <= 0 or spec is None:
            return None
        work = Work()
        faults: set[Fault] = set()
        hidden: set[Fault] = set()

        def report(diagnostic: Diagnostic) -> None:
            if diagnostic.severity == "error":
                place = hidden if self._unseen(diagnostic) else faults
                place.add(_fault(diagnostic))

        def report_behind(diagnostic: Diagnostic) -> None:
            if diagnostic.severity == "error":
                (faults if _fault(diagnostic) in self._before else hidden).add(_fault(diagnostic))

        try:
            graph = prove(spec, self._overrides, report, edits=edits, work=work)
            if graph is not None and not faults and not hidden:
                check_whole(graph, spec, report_behind)
                if not all(each.type.known for each in graph.inputs):
                    check_sizes(graph, report_behind)
        except Impossible:
            return None
        finally:
            self._left -= work.nodes + work.steps // 4 + A_TRY
        return Outcome(graph, frozenset(faults), frozenset(hidden))

    def opened(self, inputs: Mapping[str, TensorType]) -> Graph | None:
        """The network as it is with inputs of open sizes, as far as that is proved; looked for once."""
        if self._opened[0] != inputs:
            outcome = self.outcome(NOTHING, inputs)
            self._opened = inputs, outcome.graph if outcome else None
        return self._opened[1]

    def mends(self, fault: Diagnostic, outcome: Outcome) -> bool:
        """Whether a fault is gone, and none was brought in."""
        return outcome.graph is not None and outcome.faults <= self._before - {_fault(fault)}

    def _unseen(self, diagnostic: Diagnostic) -> bool:
        """Whether a fault lies where nothing was known before."""
        origin = diagnostic.origin
        fresh = isinstance(origin, Refused) and origin.path not in self._proved
        return fresh and _fault(diagnostic) not in self._before


def _fault(diagnostic: Diagnostic) -> Fault:
    return diagnostic.code, diagnostic.span


def _with_inputs(spec: Spec, types: Mapping[str, TensorType]) -> Spec | None:
    """The spec with inputs of other shapes; None where they are not written so that they could be."""
    if spec.inputs is None or not isinstance(spec.inputs.data, dict):
        return None
    changed = {
        name: _shaped(value, types[name]) if name in types else value for name, value in spec.inputs.data.items()
    }
    return replace(spec, inputs=replace(spec.inputs, data=changed))


def _shaped(value: Value, type: TensorType) -> Value:
    """An input of another shape, written as it was."""
    span = value.span
    shape = Value(tuple(Value(size, span) for size in type.shape), span)
    return replace(value, data={**value.data, "shape": shape}) if isinstance(value.data, dict) else shape
