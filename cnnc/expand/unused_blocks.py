"""Checks nodes whose inputs are unknown: in unused blocks, and in a spec without inputs.

Takes blocks and items; reports diagnostics, mostly about values and names, because all shapes are unknown.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from cnnc.diagnostics import Code, Diagnostic, Report
from cnnc.expand.expander import Expander
from cnnc.expand.infer_node import Inference
from cnnc.expand.scope import FAILED, NOTHING, Names, Scope
from cnnc.expressions.budget import Work
from cnnc.language.model import Block, Item
from cnnc.text.value import Value


def rehearse_items(
    items: tuple[Item, ...],
    blocks: Mapping[str, Block],
    variables: Mapping[str, object],
    report: Report,
    work: Work,
) -> None:
    """Check the nodes of a spec without inputs, and its blocks."""

    def report_sure(diagnostic: Diagnostic) -> None:
        if diagnostic.code not in (Code.UNKNOWN_NODE, Code.FAILED_EXPRESSION):  # it may refer to an input
            report(diagnostic)

    inference = Inference(work=work)
    Expander(blocks, inference).fill(items, Scope("", Names(), report_sure, variables, work=work), FAILED)
    rehearse_blocks(blocks, inference.scopes.values(), report, work)


def rehearse_blocks(blocks: Mapping[str, Block], used: Collection[str], report: Report, work: Work) -> None:
    """Check the blocks that are not `used`, as instances with unknown inputs and parameters."""

    def report_plainly(diagnostic: Diagnostic) -> None:
        report(replace(diagnostic, notes=diagnostic.notes[:-1]))  # the instance is artificial, without a place

    for name, block in blocks.items():
        if name not in used:
            item = Item(name, block.span, Value({}, block.span))
            wires = tuple(NOTHING for _ in block.inputs)
            outside = Scope("", Names(), report_plainly, work=work)
            bodies = Expander(blocks, Inference(work=work), rehearsed=True).bodies
            bodies.body(item, name, wires, outside, unknown=block.params.keys())
