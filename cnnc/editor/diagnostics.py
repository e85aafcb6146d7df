"""Diagnostics in the form of the protocol: label and help in the message, notes as related information.

Takes the diagnostics of a check; returns those of each file, which may be one that the checked file uses.
"""

from pathlib import Path

from lsprotocol import types

from cnnc import diagnostics
from cnnc.diagnostics import Code, Diagnostic, Span
from cnnc.editor.documents import real
from cnnc.editor.positions import Positions
from cnnc.editor.session import EditorSession

PAGES = Path(diagnostics.__file__).with_name("pages")
UNNEEDED = (Code.UNUSED_ALLOW, Code.DEAD_NODE)

ByFile = dict[str, list[types.Diagnostic]]


def by_file(session: EditorSession, key: str) -> ByFile:
    """The diagnostics of a check of the file `key`, by the files that they are about."""
    writer = ProtocolWriter(session, key)
    found: ByFile = {key: []}
    for each in session.analyses.of(key).diagnostics:
        file = writer.file(each.span)
        found.setdefault(file, []).append(writer.written(each, file))
    return found


class ProtocolWriter:
    """Writes the diagnostics of the file `key`."""

    def __init__(self, session: EditorSession, key: str) -> None:
        self._session, self._key = session, key
        self._positions: dict[str, Positions] = {}

    def file(self, span: Span | None) -> str:
        """The key of the file that a span is in; without one, it is the checked file."""
        name = span.source.name if span else "<"
        own = self._session.documents.contents(self._key).source.name
        return self._key if name.startswith("<") or name == own else real(Path(name))

    def range(self, span: Span | None, file: str) -> types.Range:
        """The range of a span, or the start of the file."""
        if file not in self._positions:
            self._positions[file] = self._session.positions(file)
        return self._positions[file].range(span) if span else types.Range(types.Position(0, 0), types.Position(0, 0))

    def written(self, each: Diagnostic, file: str) -> types.Diagnostic:
        """The diagnostic in the form of the protocol."""
        error = each.severity == "error"
        remarks = [f"note: {note.message}" for note in each.notes if note.span is None]
        lines = [each.message, *([each.label] if each.label else []), *remarks]
        return types.Diagnostic(
            range=self.range(each.span, file),
            message="\n".join([*lines, *([f"help: {each.help}"] if each.help else [])]),
            severity=types.DiagnosticSeverity.Error if error else types.DiagnosticSeverity.Warning,
            code=each.code.value,
            code_description=types.CodeDescription((PAGES / f"{each.code.value}.md").as_uri()),
            source="cnnc",
            tags=[types.DiagnosticTag.Unnecessary] if each.code in UNNEEDED else None,
            related_information=[self._related(note.message, note.span) for note in each.notes if note.span] or None,
        )

    def _related(self, message: str, span: Span) -> types.DiagnosticRelatedInformation:
        file = self.file(span)
        location = types.Location(self._session.documents.uri(file), self.range(span, file))
        return types.DiagnosticRelatedInformation(location, message)
