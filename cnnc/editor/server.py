"""The server of one editor: its files, and when they are checked.

Takes messages on standard input and answers on standard output. Shapes are inferred when the editor requests hints.
Diagnostics follow a pause in typing, for all open files and for those of the workspace that use one of them.
"""

import asyncio
import gc
import logging
from collections.abc import Callable

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from cnnc.diagnostics.levels import Levels
from cnnc.editor.diagnostics import ByFile, by_file
from cnnc.editor.hints import ShapeHints
from cnnc.editor.schema import warm_up
from cnnc.editor.session import EditorSession
from cnnc.version import __version__

PAUSE = 0.15
"""Seconds without a change after which diagnostics are sent."""
START = 0.5
"""Seconds after the start for which the server only answers."""


class SpecServer(LanguageServer):
    """The server of one editor."""

    def __init__(self, levels_of: Callable[[str], Levels]) -> None:
        # an editor and pygls may disagree about lines that end in other characters than CR and LF, so no increments
        super().__init__("cnnc", __version__, types.TextDocumentSyncKind.Full)
        self.session = EditorSession(levels_of)
        self.hints = ShapeHints(self.session)
        self.checked: dict[str, ByFile] = {}
        self.shut_down = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take over what the client has said about itself."""
        self.session.encoding = self.workspace.position_encoding or types.PositionEncodingKind.Utf16
        gc.disable()  # it would stop the server while the user types; `check` collects after a pause
        asyncio.get_running_loop().call_later(START, self._settle)

    def _settle(self) -> None:
        """Do what takes long, after the first file is shown; leave all that is loaded out of garbage collections."""
        self.search()
        warm_up()
        gc.freeze()
        self.check_soon()

    @property
    def snippets(self) -> bool:
        """Whether the editor takes text with places to fill in."""
        item = (self.client_capabilities.text_document or types.TextDocumentClientCapabilities()).completion
        return bool(item and item.completion_item and item.completion_item.snippet_support)

    def search(self) -> None:
        """Find the specs of the workspace."""
        uris = [*self.workspace.folders, *([self.workspace.root_uri] if self.workspace.root_uri else [])]
        self.session.documents.search(dict.fromkeys(filter(None, map(to_fs_path, uris))))

    def changed(self, uri: str) -> None:
        """Take over the text of an open file, and check it after a pause."""
        self.session.documents.open(uri, self.workspace.get_text_document(uri).source)
        self.check_soon()

    def closed(self, uri: str) -> None:
        """Forget a file."""
        key = self.session.documents.close(uri)
        self.session.analyses.forget(key)
        self.hints.forget(key)
        self.check_soon()

    def check_soon(self) -> None:
        """Check all open files after a pause."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(PAUSE, self.check)

    def check(self) -> None:
        """Check the open files and their users, and send the diagnostics that have changed."""
        documents = self.session.documents
        before = _by_file(self.checked)
        opened = list(documents.uris)
        self.checked = {key: self._found(key) for key in (*opened, *documents.users_of(opened))}
        after = _by_file(self.checked)
        for key in {**before, **after}:
            found = after.get(key, [])
            if key not in before or found != before[key]:
                params = types.PublishDiagnosticsParams(documents.uri(key), found)
                self.text_document_publish_diagnostics(params)
        if len(opened) > 1 and self._refreshes:
            self.workspace_inlay_hint_refresh(None)  # a changed block changes the shapes in other files
        gc.collect()

    def _found(self, key: str) -> ByFile:
        """Return the diagnostics of a check; those before, if cnnc itself fails, so that other files keep theirs."""
        try:
            return by_file(self.session, key)
        except Exception:  # a bug in cnnc, of any type
            logging.getLogger(__name__).exception("cannot check %s", key)
            return self.checked.get(key, {})

    @property
    def _refreshes(self) -> bool:
        """Whether the editor requests hints anew when the server tells it to."""
        workspace = self.client_capabilities.workspace
        return bool(workspace and workspace.inlay_hint and workspace.inlay_hint.refresh_support)


def _by_file(checked: dict[str, ByFile]) -> ByFile:
    """The diagnostics of each file, from all checks. A block that several files use has each once."""
    found: dict[str, dict[object, types.Diagnostic]] = {}
    for check in checked.values():
        for key, diagnostics in check.items():
            known = found.setdefault(key, {})
            for each in diagnostics:
                place = each.range.start.line, each.range.start.character
                known.setdefault((each.code, each.message, place), each)
    return {key: list(known.values()) for key, known in found.items()}
