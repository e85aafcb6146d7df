"""Properties of a graph beyond its shapes: receptive fields, accepted input sizes, memory and FLOPs.

Takes a proved graph and allocates nothing; returns an `Implied`, and its JSON. The JSON format is stable.
"""

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from cnnc.analysis.accepted_sizes import Rule, Rules, size_rules
from cnnc.analysis.cost import totals
from cnnc.analysis.memory import Memory, memory
from cnnc.analysis.receptive_field import Field, receptive_fields
from cnnc.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class Implied:
    """Receptive `fields` by node, in the first input; accepted `sizes`; `memory` at a batch size; and FLOPs.

    FLOPs are twice the MACs, the multiply-adds of conv and linear; None if sizes are open.
    """

    fields: dict[str, Field]
    sizes: Rules
    memory: Memory
    flops: int | None


def implied(graph: Graph, batch: int = 1) -> Implied:
    """Return what the graph implies, with the memory for a batch of `batch` samples."""
    macs = totals(graph).macs
    flops = None if macs is None else 2 * macs
    return Implied(receptive_fields(graph), size_rules(graph), memory(graph, batch), flops)


def implied_json(found: Implied) -> dict[str, Any]:
    """Return the `implies` object of `check --format json`."""
    sizes, needs = found.sizes, found.memory
    return {
        "smallest": list(sizes.smallest),
        "height": _rule(sizes.height),
        "width": _rule(sizes.width),
        "independent": sizes.independent,
        "either": None if sizes.either is None else list(sizes.either),
        "alike": list(sizes.alike),
        "examples": [[list(each.shape) for each in types] for types in sizes.examples],
        "memory": {**asdict(needs), "inference": needs.inference, "training": needs.training},
        "flops": found.flops,
    }


def field_json(field: Field | None) -> dict[str, Any]:
    """Return a node's three keys, [height, width] each; None if the node does not depend on the first input."""
    if field is None:
        return {"receptive_field": None, "stride": None, "offset": None}
    sides = field.height, field.width
    return {
        "receptive_field": [side.size for side in sides],
        "stride": [_number(side.stride) for side in sides],
        "offset": [side.offset for side in sides],
    }


def _rule(rule: Rule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "smallest": rule.smallest,
        "from": rule.start if rule.remainders else None,
        "divisor": rule.divisor,
        "remainders": list(rule.remainders),
        "others": list(rule.others),
    }


def _number(stride: Fraction | None) -> int | float | None:
    if stride is None:
        return None
    return stride.numerator if stride.denominator == 1 else float(stride)
