"""The place of the cursor in a spec: the path of keys that leads to it, and the word that is being typed.

Takes a text and an offset. The text is read with a mark at the cursor, so it need not be valid: at the end of
`- conv: {out: 8, ` there is a key, and at the end of `from: ` a value.
"""

import re
from typing import NamedTuple

from lsprotocol.types import Position

from cnnc.diagnostics import Source
from cnnc.editor.session import EditorSession
from cnnc.editor.tolerant import read_tolerantly
from cnnc.text.value import Value

MARK = "\ue000"  # in no spec: Unicode leaves it to private use
_WORD = re.compile(r"[\w-]*$")
_COLON = re.compile(r"""[\w-]*["']?[ \t]*:""")  # after the rest of a key


class Cursor(NamedTuple):
    """A place in a spec.

    `path` leads to the key or the value at the cursor. `around` leads to the mapping or list that holds it, `inside` is
    that mapping. `before` is the text of the key or value up to the cursor, `text` all of it.
    """

    path: tuple[str | int, ...]
    is_key: bool
    text: str
    before: str
    inside: Value | None
    keyed: bool = False
    """Whether a colon follows the key."""

    @property
    def around(self) -> tuple[str | int, ...]:
        """The path of the mapping or list that holds the key or value."""
        return self.path[:-1]

    @property
    def op_key(self) -> bool:
        """Whether this is the op of a node."""
        return self.is_key and len(self.path) > 1 and isinstance(self.path[-2], int)

    @property
    def typed(self) -> str:
        """The word that is being typed."""
        found = _WORD.search(self.before)
        return found[0] if found else ""


def cursor_at(session: EditorSession, key: str, position: Position) -> Cursor | None:
    """The place of the cursor; None if it is in a comment, or if the text around it cannot be read."""
    source, offset = session.documents.contents(key).source, session.positions(key).offset(position)
    text = source.text
    end = min((text.find(each, offset) for each in "\r\n" if text.find(each, offset) >= 0), default=len(text))
    for rest in (text[offset:], text[end:], f":{text[end:]}"):  # what follows on the line may have become wrong
        root = read_tolerantly(Source(source.name, text[:offset] + MARK + rest))
        if root is not None and (found := _find(root, ())):
            return found._replace(keyed=found.is_key and bool(_COLON.match(text, offset)))
    return None


def _find(value: Value, path: tuple[str | int, ...]) -> Cursor | None:
    """The place of the mark in a value."""
    if isinstance(value.data, str):
        return _cursor(value.data, path, is_key=False) if MARK in value.data else None
    if isinstance(value.data, tuple):
        for index, each in enumerate(value.data):
            if found := _find(each, (*path, index)):
                return found
    elif isinstance(value.data, dict):
        for name, each in value.data.items():
            if MARK in name:
                return _cursor(name, (*path, name.replace(MARK, "")), is_key=True, inside=value)
            if found := _find(each, (*path, name)):
                return found._replace(inside=found.inside or (value if found.around == path else None))
    return None


def _cursor(text: str, path: tuple[str | int, ...], *, is_key: bool, inside: Value | None = None) -> Cursor:
    return Cursor(path, is_key, text.replace(MARK, ""), text.partition(MARK)[0], inside)
