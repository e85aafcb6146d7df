"""Reads blocks and nodes from the values of a spec.

Takes `Value`s and returns `Block`s and `Item`s. A part that cannot be read becomes a broken item, so that the rest can
still be checked. `cnnc.language.parse` checks that ops and attributes exist, once all blocks are known.
"""

from collections.abc import Mapping

from cnnc.diagnostics import Code, Diagnostic, Note, Report, Span
from cnnc.diagnostics.json_help import in_braces
from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.language.allow import read_allow
from cnnc.language.model import WORDS, Block, BlockPart, Item
from cnnc.language.names import COUNTERS, IN_OVER, check_name
from cnnc.language.validate import meant, quote, salvage, show
from cnnc.ops import registry
from cnnc.text.value import Value

GROUP_KEYS = ("params", "inputs", "outputs", "names", "nodes")
EACH_KEYS = ("over", "inputs", "outputs", "names", "nodes")
TAKEN = {name: f"in `repeat` and `each` it is the {what}" for name, what in COUNTERS.items()}
WORD_TAKEN = {  # no instance could set it; `share` is newer than blocks with a parameter of that name
    word: "every node has an attribute of that name" for word in WORDS if word != "share"
}


def read_params(value: Value | None, what: str, report: Report, taken: Mapping[str, str] = TAKEN) -> dict[str, Value]:
    """The parameters of a spec or block, by name; reports names that are `taken`, with the reason."""
    if value is None or value.data is None:
        return {}
    if not isinstance(value.data, dict):
        report(Diagnostic(Code.BAD_VALUE, f"{what} must be a mapping of names to values", value.span))
        return {}
    for name in value.data:
        if check_name(name, value.keys[name], report, "a parameter") and name in taken:
            message = f"`{name}` cannot be the name of a parameter: {taken[name]}"
            report(Diagnostic(Code.BAD_NAME, message, value.keys[name], help="give it a longer name"))
    return value.data


def read_blocks(value: Value | None, report: Report) -> dict[str, Block]:
    """The blocks that a file defines, by name."""
    if value is None or value.data is None:
        return {}
    if not isinstance(value.data, dict):
        report(Diagnostic(Code.BAD_VALUE, "`blocks` must be a mapping of names to blocks", value.span))
        return {}
    blocks = {}
    for name, body in value.data.items():
        span = value.keys[name]
        check_name(name, span, report, "a block")
        if registry.reserved(name) or name in ("group", "each"):
            message = f"a block cannot be named `{name}`: there is an op of that name"
            report(Diagnostic(Code.DUPLICATE_NAME, message, span, help=f"rename it, for example to `{name}_block`"))
        blocks[name] = read_block(name, span, body, report)
    return blocks


def read_block(name: str, span: Span, value: Value, report: Report) -> Block:
    """Read the definition of a block; an unreadable one has a single broken item."""
    value = Value({}, value.span) if value.data is None else value  # `name:` without a value
    part = salvage(BlockPart, value, f"block {quote(name)}", report)
    if part is None:
        return Block(name, span, (_broken(span, value),), {})
    return _block(part, name, span, value, report)


def _block(part: BlockPart, name: str, span: Span, text: Value, report: Report) -> Block:
    outputs = None if part.outputs is None else _ports(part.outputs, report)
    params = read_params(part.params, f"`params` of {quote(name)}", report, TAKEN | WORD_TAKEN)
    if part.nodes is not None and part.nodes.data != ():
        items = read_items(part.nodes, report)
    elif part.nodes is not None:
        items, help = (_broken(span, text),), "add a node, for example `- identity`, which returns its input"
        report(Diagnostic(Code.BAD_VALUE, f"{quote(name)} has no nodes", part.nodes.span, help=help))
    else:
        items = (_broken(span, text),)
        if "nodes" not in meant(BlockPart, text):
            report(Diagnostic(Code.MISSING_KEY, f"{quote(name)} needs `nodes`", span, help="add `nodes: […]`"))
    inputs, allow = _input_names(part, text, report), read_allow(part.allow, report)
    return Block(name, span, items, params, inputs, outputs, part.names == "index", text, allow)


def _input_names(part: BlockPart, text: Value, report: Report) -> tuple[str, ...]:
    """The names of a block's inputs."""
    names = part.inputs or ["input"]
    seen: set[str] = set()
    for index, name in enumerate(part.inputs or ()):
        span = text.at("inputs", index).span
        check_name(name, span, report, "an input")
        if name in seen:
            message = f"the block has two inputs {quote(name)}"
            report(Diagnostic(Code.DUPLICATE_NAME, message, span, help="give each a name of its own"))
        seen.add(name)
    return tuple(names)


def _ports(value: Value, report: Report) -> dict[str, Value] | None:
    """The outputs of a block: one name, a list of names, or a mapping of ports to nodes."""
    if isinstance(value.data, str):
        return {"": value}
    if isinstance(value.data, tuple) and value.data:
        return _listed(value.data, report)
    if isinstance(value.data, dict) and value.data:
        for name, span in value.keys.items():
            check_name(name, span, report, "an output")
        return value.data
    report(
        Diagnostic(
            Code.BAD_VALUE, "`outputs` must be a name, a list of names, or a mapping of ports to names", value.span
        )
    )
    return None


