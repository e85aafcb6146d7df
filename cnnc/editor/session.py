"""All that the features of one session share: the files, their analyses, and what these say about each line."""

from collections.abc import Iterator

from lsprotocol.types import PositionEncodingKind

from cnnc.editor.analysis import Analyses, Analysis
from cnnc.editor.documents import Documents
from cnnc.editor.facts import LineFacts
from cnnc.editor.positions import Positions


class EditorSession:
    """The files of a session, and what is known of them now."""

    def __init__(self) -> None:
        self.documents = Documents()
        self.analyses = Analyses(self.documents)
        self.encoding: PositionEncodingKind | str = PositionEncodingKind.Utf16

    def positions(self, key: str) -> Positions:
        """The positions of a file's current text."""
        return Positions(self.documents.contents(key).source.text, self.encoding)

    def facts(self, key: str) -> Iterator[LineFacts]:
        """Yield the networks that a file is part of: its own, or those of open files that use it."""
        own = self._facts_of(self.analyses.of(key))
        if own:
            yield own
            return
        for user in sorted(self.documents.users_of([key])):
            if self.documents.is_open(user) and (found := self._facts_of(self.analyses.of(user))):
                yield found

    def _facts_of(self, analysis: Analysis) -> LineFacts | None:
        return analysis.graph.derived(LineFacts) if analysis.graph else None
