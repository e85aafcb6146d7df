"""All that a graph implies beyond its shapes: receptive fields, the sizes that it takes, the memory that it needs.

In: a proved graph; nothing is allocated. Out: an `Implied`, and its JSON, whose form is a promise to other programs.
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
    """`fields` by node, in the first input; the `sizes` that the network takes; its `memory` at a batch; and FLOPs.

    FLOPs are two for each of the MACs, the multiply-adds of conv and linear; None where sizes are open.
    """

    fields: dict[str, Field]
    sizes: Rules
    memory: Memory
    flops: int | None


def implied(graph: Graph, batch: int = 1) -> Implied:
    """What the graph implies, with the memory of `batch` samples at once."""
    macs = totals(graph).macs
    flops = None if macs is None else 2 * macs
    return Implied(receptive_fields(graph), size_rules(graph), memory(graph, batch), flops)


def implied_json(found: Implied) -> dict[str, Any]:
    """What `check --format json` says under `implies`."""
    sizes, needs = found.sizes, found.memory
    return {
        "smallest": list(sizes.smallest),
        "height": _rule(sizes.height),
        "width": _rule(sizes.width),
        "independent": sizes.independent,
        "either": None if sizes.either is None else list(sizes.either),
        "examples": [[list(each.shape) for each in types] for types in sizes.examples],
        "memory": {**asdict(needs), "inference": needs.inference, "training": needs.training},
        "flops": found.flops,
    }


def field_json(field: Field | None) -> dict[str, Any]:
    """The three keys of a node: [height, width] each, None where the node does not see the first input."""
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
