"""What can be said of nodes without inputs: those of blocks that nothing uses, and of a spec without inputs.

In: blocks and items. Out: diagnostics, of values and names for the most part; every shape is unknown.
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
    """Look at the nodes of a spec that has no inputs, and at its blocks."""

    def report_sure(diagnostic: Diagnostic) -> None:
        if diagnostic.code not in (Code.UNKNOWN_NODE, Code.FAILED_EXPRESSION):  # it may speak of an input
            report(diagnostic)

    inference = Inference(work=work)
    Expander(blocks, inference).fill(items, Scope("", Names(), report_sure, variables, work=work), FAILED)
    rehearse_blocks(blocks, inference.scopes.values(), report, work)


def rehearse_blocks(blocks: Mapping[str, Block], used: Collection[str], report: Report, work: Work) -> None:
    """Look at the blocks that are not `used`, as instances of which nothing is known."""

    def report_plainly(diagnostic: Diagnostic) -> None:
        report(replace(diagnostic, notes=diagnostic.notes[:-1]))  # the instance is ours, and no place in the text

    for name, block in blocks.items():
        if name not in used:
            item = Item(name, block.span, Value({}, block.span))
            wires = tuple(NOTHING for _ in block.inputs)
            outside = Scope("", Names(), report_plainly, work=work)
            bodies = Expander(blocks, Inference(work=work), rehearsed=True).bodies
            bodies.body(item, name, wires, outside, unknown=block.params.keys())
