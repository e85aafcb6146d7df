"""Names for nodes, blocks and parameters: valid ones, and those that a person would give."""

import keyword
import re
from collections.abc import Collection

from cnnc.graph.graph import Node
from cnnc.language.names import CONSTANTS, COUNTERS, LONGEST, TAKEN, numbered
from cnnc.ops import registry
from cnnc.ops.conv import Conv
from cnnc.recover.scopes import is_layer
from cnnc.recover.tree import TreeItem

CLASSES = "classes"
"""The parameter that has the number of classes."""


def valid(path: str) -> str:
    """Return a path as a valid name of a node."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", path) if not re.fullmatch(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*", path) else path
    name = name.strip("_") if name.startswith("__") else name
    return name[-LONGEST:].lstrip("_-") or "node"


def unused(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and that a node may have."""
    base, count = name, 1
    while name in taken or name in TAKEN["a node"] or keyword.iskeyword(name):
        count += 1
        name = numbered(base, count)
    return name


NOT_PARAMETERS = CONSTANTS | COUNTERS.keys() | {"name", "from", "when", "repeat", "allow", "share", "over", "nodes"}


def unused_parameter(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, and that a parameter of a block may have."""
    found, count = name, 1
    while found in taken or found in NOT_PARAMETERS or keyword.iskeyword(found):
        count += 1
        found = numbered(name, count)
    return found


# -- blocks

VAGUE = frozenset(
    {"layer", "layers", "block", "blocks", "stage", "conv", "features", "module", "body", "group", "branch"}
)
"""Names of instances that do not say what they are."""


def block_name(names: Collection[str], template: TreeItem, taken: Collection[str]) -> str:
    """Return a name for a block: what the names of its instances have in common, or else what is in it."""
    stems = {re.sub(r"(?<=[A-Za-z])_?\d.*$", "", name) for name in names}
    stem = next(iter(stems)).lower() if len(stems) == 1 else ""
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,}", stem) or stem in VAGUE or stem in taken:
        stem = _by_content(template)
    name, count = stem, 1
    while name in taken or name in registry.PLACES or name in ("group", "each") or keyword.iskeyword(name):
        count += 1
        name = numbered(stem, count) if stem not in registry.PLACES else f"{stem}_block"
        stem = name if stem in registry.PLACES else stem
    return name


def _by_content(template: TreeItem) -> str:
    nodes = [*template.nodes()]
    ops = [node.op.name for node in nodes]
    joins = [item for item in template.items if item.op in ("add", "concat", "mul")]
    tests = (
        (_by_join(joins[-1], template, nodes) if joins else "", bool(joins)),
        ("conv_bn", ops[:2] == ["conv", "batch_norm"] and len(ops) <= 3),
        ("stage", any(item.repeat is not None for item in template.items)),
        (f"{template.items[0].op}s", len({item.op for item in template.items}) == 1),
        ("transition", ops[0] == "batch_norm" and "conv" in ops and "pool" in ops[-1]),
        ("bn_conv", ops[0] == "batch_norm" and "conv" in ops),
        ("head", "linear" in ops),
        ("down", "pool" in ops[0] and getattr(nodes[0].op, "stride", None) != (1, 1)),
        ("pooled", "pool" in ops[0] or "pool" in ops[-1]),
    )
    return next((name for name, fits in tests if fits), "unit")


def _by_join(join: TreeItem, template: TreeItem, nodes: list[Node]) -> str:
    ops = {node.op.name for node in nodes}
    convs = [node.op for node in nodes if isinstance(node.op, Conv)]
    kernels = [max(op.kernel) for op in convs]
    if join.op == "mul":
        return "squeeze_excitation" if ops & {"global_avg_pool", "mean"} else "gate"
    if join.op == "concat":
        kinds = (("up", ops & {"conv_transpose", "upsample"}), ("dense_layer", {*join.inputs} & template.takes.keys()))
        return next((name for name, fits in kinds if fits), "inception")
    if "attention" in ops:
        return "encoder_block"
    if any(op.groups == op.out > 1 for op in convs) and kernels[-1:] == [1]:
        return "inverted_residual"
    if kernels[:1] == [1] and max(kernels) > 1:
        return "bottleneck"
    return "basic_block" if convs else "residual"


def name_parts(root: TreeItem) -> None:
    """Name what a person would name in a network without names: `stem`, `stage1`, `stage2` …, and `head`."""
    layers = [item for item in root.items if item.name is None and any(map(is_layer, item.nodes()))]
    single = [item for item in layers if item.repeat is None]
    ends = zip((layers[:1], layers[-1:]), ("stem", "head"), strict=True)
    for name, item in [(name, item) for items, name in ends for item in items if item in single]:
        item.name, item.exact = name, len(single) > 1
    repeated = [item for item in root.items if item.repeat is not None]
    for at, item in enumerate(repeated if len(repeated) > 1 else []):
        item.name, item.exact = f"stage{at + 1}", True
