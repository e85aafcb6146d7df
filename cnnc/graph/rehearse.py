"""What can be said of nodes without inputs: those of blocks that nothing uses, and of a spec whose inputs are not known.

In: blocks and items. Out: diagnostics, of values and names for the most part; every shape is unknown.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from cnnc.diagnostics import Code, Diagnostic
from cnnc.graph.expand import Expander
from cnnc.graph.scope import Bound, Scope, literal_names
from cnnc.graph.sources import NOTHING
from cnnc.graph.values import parameters
from cnnc.spec.model import Block, Item
from cnnc.spec.value import Value

Report = Callable[[Diagnostic], None]


def rehearse_items(
    items: tuple[Item, ...], blocks: Mapping[str, Block], variables: dict[str, object], report: Report
) -> None:
    """Look at the nodes of a spec that has no inputs, and at its blocks."""

    def report_sure(diagnostic: Diagnostic) -> None:
        if diagnostic.code not in (Code.UNKNOWN_NODE, Code.FAILED_EXPRESSION):  # it may speak of an input
            report(diagnostic)

    top = Scope("", variables, {}, literal_names(items))
    expander = Expander(blocks, report_sure)
    expander.run(items, top, Bound(failed=True))
    expander.settle(top)
    rehearse_blocks(blocks, expander.scopes.values(), report)


def rehearse_blocks(blocks: Mapping[str, Block], used: Collection[str], report: Report) -> None:
    """Look at the blocks that are not `used`, as instances of which nothing is known."""

    def report_plainly(diagnostic: Diagnostic) -> None:
        report(replace(diagnostic, notes=diagnostic.notes[:-1]))  # the instance is ours, and no place in the text

    for name, block in blocks.items():
        if name not in used:
            expander = Expander(blocks, report_plainly)
            variables = parameters(block.params, {}, {}, report, block.params)
            item = Item(name, block.span, Value({}, block.span))
            wires = tuple(NOTHING for _ in block.inputs)
            expander.body(block, name, name, wires, variables, item, Scope("", {}, {}))
