"""The order of a spec's keys, and which of its parts always have one entry per line.

Keys that the language names are sorted: those of the spec, of blocks, and of nodes. The attributes of an op and all
names that the user gives stay in their order.
"""

from cnnc.formatting.pieces import Collection, Entry, Style

SPEC = (
    *("cnnc", "name", "description", "params", "input", "inputs", "use", "allow", "labels", "budget"),
    *("blocks", "nodes", "outputs", "train"),
)
BLOCK = ("description", "params", "inputs", "names", "outputs", "allow", "nodes")
GROUP = ("name", "from", "repeat", "when", "over", "names", "params", "inputs", "outputs", "share", "allow", "nodes")
BEFORE, AFTER = ("name", "from", "repeat"), ("act", "share", "when", "allow")  # and an op's own attributes between them


def arrange(root: Collection) -> None:
    """Sort the keys of a spec and set the styles of its collections."""
    root.style = Style.BLOCK
    _sort_known(root, SPEC)
    for entry in root.entries:
        if isinstance(part := entry.value, Collection):
            if entry.key == "nodes":
                _arrange_nodes(part)
            elif entry.key == "blocks":
                _arrange_blocks(part)
            elif entry.key == "params":
                part.style = Style.FILL


def _arrange_blocks(blocks: Collection) -> None:
    blocks.style = Style.BLOCK
    for entry in blocks.entries:
        if isinstance(entry.value, Collection):
            _arrange_body(entry.value, BLOCK)


def _arrange_body(body: Collection, order: tuple[str, ...]) -> None:
    """Arrange a block's definition, or the attributes of a `group` or an `each`."""
    body.style = Style.BLOCK
    _sort_known(body, order)
    for entry in body.entries:
        if isinstance(entry.value, Collection):
            if entry.key == "nodes":
                _arrange_nodes(entry.value)
            elif entry.key == "params":
                entry.value.style = Style.FILL


def _arrange_nodes(nodes: Collection) -> None:
    nodes.style = Style.BLOCK
    for item in nodes.entries:
        if isinstance(node := item.value, Collection):
            node.style = Style.NODE
            for entry in node.entries:
                if isinstance(entry.value, Collection):
                    _arrange_attributes(entry.value)


def _arrange_attributes(attributes: Collection) -> None:
    if any(entry.key == "nodes" and isinstance(entry.value, Collection) for entry in attributes.entries):
        _arrange_body(attributes, GROUP)
        return
    attributes.style = Style.FILL
    if attributes.is_mapping:
        attributes.entries.sort(key=_rank_of_attribute)


def _rank_of_attribute(entry: Entry) -> int:
    if entry.key in BEFORE:
        return BEFORE.index(entry.key) - len(BEFORE)
    return AFTER.index(entry.key) + 1 if entry.key in AFTER else 0


def _sort_known(mapping: Collection, order: tuple[str, ...]) -> None:
    """Sort the entries of a mapping by their keys; an unknown key stays after the key before it."""
    ranks: dict[str | None, int] = {}
    rank = 0
    for entry in mapping.entries:
        rank = ranks[entry.key] = order.index(entry.key) if entry.key in order else rank
    mapping.entries.sort(key=lambda entry: ranks[entry.key])
