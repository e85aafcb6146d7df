"""Completion: what may be written at the cursor.

Ops and blocks in lists of nodes, keys with their types and defaults, values that are words, names in `from`, files in
`use`, and in expressions parameters, sizes and functions.
"""

from collections.abc import Iterator

from lsprotocol import types

from cnnc.diagnostics import Source
from cnnc.diagnostics.json_help import in_braces
from cnnc.editor.choices import Completable, CompletionPlace, files, keys, names, nodes, ports, values
from cnnc.editor.cursor import Cursor, cursor_at
from cnnc.editor.expression_choices import in_expression, of_expression
from cnnc.editor.sections import Section
from cnnc.editor.session import EditorSession
from cnnc.ops import registry
from cnnc.ops.describe import op_page

TRIGGERS = ["$", ".", "(", "{", "[", ",", " ", '"']
_OF_NODES = ("from", "share", "like", "outputs")


def complete_at(
    session: EditorSession, key: str, position: types.Position, *, snippets: bool = True
) -> list[types.CompletionItem]:
    """The completions at a position; `snippets`: whether the editor takes text with places to fill in."""
    cursor = cursor_at(session, key, position)
    if cursor is None:
        return []
    positions = session.positions(key)
    offset = positions.offset(position)
    start = offset - len(cursor.before if cursor.path[:1] == ("use",) else cursor.typed)  # all of a path
    section, quoted = _section(session, key, cursor), _quoted(positions.text, offset, cursor)
    place = CompletionPlace(session, key, cursor, section, quoted)
    found: dict[str, Completable] = {}
    for choice in _choices(place, positions.text[:offset]):
        found.setdefault(choice.label, choice)
    around = positions.between(start, offset)
    order = enumerate(found.values())
    return [_item(choice, f"{index:04}", around, snippets=snippets) for index, choice in order]


def with_page(item: types.CompletionItem) -> types.CompletionItem:
    """The item with the page of its op, which the editor asks for when it shows one item."""
    if item.kind == types.CompletionItemKind.Function and item.label in registry.PLACES:
        page = op_page(registry.get(item.label))
        item.documentation = types.MarkupContent(types.MarkupKind.Markdown, page)
    return item


def _choices(place: CompletionPlace, before: str) -> Iterator[Completable]:
    cursor = place.cursor
    last = next((step for step in reversed(cursor.path) if isinstance(step, str)), "")
    if not cursor.is_key and in_expression(cursor.before):
        yield from of_expression(place)
    elif _is_node(cursor):
        yield from nodes(place)
    elif cursor.is_key:
        yield from keys(place, cursor.around)
    elif last in _OF_NODES or "outputs" in cursor.path[:1]:
        yield from ports(place) if "." in cursor.before else names(place)
    elif cursor.path[:1] == ("use",):
        yield from files(place)
    else:
        if not before[before.rfind("\n") + 1 :].removesuffix(cursor.typed).strip():  # a line of its own
            yield from keys(place, cursor.path)
        yield from values(place)


def _is_node(cursor: Cursor) -> bool:
    """Whether the cursor is at an op in a list of nodes."""
    at = cursor.around if cursor.is_key else cursor.path
    return len(at) > 1 and at[-2] == "nodes" and isinstance(at[-1], int)


def _section(session: EditorSession, key: str, cursor: Cursor) -> Section | None:
    """The innermost section around the cursor."""
    file = session.documents.contents(key).section
    sections = [each for each in file.walk() if cursor.path[: len(each.path)] == each.path] if file else []
    return max(sections, key=lambda each: len(each.path), default=None)


def _quoted(text: str, offset: int, cursor: Cursor) -> bool | None:
    """Whether the word is in quotes; None if it is in JSON but not in quotes."""
    first = offset - len(cursor.before)
    if text[first - 1 : first] in ("'", '"'):
        return True
    return None if in_braces(Source("", text)) else False


def _item(choice: Completable, order: str, around: types.Range, *, snippets: bool) -> types.CompletionItem:
    text = choice.snippet if snippets and choice.snippet else choice.text
    has_places = snippets and choice.snippet is not None
    return types.CompletionItem(
        label=choice.label,
        kind=choice.kind,
        detail=choice.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, choice.about) if choice.about else None,
        sort_text=order,
        filter_text=choice.label,
        insert_text_format=types.InsertTextFormat.Snippet if has_places else types.InsertTextFormat.PlainText,
        text_edit=types.TextEdit(around, text),
    )
