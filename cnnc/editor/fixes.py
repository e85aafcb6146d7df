"""Quick fixes: the changes that the help of diagnostics proposes, as `cnnc check --fix` makes them.

A fix that is not certain is offered as well, but is not the preferred one: the user decides.
"""

from collections.abc import Iterator
from pathlib import Path

from lsprotocol import types

from cnnc.diagnostics import Fix
from cnnc.diagnostics.suggestions import ways
from cnnc.editor.diagnostics import ProtocolWriter
from cnnc.editor.documents import real
from cnnc.editor.session import EditorSession
from cnnc.formatting.edits import apply, text_edits


def quick_fixes(session: EditorSession, key: str, within: types.Range) -> list[types.CodeAction]:
    """The quick fixes of the diagnostics in the lines of a range, and one that makes all certain fixes of the file."""
    writer = ProtocolWriter(session, key)
    analysis, found = session.analyses.of(key), []
    for each in analysis.diagnostics:
        if writer.file(each.span) == key and _touches(writer.range(each.span, key), within):
            about = [writer.written(each, key)]
            found += [_action(help, fix, about, edit) for help, fix in ways(each) if (edit := _edit(session, fix))]
    certain = [each.fix for each in analysis.diagnostics if each.fix and each.fix.certain and each.severity == "error"]
    own = [fix for fix in certain if real(Path(fix.source.name)) == key]
    return [*found, *_all(session, key, own)] if own else found


def _all(session: EditorSession, key: str, fixes: list[Fix]) -> Iterator[types.CodeAction]:
    """Yield the action that applies all certain fixes, if they can be made in the text."""
    positions = session.positions(key)
    text, count = apply(fixes[0].source, fixes)
    if not count:
        return
    edit = types.TextEdit(positions.between(0, len(positions.text)), text)
    title = f"Apply all certain fixes ({count})"
    changes = {session.documents.uri(key): [edit]}
    yield types.CodeAction(title, types.CodeActionKind.SourceFixAll, edit=types.WorkspaceEdit(changes))


def _action(help: str, fix: Fix, about: list[types.Diagnostic], edit: types.WorkspaceEdit) -> types.CodeAction:
    title = help[:1].upper() + help[1:]
    return types.CodeAction(title, types.CodeActionKind.QuickFix, about, is_preferred=fix.certain, edit=edit)


def _touches(one: types.Range, other: types.Range) -> bool:
    """Whether two ranges share a line, where the editor shows the mistake to a cursor anywhere in it."""
    return one.start.line <= other.end.line and other.start.line <= one.end.line


def _edit(session: EditorSession, fix: Fix) -> types.WorkspaceEdit | None:
    """The edit that a fix makes; None if it has no text form."""
    changes: dict[str, list[types.TextEdit]] = {}
    for place, text in text_edits(fix):
        file = real(Path(place.source.name))
        range = session.positions(file).range(place)
        changes.setdefault(session.documents.uri(file), []).append(types.TextEdit(range, text))
    return types.WorkspaceEdit(changes) if changes else None
