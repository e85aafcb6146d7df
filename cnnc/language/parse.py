"""Parses the values of a file into a `Spec`; checks keys, nodes, and the names of ops, attributes and blocks.

Takes the `Value` of a whole file; returns a `Spec` and reports every error that does not depend on shapes. A node that
cannot be read becomes a broken `Item`, so that the rest can still be checked; misspelt names are corrected.
"""

from collections.abc import Iterable, Mapping

from cnnc.diagnostics import Code, Diagnostic, Note, Report, Source
from cnnc.diagnostics.json_help import in_braces
from cnnc.language.allow import read_allow
from cnnc.language.imports import used_blocks
from cnnc.language.known_names import Known
from cnnc.language.model import Block, Budget, Header, Item, Library, Spec
from cnnc.language.names import file_name
from cnnc.language.nodes import given_twice, read_blocks, read_items, read_params
from cnnc.language.recipe import Train
from cnnc.language.validate import meant, salvage, show, validate
from cnnc.language.version import added, check_version, top
from cnnc.text.source import Read, read
from cnnc.text.value import Value

_INPUT = {"image": [1, 28, 28]}
_NODES = "add `nodes:`, a list of nodes such as `- conv: {out: 6, kernel: 5}`"


def parse(source: Source, root: Value, report: Report, read: Read = read) -> Spec | None:
    """The spec that `root` describes; None if it is written in another version of the language.

    `read` reads the files that `use` names.
    """
    spelt = _corrected(root)
    assert isinstance(spelt.data, dict)
    library = {"blocks", "use"} & spelt.data.keys() and not {"nodes", "input", "inputs"} & spelt.data.keys()
    kind: type[Header | Library] = Library if library else Header
    what = "a file of blocks" if library else "the spec"
    validate(kind, root, what, report)
    header = salvage(Header, spelt, what, lambda _: None)  # misspelt keys have been reported, and are still read
    if header is None or not check_version(header.cnnc, root, report):
        return None
    known = _all_blocks(source, header, report, read)
    items = _mended(read_items(header.nodes, report) if header.nodes else (), known, report)
    blocks = {name: each._replace(items=_mended(each.items, known, report)) for name, each in known.blocks.items()}
    check_recursion(blocks, report)
    if header.nodes is None and not library:
        node = {"conv": {"out": 6, "kernel": 5}}
        help = f"add {added(root, 'nodes', [node])}" if in_braces(root.span.source) else _NODES
        report(Diagnostic(Code.MISSING_KEY, "the spec needs `nodes`", top(root), help=help))
    return Spec(
        source=source,
        root=root,
        name=file_name(source, header.name, root, report),
        description=header.description,
        params=read_params(header.params, "`params`", report),
        inputs=None if library else _inputs(header, spelt, report),
        outputs=header.outputs,
        blocks=blocks,
        items=items,
        labels=tuple(header.labels) if header.labels else None,
        budget=validate(Budget, header.budget, "`budget`", report) if header.budget else None,
        train=validate(Train, header.train, "`train`", report) if header.train else None,
        library=bool(library),
        allow=read_allow(header.allow, report),
    )


def _corrected(root: Value) -> Value:
    """The top level with misspelt keys corrected: they are reported, but their values are read."""
    assert isinstance(root.data, dict)
    right = {key: name for name, key in meant(Header, root).items() if name not in root.data}
    data = {right.get(key, key): item for key, item in root.data.items()}
    return Value(data, root.span, {right.get(key, key): span for key, span in root.keys.items()})


def _all_blocks(source: Source, header: Header, report: Report, read: Read) -> Known:
    """The blocks of a file and of those that it uses."""
    blocks = read_blocks(header.blocks, report)
    faults: list[Diagnostic] = []
    used = used_blocks(source, header.use, faults.append, read) if header.use else {}
    for each in faults:
        report(each)
    for name in sorted(blocks.keys() & used.keys()):
        report(given_twice(name, blocks[name].span, used[name].span))
    return Known({**used, **blocks}, complete=not faults)


def _mended(items: Iterable[Item], known: Known, report: Report) -> tuple[Item, ...]:
    """The items with unknown names corrected, after reporting them."""
    found = []
    for each in items:
        if each.body is not None:
            body = each.body._replace(items=_mended(each.body.items, known, report))
            found.append(each._replace(body=body))
            continue
        item = known.with_own_share(each)
        if not known.knows(item):
            from cnnc.language.unknown_names import corrected  # a spec without errors does not need it

            item = corrected(item, known, report)
        found.append(item)
    return tuple(found)


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
                Code.NO_INPUT_OR_OUTPUT, "the spec has no input", top(root), help=f"add {added(root, 'input', _INPUT)}"
            )
        )
    elif not isinstance(given.data, dict) or not given.data:
        key, shape = "input" if header.input else "inputs", given.plain()
        message = f"`{key}` must map a name to a shape, got {show(shape)}"
        if not shape or not isinstance(shape, list) or {*map(type, shape)} - {int, type(None)}:
            shape = _INPUT["image"]
        help = f"write `{key}: {{image: {show(shape)}}}`: channels, height, width"
        report(Diagnostic(Code.BAD_VALUE, message, given.span, help=help))
        return None
    elif header.input and len(given.data) > 1:
        keys = list(given.keys.values())
        message = f"`input` must be a single input, got {len(keys)}"
        report(Diagnostic(Code.BAD_VALUE, message, keys[1], help="write several as `inputs: {…}`"))
    return given


def check_recursion(blocks: Mapping[str, Block], report: Report) -> None:
    """Report blocks that contain themselves, with the whole cycle."""
    spans = {
        (block.name, item.op): item.span
        for block in blocks.values()
        for item in _flat(block.items)
        if item.op in blocks
    }
    if not spans:
        return
    from graphlib import CycleError, TopologicalSorter  # most specs do not need it

    inside: dict[str, set[str]] = {}
    for a, b in spans:
        inside.setdefault(a, set()).add(b)
    try:
        TopologicalSorter(inside).prepare()
    except CycleError:
        import networkx as nx  # takes as long to import as the rest of a check
    else:
        return

    uses: nx.DiGraph[str] = nx.DiGraph(list(spans))
    for loop in nx.strongly_connected_components(uses):
        ring = uses.subgraph(loop)
        if ring.number_of_edges():
            way = [(a, b) for a, b in nx.find_cycle(ring)]
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
