"""Hover: what the check found out about a node, and what the language says about the word under the mouse."""

from collections.abc import Iterator

from lsprotocol.types import Hover, MarkupContent, MarkupKind, Position

from cnnc.analysis.receptive_field import Field
from cnnc.diagnostics import Code
from cnnc.editor.cursor import Cursor, cursor_at
from cnnc.editor.facts import Fact
from cnnc.editor.navigation import symbol_at
from cnnc.editor.schema import Key, keys_at, written
from cnnc.editor.sections import Section, WrittenNode, mapping
from cnnc.editor.session import EditorSession
from cnnc.editor.symbols import Occurrence
from cnnc.language.reference import WORDS, section_of
from cnnc.ops import registry
from cnnc.ops.describe import op_page
from cnnc.text.value import Value

MOST_INSTANCES = 8
CODES = {code.value: code for code in Code}


def hover(session: EditorSession, key: str, position: Position) -> Hover | None:
    """What is known of the word at a position."""
    parts = [part for part in _parts(session, key, position) if part]
    if not parts:
        return None
    return Hover(MarkupContent(MarkupKind.Markdown, "\n\n---\n\n".join(parts)))


def _parts(session: EditorSession, key: str, position: Position) -> Iterator[str]:
    cursor = cursor_at(session, key, position)
    found = symbol_at(session, key, position)
    entry = _entry_at(session, key, position)
    if entry:
        yield _facts(session, key, entry)
        yield _about_op(session, key, entry.op)
        return
    if found and found.symbol.kind == "value":
        yield _value(session, found)
    elif found and found.symbol.kind == "param":
        yield _param(session, found)
    elif found and found.symbol.kind == "block":
        yield _about_op(session, key, found.symbol.name)
    if cursor and cursor.is_key:
        yield _about_key(cursor)
    elif cursor and cursor.text in CODES:
        yield CODES[cursor.text].page.rstrip()


def _entry_at(session: EditorSession, key: str, position: Position) -> WrittenNode | None:
    """The entry whose op is at a position."""
    positions = session.positions(key)
    offset = positions.offset(position)
    section = session.documents.contents(key).section
    for entry in section.all_entries() if section else ():
        start, end = positions.extent(entry.span)
        if start <= offset <= end:
            return entry
    return None


def _facts(session: EditorSession, key: str, entry: WrittenNode) -> str:
    """The facts about an entry: in full for a single instance, else as a table."""
    place = (key, entry.span.line, entry.span.column)
    found = [fact for each in session.facts(key) for path in each.paths(place) if (fact := each.of(path))]
    if len(found) == 1:
        return _described(found[0])
    if not found:
        return ""
    rows = [f"| `{fact.path}` | {fact.shape} | {fact.params:,} | {_number(fact.macs)} |" for fact in found]
    more = [f"| and {len(rows) - MOST_INSTANCES} more | | | |"] if len(rows) > MOST_INSTANCES else []
    head = ["| instance | output | parameters | MACs |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows[:MOST_INSTANCES], *more])


def _described(fact: Fact) -> str:
    if not fact.shape:
        return f"**`{fact.path}`** has no known shape, because of an error in it or before it"
    lines = [f"**`{fact.path}`** {fact.takes or 'no input'} → **{fact.shape}**"]
    if fact.params or fact.macs:
        lines.append(f"- {fact.params:,} parameters, {_number(fact.macs)} MACs")
    if fact.field:
        lines.append(f"- receptive field {_field(fact.field)}")
    if fact.memory is not None:
        lines.append(f"- {fact.memory / 1e6:,.2f} MB of output at batch 1 in float32")
    if fact.node and fact.node.shares:
        lines.append(f"- shares the parameters of `{fact.node.shares}`")
    return "\n".join(lines)


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _field(field: Field) -> str:
    if field.height.whole and field.width.whole:
        return "the whole input"
    size, stride = _sides(field, "size"), _sides(field, "stride")
    return f"{size}, stride {stride}" if stride else size


def _sides(field: Field, name: str) -> str:
    values = [getattr(side, name) for side in (field.height, field.width)]
    return "" if None in values else "×".join(map(str, dict.fromkeys(values) if name == "stride" else values))


def _about_op(session: EditorSession, key: str, op: str) -> str:
    """The page of an op, or the description and parameters of a block."""
    block = session.documents.block(key, op)
    if block:
        about = mapping(block[1].value).get("description")
        params = mapping(mapping(block[1].value).get("params"))
        lines = [f"block `{op}`" + (f" of {block[0]}" if block[0] != key else "")]
        lines += [str(about.plain())] if about else []
        lines += [f"Parameters: {', '.join(_param_of_block(*each) for each in params.items())}"] if params else []
        return "\n\n".join(lines)
    if op in registry.PLACES:
        return op_page(registry.get(op))
    return section_of(op) or "" if op in WORDS else ""


def _param_of_block(name: str, default: Value) -> str:
    return f"`{name}`" + ("" if default.data is None else f" = {written(default.plain())}")


def _value(session: EditorSession, found: Occurrence) -> str:
    """The facts about the node that a name means."""
    contents = session.documents.contents(found.symbol.file)
    for section in contents.section.walk() if contents.section else ():
        if section.path == found.symbol.section and (entry := section.names.get(found.symbol.name)):
            return _facts(session, found.symbol.file, entry) or f"`{found.symbol.name}`: {entry.op}"
        if section.path == found.symbol.section and found.symbol.name in section.inputs:
            return _input(session, found.symbol.file, section, found.symbol.name)
    return ""


def _input(session: EditorSession, file: str, section: Section, name: str) -> str:
    graph = session.analyses.of(file).graph
    known = {each.name: str(each.type) for each in graph.inputs} if graph and section.kind == "file" else {}
    return f"input `{name}`: {known[name]}" if name in known else f"input `{name}`"


def _param(session: EditorSession, found: Occurrence) -> str:
    """The default of a parameter, or the list that its values come from."""
    contents = session.documents.contents(found.symbol.file)
    for section in contents.section.walk() if contents.section else ():
        if section.path == found.symbol.section:
            for key in ("params", "over"):
                params = mapping(mapping(section.value).get(key))
                if found.symbol.name in params:
                    return _default(found.symbol.name, params[found.symbol.name].plain(), key)
    return ""


def _default(name: str, value: object, kind: str) -> str:
    if kind == "over":
        return f"`{name}` takes its values from {written(value)}"
    return f"parameter `{name}`, required" if value is None else f"parameter `{name}`, default {written(value)}"


def _about_key(cursor: Cursor) -> str:
    """The meaning of a key."""
    known = next((each for each in keys_at(cursor.around) if each.name == cursor.text), None)
    lines = [_described_key(known)] if known else []
    page = section_of(cursor.text) if cursor.text in WORDS and not cursor.op_key else None
    return "\n\n".join(filter(None, [*lines, page]))


def _described_key(key: Key) -> str:
    """A key with its meaning, its type and its default."""
    default = "" if key.default is None else f"; default: `{key.default}`"
    takes = f" ({key.takes}{default})" if key.takes else ""
    about = key.about or ("required" if key.required else "")
    return f"**`{key.name}`**{takes}" + (f": {about}" if about else "")