def _listed(names: tuple[Value, ...], report: Report) -> dict[str, Value]:
    """The outputs from a list of names; each is named after its node."""
    ports: dict[str, Value] = {}
    for item in names:
        first = ports.setdefault(str(item.data), item)
        if first is not item:
            message = f"the block has two outputs {quote(str(item.data))}"
            notes = (Note("first here", first.span),)
            report(Diagnostic(Code.DUPLICATE_NAME, message, item.span, notes=notes, help="name it once"))
    return ports


def read_items(value: Value, report: Report) -> tuple[Item, ...]:
    """Read a list of nodes."""
    if not isinstance(value.data, tuple):
        help = "put them in square brackets" if in_braces(value.span.source) else "each node begins with `- `"
        report(Diagnostic(Code.BAD_VALUE, "`nodes` must be a list", value.span, help=help))
        return (_broken(value.span, value),)
    return tuple(read_item(item, report) for item in value.data)


def read_item(value: Value, report: Report) -> Item:
    """Read one node: `op`, or `op: {attributes}`."""
    data = value.data
    if isinstance(data, str) and data:
        return read_item(Value({data: Value(None, value.span)}, value.span, {data: value.span}), report)
    if not isinstance(data, dict) or len(data) != 1:
        return _malformed(value, report)
    op, body = next(iter(data.items()))
    span = value.keys[op]
    if body.data is None:
        body = Value({}, span)
    if not isinstance(body.data, dict):
        return Item(op, span, Value({}, span), broken=True, bare=body)
    words = {word: body.data.get(word) for word in WORDS}
    rest = {key: item for key, item in body.data.items() if key not in WORDS}
    inner = None
    if op in ("group", "each"):
        inner = _inner(op, span, body, report)
        if inner is None:
            return _broken(span, value, op)
        rest.pop("nodes", None)
    attributes = Value(rest, span, {key: body.keys[key] for key in rest})
    return Item(
        op,
        span,
        attributes,
        words["name"],
        words["from"],
        words["when"],
        words["repeat"],
        words["share"],
        inner,
        allow=read_allow(words["allow"], report, Code.BAD_ATTRIBUTE),
    )


def _inner(op: str, span: Span, body: Value, report: Report) -> Block | None:
    """The body of a `group` or an `each`."""
    assert isinstance(body.data, dict)
    allowed = GROUP_KEYS if op == "group" else EACH_KEYS
    kept = {key: item for key, item in body.data.items() if key not in (*WORDS, "over")}
    unknown = [key for key in kept if key not in allowed]
    for key in unknown:
        report(
            Diagnostic(
                Code.UNKNOWN_ATTRIBUTE,
                f"`{op}` has no attribute `{key}`",
                body.keys[key],
                help=did_you_mean(key, (*allowed, *WORDS)),
            )
        )
        del kept[key]
    if op == "each" and "over" not in body.data:
        report(
            Diagnostic(Code.MISSING_ATTRIBUTE, "`each` needs `over`", span, help="add `over: {channels: [64, 128]}`")
        )
        return None
    if op == "each" and isinstance(body.data["over"].data, dict):
        for name, at in body.data["over"].keys.items():
            check_name(name, at, report, IN_OVER)
    if op == "each" and "name" not in body.data:
        for key in ("inputs", "outputs"):
            if key in kept:
                message = f"an `each` without a name has no `{key}`: its nodes see the names around it"
                report(Diagnostic(Code.UNKNOWN_ATTRIBUTE, message, body.keys[key], help="give it a `name`"))
                del kept[key]
    part = salvage(BlockPart, Value(kept, span, body.keys), f"`{op}`", report)
    return None if part is None else _block(part, op, span, body, report)


def _malformed(value: Value, report: Report) -> Item:
    data = value.data
    if isinstance(data, dict) and len(data) > 1:
        first, second = list(data)[:2]
        message = f"a node must have one op, got `{first}` and `{second}`"
        op = data[first].data if first not in registry.PLACES else None
        if isinstance(op, str) and op in registry.PLACES:  # `type: conv`, as in other frameworks
            help = f"write the op as the key: `- {op}: {{{second}: …}}`"
        else:
            from cnnc.language.foreign_nodes import several_ops  # a spec without errors does not need it

            indent = f"indent the attributes of `{first}`, or write `- {first}: {{{second}: …}}`"
            help = several_ops(value.plain()) or indent
        span = value.keys[second]
    else:
        message = f"a node must be `op` or `op: {{attributes}}`, got {show(value.plain())}"
        help, span, first = "for example `- conv: {out: 6, kernel: 5}`", value.span, ""
    report(Diagnostic(Code.MALFORMED_NODE, message, span, help=help))
    return _broken(span, value, first)


def _broken(span: Span, value: Value, op: str = "") -> Item:
    """The item for an unreadable node; keeps its name if it has one, so that references to it are not errors."""
    name = None
    if isinstance(value.data, dict):
        name = next(
            (body.data["name"] for body in value.data.values() if isinstance(body.data, dict) and "name" in body.data),
            None,
        )
    return Item(op, span, Value({}, span), name=name, broken=True)


def given_twice(name: str, span: Span, first: Span) -> Diagnostic:
    """E210 for two blocks of the same name, at the later one."""
    return Diagnostic(
        Code.DUPLICATE_NAME, f"there are two blocks `{name}`", span, notes=(Note("the other is here", first),)
    )
