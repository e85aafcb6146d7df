"""From a text's values to a `Spec`: keys, nodes, and the names of ops, attributes and blocks are checked here.

In: the `Value` of a whole file. Out: a `Spec` and every diagnostic that needs no shapes. A node that cannot be read
becomes a broken `Item`, so that what stands around it can still be proved.
"""

from collections.abc import Mapping

from cnnc.diagnostics import Code, Diagnostic, Note, Source
from cnnc.ops import registry
from cnnc.spec.imports import used_blocks
from cnnc.spec.model import Block, Budget, Header, Item, Spec, Train
from cnnc.spec.names import file_name
from cnnc.spec.nodes import TAKES_ACT, WORDS, Report, given_twice, read_blocks, read_items, read_params
from cnnc.spec.suggestions import did_you_mean
from cnnc.spec.validate import validate
from cnnc.spec.value import Value


def parse(source: Source, root: Value, report: Report) -> Spec | None:
    """The spec that `root` describes; None where not even its top level can be read."""
    header = validate(Header, root, "the spec", report)
    if header is None:
        return None
    blocks = read_blocks(header.blocks, report)
    used = used_blocks(source, header.use, report) if header.use else {}
    for name in blocks.keys() & used.keys():
        report(given_twice(name, blocks[name].span, used[name].span))
    blocks = {**used, **blocks}
    items = read_items(header.nodes, report)
    check_items(items, blocks, report)
    for block in blocks.values():
        check_items(block.items, blocks, report)
    check_recursion(blocks, report)
    return Spec(
        source=source,
        root=root,
        name=file_name(source, header.name, root, report),
        description=header.description,
        params=read_params(header.params, "params", report),
        inputs=_inputs(header, root, report),
        outputs=header.outputs,
        blocks=blocks,
        items=items,
        labels=tuple(header.labels) if header.labels else None,
        budget=validate(Budget, header.budget, "budget", report) if header.budget else None,
        train=validate(Train, header.train, "train", report) if header.train else None,
    )


def _inputs(header: Header, root: Value, report: Report) -> Value | None:
    if header.input and header.inputs:
        report(
            Diagnostic(
                Code.BAD_VALUE, "the spec has both `input` and `inputs`", root.keys["inputs"], help="keep one of them"
            )
        )
    given = header.input or header.inputs
    if given is None:
        report(
            Diagnostic(
                Code.NO_INPUT_OR_OUTPUT, "the spec has no input", root.span, help="add `input: {image: [1, 28, 28]}`"
            )
        )
    elif not isinstance(given.data, dict) or not given.data:
        report(
            Diagnostic(
                Code.BAD_VALUE,
                "an input is a name and a shape",
                given.span,
                help="write `input: {image: [1, 28, 28]}`: channels, height, width",
            )
        )
        return None
    elif header.input and len(given.data) > 1:
        keys = list(given.keys.values())
        report(Diagnostic(Code.BAD_VALUE, "`input` holds one input", keys[1], help="several are `inputs: {…}`"))
    return given


def check_items(items: tuple[Item, ...], blocks: Mapping[str, Block], report: Report) -> None:
    """Hold the ops, blocks and attributes that nodes name against those that there are."""
    for item in items:
        if item.body is not None:
            check_items(item.body.items, blocks, report)
        elif not item.broken:
            _check_item(item, blocks, report)


def _check_item(item: Item, blocks: Mapping[str, Block], report: Report) -> None:
    if item.op in blocks:
        known, kind = tuple(blocks[item.op].params), "parameter"
    elif item.op in registry.names():
        known, kind = (*registry.get(item.op).model_fields, *(("act",) if item.op in TAKES_ACT else ())), "attribute"
    else:
        options = [*registry.names(), *blocks, "group", "each"]
        report(
            Diagnostic(
                Code.UNKNOWN_OP, f"there is no op or block `{item.op}`", item.span, help=did_you_mean(item.op, options)
            )
        )
        return
    for key, span in item.attributes.keys.items():
        if key not in known and key not in WORDS:
            message = f"`{item.op}` has no {kind} `{key}`"
            report(Diagnostic(Code.UNKNOWN_ATTRIBUTE, message, span, help=did_you_mean(key, (*known, *WORDS))))


def check_recursion(blocks: Mapping[str, Block], report: Report) -> None:
    """Refuse blocks that contain themselves; names the whole way round."""
    spans = {
        (block.name, item.op): item.span
        for block in blocks.values()
        for item in _flat(block.items)
        if item.op in blocks
    }
    if not spans:
        return
    import networkx as nx  # takes as long to import as the rest of a check

    uses: nx.DiGraph[str] = nx.DiGraph(list(spans))
    for loop in nx.strongly_connected_components(uses):
        inside = uses.subgraph(loop)
        if inside.number_of_edges():
            way = [(a, b) for a, b in nx.find_cycle(inside)]
            names = " → ".join(f"`{name}`" for name in [way[0][0], *(b for _, b in way)])
            notes = tuple(Note(f"`{a}` uses `{b}` here", spans[a, b]) for a, b in way[1:])
            report(
                Diagnostic(
                    Code.RECURSIVE_BLOCK,
                    f"a block contains itself: {names}",
                    spans[way[0]],
                    notes=notes,
                    help="a block may use other blocks, but not itself; `repeat: n` chains instances",
                )
            )


def _flat(items: tuple[Item, ...]) -> "list[Item]":
    return [each for item in items for each in ([item] if item.body is None else _flat(item.body.items))]
