"""The requests and notifications of the protocol that the server handles, each by a function of one feature."""

from collections.abc import Callable
from typing import Any, Final

from lsprotocol import types

from cnnc.editor.completion import TRIGGERS, complete_at, with_page
from cnnc.editor.documents import key_of
from cnnc.editor.fixes import quick_fixes
from cnnc.editor.formatting import formatted
from cnnc.editor.hover import hover
from cnnc.editor.navigation import definition, references
from cnnc.editor.outline import outline
from cnnc.editor.rename import prepare_rename, rename
from cnnc.editor.server import SpecServer


def make_server() -> SpecServer:
    """Return a server of one editor."""
    server = SpecServer()
    for method, handler in HANDLERS.items():
        server.feature(method, OPTIONS.get(method))(handler)
    return server


def _initialized(ls: SpecServer, params: types.InitializedParams) -> None:
    ls.begin()


def _shut_down(ls: SpecServer, params: None) -> None:
    ls.shut_down = True


def _opened(ls: SpecServer, params: types.DidOpenTextDocumentParams) -> None:
    ls.changed(params.text_document.uri)


def _changed(ls: SpecServer, params: types.DidChangeTextDocumentParams) -> None:
    ls.changed(params.text_document.uri)


def _saved(ls: SpecServer, params: types.DidSaveTextDocumentParams) -> None:
    ls.saved()


def _written(ls: SpecServer, params: types.DidChangeWatchedFilesParams) -> None:
    ls.written(params.changes)


def _closed(ls: SpecServer, params: types.DidCloseTextDocumentParams) -> None:
    ls.closed(params.text_document.uri)


def _hints(ls: SpecServer, params: types.InlayHintParams) -> list[types.InlayHint]:
    return ls.hints.of(key_of(params.text_document.uri), params.range)


def _outline(ls: SpecServer, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    return outline(ls.session, key_of(params.text_document.uri))


def _hover(ls: SpecServer, params: types.HoverParams) -> types.Hover | None:
    return hover(ls.session, key_of(params.text_document.uri), params.position)


def _complete(ls: SpecServer, params: types.CompletionParams) -> list[types.CompletionItem]:
    return complete_at(ls.session, key_of(params.text_document.uri), params.position, snippets=ls.snippets)


def _resolve(ls: SpecServer, params: types.CompletionItem) -> types.CompletionItem:
    return with_page(params)


def _definition(ls: SpecServer, params: types.DefinitionParams) -> list[types.Location]:
    return definition(ls.session, key_of(params.text_document.uri), params.position)


def _references(ls: SpecServer, params: types.ReferenceParams) -> list[types.Location]:
    key, definitions = key_of(params.text_document.uri), params.context.include_declaration
    return references(ls.session, key, params.position, definitions=definitions)


def _prepare_rename(ls: SpecServer, params: types.PrepareRenameParams) -> types.Range | None:
    return prepare_rename(ls.session, key_of(params.text_document.uri), params.position)


def _rename(ls: SpecServer, params: types.RenameParams) -> types.WorkspaceEdit | None:
    return rename(ls.session, key_of(params.text_document.uri), params.position, params.new_name)


def _fixes(ls: SpecServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    return quick_fixes(ls.session, key_of(params.text_document.uri), params.range)


def _formatted(ls: SpecServer, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
    return formatted(ls.session, key_of(params.text_document.uri))


HANDLERS: Final[dict[str, Callable[..., Any]]] = {
    types.INITIALIZED: _initialized,
    types.SHUTDOWN: _shut_down,
    types.TEXT_DOCUMENT_DID_OPEN: _opened,
    types.TEXT_DOCUMENT_DID_CHANGE: _changed,
    types.TEXT_DOCUMENT_DID_SAVE: _saved,
    types.TEXT_DOCUMENT_DID_CLOSE: _closed,
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: _written,
    types.TEXT_DOCUMENT_INLAY_HINT: _hints,
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: _outline,
    types.TEXT_DOCUMENT_HOVER: _hover,
    types.TEXT_DOCUMENT_COMPLETION: _complete,
    types.COMPLETION_ITEM_RESOLVE: _resolve,
    types.TEXT_DOCUMENT_DEFINITION: _definition,
    types.TEXT_DOCUMENT_REFERENCES: _references,
    types.TEXT_DOCUMENT_PREPARE_RENAME: _prepare_rename,
    types.TEXT_DOCUMENT_RENAME: _rename,
    types.TEXT_DOCUMENT_CODE_ACTION: _fixes,
    types.TEXT_DOCUMENT_FORMATTING: _formatted,
}
OPTIONS: Final = {
    types.TEXT_DOCUMENT_COMPLETION: types.CompletionOptions(TRIGGERS, resolve_provider=True),
    types.TEXT_DOCUMENT_RENAME: types.RenameOptions(prepare_provider=True),
    types.TEXT_DOCUMENT_CODE_ACTION: types.CodeActionOptions(
        [types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]
    ),
}
