"""An editor for tests: starts `cnnc lsp`, and asks it about files as a user would. Its calls wait for the answers."""

import asyncio
import sys
from collections.abc import Awaitable
from itertools import count
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient
from pygls.uris import from_fs_path, to_fs_path

EVERYTHING = types.Range(types.Position(0, 0), types.Position(100_000, 0))
WAIT = 240.0
"""Seconds for an answer."""
_NONE_YET = types.Diagnostic(EVERYTHING, "")


class Editor:
    """One editor, and the server that it has started with a command. `folder` is its workspace."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._versions = count(1)
        self._texts: dict[str, str] = {}
        self.published: dict[str, list[types.Diagnostic]] = {}
        self.shown: list[str] = []
        self.refreshes = 0
        self.watched: list[str] = []
        self.client = LanguageClient("editor", "1")
        self._listen()
        self.wait(self.client.start_io(*(command or (sys.executable, "-m", "cnnc", "lsp", "--stdio"))))
        root = types.WorkspaceFolder(self.uri(""), "tests")
        refresh = types.InlayHintWorkspaceClientCapabilities(refresh_support=True)
        watch = types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True)
        workspace = types.WorkspaceClientCapabilities(inlay_hint=refresh, did_change_watched_files=watch)
        can = types.ClientCapabilities(workspace)
        about = types.InitializeParams(can, workspace_folders=[root])
        self.capabilities = self.wait(self.client.initialize_async(about)).capabilities
        self.client.initialized(types.InitializedParams())

    def _listen(self) -> None:
        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(params: types.PublishDiagnosticsParams) -> None:
            self.published[params.uri] = list(params.diagnostics)

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)
        def show(params: types.ShowMessageParams) -> None:
            self.shown.append(params.message)

        @self.client.feature(types.WORKSPACE_INLAY_HINT_REFRESH)
        def refresh(params: None) -> None:
            self.refreshes += 1

        @self.client.feature(types.CLIENT_REGISTER_CAPABILITY)
        def register(params: types.RegistrationParams) -> None:
            for each in params.registrations:
                options: Any = each.register_options
                if each.method == types.WORKSPACE_DID_CHANGE_WATCHED_FILES:
                    self.watched += [watcher["globPattern"] for watcher in options["watchers"]]

        @self.client.feature(types.WORKSPACE_CONFIGURATION)
        def configure(params: types.ConfigurationParams) -> list[None]:
            return [None for _ in params.items]

    def wait(self, call: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(call, WAIT))

    def end(self) -> int:
        """End the session, and return the server's exit code."""
        server: Any = self.client._server
        self.wait(self.client.shutdown_async(None))
        self.client.exit(None)
        code = self.wait(server.wait())
        self.wait(self.client.stop())
        self._loop.close()
        return code

    def uri(self, name: str) -> str:
        return from_fs_path(str(self.folder / name))

    def document(self, name: str) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri(name))

    # -- what a user does

    def open(self, name: str, text: str, *, write: bool = False) -> None:
        """Open a file, or change its text if it is open."""
        uri, version = self.uri(name), next(self._versions)
        if write:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")
        if name in self._texts:
            document = types.VersionedTextDocumentIdentifier(version, uri)
            changes = [types.TextDocumentContentChangeWholeDocument(text)]
            self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, changes))
        else:
            item = types.TextDocumentItem(uri, "yaml", version, text)
            self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        self._texts[name] = text

    def close(self, name: str) -> None:
        del self._texts[name]
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(self.document(name)))

    def close_all(self) -> None:
        for name in list(self._texts):
            self.close(name)

    def save(self, name: str) -> None:
        self.client.text_document_did_save(types.DidSaveTextDocumentParams(self.document(name)))

    def write(self, name: str, text: str | None) -> None:
        """Write a file that is not open, or delete it, as another program does; the editor sees that it has changed."""
        path, kind = self.folder / name, types.FileChangeType.Created
        if text is None:
            path.unlink()
            kind = types.FileChangeType.Deleted
        else:
            kind = types.FileChangeType.Changed if path.exists() else kind
            path.write_text(text, encoding="utf-8")
        event = types.FileEvent(self.uri(name), kind)
        self.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))

    def at(self, name: str, mark: str, shift: int = 0) -> types.Position:
        """The position of `mark` in a file, or so many characters after it."""
        offset = self._texts[name].index(mark) + shift
        before = self._texts[name][:offset].split("\n")
        return types.Position(len(before) - 1, len(before[-1].encode("utf-16-le")) // 2)

    # -- what the editor shows

    def hints(self, name: str) -> dict[int, str]:
        """The hints by line, counted from 1."""
        params = types.InlayHintParams(self.document(name), EVERYTHING)
        found = self.wait(self.client.text_document_inlay_hint_async(params)) or []
        return {each.position.line + 1: str(each.label) for each in found}

    def diagnostics(self, name: str, *codes: str) -> list[types.Diagnostic]:
        """The diagnostics of a file, as soon as they have these codes."""

        async def sent() -> list[types.Diagnostic]:
            while [each.code for each in self.published.get(self.uri(name), [_NONE_YET])] != list(codes):
                await asyncio.sleep(0.01)
            return self.published[self.uri(name)]

        return self.wait(sent())

    def _ask(self, name: str, mark: str, shift: int, kind: Any, call: Any, **more: Any) -> Any:
        return self.wait(call(kind(text_document=self.document(name), position=self.at(name, mark, shift), **more)))

    def complete(self, name: str, mark: str, shift: int = 0) -> dict[str, types.CompletionItem]:
        """The completions at `mark`, or so many characters after it, by label."""
        return self.complete_at(name, self.at(name, mark, shift))

    def complete_at(self, name: str, position: types.Position) -> dict[str, types.CompletionItem]:
        params = types.CompletionParams(self.document(name), position)
        found = self.wait(self.client.text_document_completion_async(params)) or []
        return {each.label: each for each in (found.items if isinstance(found, types.CompletionList) else found)}

    def hover(self, name: str, mark: str, shift: int = 0) -> str:
        found = self._ask(name, mark, shift, types.HoverParams, self.client.text_document_hover_async)
        return found.contents.value if found else ""

    def definition(self, name: str, mark: str, shift: int = 0) -> list[str]:
        """The places that define a name: files, lines and columns from 1."""
        call = self.client.text_document_definition_async
        return self._spelled(self._ask(name, mark, shift, types.DefinitionParams, call))

    def references(self, name: str, mark: str, shift: int = 0) -> list[str]:
        context = types.ReferenceContext(include_declaration=True)
        call = self.client.text_document_references_async
        return self._spelled(self._ask(name, mark, shift, types.ReferenceParams, call, context=context))

    def _spelled(self, found: list[types.Location]) -> list[str]:
        starts = [(each.uri, each.range.start) for each in found or ()]
        paths = [Path(str(to_fs_path(uri))).relative_to(self.folder).as_posix() for uri, _ in starts]
        return sorted(f"{path}:{at.line + 1}:{at.character + 1}" for path, (_, at) in zip(paths, starts, strict=True))

    def rename(self, name: str, mark: str, new: str) -> dict[str, str]:
        """The texts of the files after a renaming."""
        call = self.client.text_document_rename_async
        edits = self._ask(name, mark, 0, types.RenameParams, call, new_name=new)
        return self.applied(edits)

    def formatted(self, name: str) -> str:
        """The text of a file after formatting."""
        params = types.DocumentFormattingParams(self.document(name), types.FormattingOptions(2, insert_spaces=True))
        edits = self.wait(self.client.text_document_formatting_async(params)) or []
        return self.applied(types.WorkspaceEdit({self.uri(name): edits})).get(name, self._texts[name])

    def fixes(self, name: str, mark: str) -> dict[str, str]:
        """The texts of a file after each of its quick fixes, by their titles."""
        place = self.at(name, mark)
        params = types.CodeActionParams(self.document(name), types.Range(place, place), types.CodeActionContext([]))
        found = self.wait(self.client.text_document_code_action_async(params)) or []
        return {each.title: self.applied(each.edit)[name] for each in found}

    def applied(self, edit: types.WorkspaceEdit) -> dict[str, str]:
        """The texts of the files after an edit."""
        texts = {}
        for uri, edits in (edit.changes or {}).items():
            path = Path(str(to_fs_path(uri)))
            name = path.relative_to(self.folder).as_posix()
            lines = (self._texts.get(name) or path.read_text(encoding="utf-8")).split("\n")
            for each in sorted(edits, key=lambda each: each.range.start, reverse=True):
                start, end = each.range.start, each.range.end
                after = lines[end.line][end.character :]
                lines[start.line : end.line + 1] = [lines[start.line][: start.character] + each.new_text + after]
            texts[name] = "\n".join(lines)
        return texts

    def outline(self, name: str) -> list[types.DocumentSymbol]:
        params = types.DocumentSymbolParams(self.document(name))
        return list(self.wait(self.client.text_document_document_symbol_async(params)) or [])
