"""Tries changes to a spec: runs the proof again with them and compares the errors.

Takes a spec and the errors of a check; returns whether a change removes an error, and which errors it reveals. The
total work of all attempts is limited, so that errors in large networks are reported as fast as in small ones.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from cnnc.causes.open_sizes import check_sizes
from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.expand.edits import NOTHING, Edits, Impossible
from cnnc.expand.infer_node import Refused
from cnnc.expand.prove import check_whole, prove
from cnnc.expressions.budget import Work
from cnnc.graph.graph import Graph
from cnnc.language.model import Spec
from cnnc.ops.types import TensorType
from cnnc.text.value import Value

MAX_NODES = 40_000  # of all attempts together
FIXED_COST = 100  # fixed cost of an attempt, in nodes

Fault = tuple[Code, Span | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt: the graph as far as it could be proved, and the errors.

    `hidden` holds the errors that an earlier error had hidden.
    """

    graph: Graph | None
    faults: frozenset[Fault]
    hidden: frozenset[Fault]


class Attempts:
    """Tries changes of one spec within a limit; `proved` holds the nodes of the original that have no error."""

    def __init__(
        self, spec: Spec, overrides: Mapping[str, Value], found: Iterable[Diagnostic], proved: Collection[str]
    ) -> None:
        self.spec, self._overrides, self._proved = spec, overrides, proved
        self._before = frozenset(map(_fault, found))
        self._opened: tuple[Mapping[str, TensorType], Graph | None] = ({}, None)
        self._left = MAX_NODES if len(proved) <= MAX_NODES else 0

    def outcome(self, edits: Edits, inputs: Mapping[str, TensorType] | None = None) -> Outcome | None:
        """The result of changing lines and input shapes; None if it cannot be tried."""
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
            self._left -= work.nodes + work.steps // 4 + FIXED_COST
        return Outcome(graph, frozenset(faults), frozenset(hidden))

    def opened(self, inputs: Mapping[str, TensorType]) -> Graph | None:
        """The network with open input sizes, as far as it can be proved; cached."""
        if self._opened[0] != inputs:
            outcome = self.outcome(NOTHING, inputs)
            self._opened = inputs, outcome.graph if outcome else None
        return self._opened[1]

    def mends(self, fault: Diagnostic, outcome: Outcome) -> bool:
        """Whether a change removes a fault and adds none."""
        return outcome.graph is not None and outcome.faults <= self._before - {_fault(fault)}

    def _unseen(self, diagnostic: Diagnostic) -> bool:
        """Whether a fault is in a node that could not be checked before."""
        origin = diagnostic.origin
        fresh = isinstance(origin, Refused) and origin.path not in self._proved
        return fresh and _fault(diagnostic) not in self._before


def _fault(diagnostic: Diagnostic) -> Fault:
    return diagnostic.code, diagnostic.span


def _with_inputs(spec: Spec, types: Mapping[str, TensorType]) -> Spec | None:
    """The spec with other input shapes; None if its inputs cannot be changed."""
    if spec.inputs is None or not isinstance(spec.inputs.data, dict):
        return None
    changed = {
        name: _shaped(value, types[name]) if name in types else value for name, value in spec.inputs.data.items()
    }
    return spec._replace(inputs=replace(spec.inputs, data=changed))


def _shaped(value: Value, type: TensorType) -> Value:
    """The value of an input with another shape, in its original form."""
    span = value.span
    shape = Value(tuple(Value(size, span) for size in type.shape), span)
    return replace(value, data={**value.data, "shape": shape}) if isinstance(value.data, dict) else shape
