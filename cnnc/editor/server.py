"""The server of one editor: its files, and when they are checked.

Takes messages on standard input and answers on standard output. Shapes are inferred when the editor requests hints.
Diagnostics follow a pause in typing, for all open files and for those of the workspace that use one of them.
"""

import asyncio
import gc
import logging
from collections.abc import Sequence

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from cnnc.editor.diagnostics import ByFile, by_file
from cnnc.editor.hints import ShapeHints
from cnnc.editor.schema import warm_up
from cnnc.editor.session import EditorSession
from cnnc.project.settings import NAME
from cnnc.text.source import SUFFIXES
from cnnc.version import __version__

PAUSE = 0.15
"""Seconds without a change after which diagnostics are sent."""
START = 0.5
"""Seconds after the start for which the server only answers."""

WATCHED = (f"**/{NAME}", *(f"**/*{suffix}" for suffix in SUFFIXES))
"""The files whose changes on the disk concern the server."""


class SpecServer(LanguageServer):
    """The server of one editor."""

    def __init__(self) -> None:
        # an editor and pygls may disagree about lines that end in other characters than CR and LF, so no increments
        super().__init__("cnnc", __version__, types.TextDocumentSyncKind.Full)
        self.session = EditorSession()
        self.hints = ShapeHints(self.session)
        self.checked: dict[str, ByFile] = {}
        self.shut_down = False
        self._stale = False  # the list of the workspace's specs
        self._written = False  # files that others use or follow have changed on the disk
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take over what the client has said about itself."""
        self.session.encoding = self.workspace.position_encoding or types.PositionEncodingKind.Utf16
        gc.disable()  # it would stop the server while the user types; `check` collects after a pause
        asyncio.get_running_loop().call_later(START, self._settle)
        if self._watches:
            watchers = [types.FileSystemWatcher(glob) for glob in WATCHED]
            method, options = types.WORKSPACE_DID_CHANGE_WATCHED_FILES, types.DidChangeWatchedFilesRegistrationOptions
            watch = types.Registration("watch", method, options(watchers))
            self.client_register_capability(types.RegistrationParams([watch]))

    def _settle(self) -> None:
        """Do what takes long, after the first file is shown; leave all that is loaded out of garbage collections."""
        self._stale = True
        warm_up()
        gc.freeze()
        self.check_soon()

    @property
    def snippets(self) -> bool:
        """Whether the editor takes text with places to fill in."""
        item = (self.client_capabilities.text_document or types.TextDocumentClientCapabilities()).completion
        return bool(item and item.completion_item and item.completion_item.snippet_support)

    def saved(self) -> None:
        """Check after a pause; if the editor does not report changes on the disk, look for new files then."""
        self._stale |= not self._watches
        self.check_soon()

    def written(self, changes: Sequence[types.FileEvent]) -> None:
        """Take over changes on the disk, of specs and of settings."""
        self._written = True
        for each in changes:
            self._stale |= each.type != types.FileChangeType.Changed or each.uri.endswith(f"/{NAME}")
        self.check_soon()

    def _search(self) -> None:
        """Find the specs of the workspace."""
        self._stale = False
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
        if self._stale:
            self._search()
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
        if (len(opened) > 1 or self._written) and self._refreshes:
            self.workspace_inlay_hint_refresh(None)  # a changed block changes the shapes in other files
        self._written = False
        gc.collect()

    def _found(self, key: str) -> ByFile:
        """Return the diagnostics of a check; those before, if cnnc itself fails, so that other files keep theirs."""
        try:
            return by_file(self.session, key)
        except Exception:  # a bug in cnnc, of any type
            logging.getLogger(__name__).exception("cannot check %s", key)
            return self.checked.get(key, {})

    @property
    def _watches(self) -> bool:
        """Whether the editor reports changes of files on the disk."""
        workspace = self.client_capabilities.workspace
        watched = workspace and workspace.did_change_watched_files
        return bool(watched and watched.dynamic_registration)

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
