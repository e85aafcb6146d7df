"""Formatting of a file, as `cnnc fmt` does it."""

from lsprotocol.types import TextEdit

from cnnc.diagnostics import CnncError
from cnnc.editor.session import EditorSession
from cnnc.formatting.texts import format_source
from cnnc.text.find_specs import has_spec_keys


def formatted(session: EditorSession, key: str) -> list[TextEdit]:
    """The edit that gives a spec the usual format; none for other files and for a text with errors."""
    source = session.documents.contents(key).source
    if not has_spec_keys(source.text):
        return []
    try:
        text = format_source(source)
    except CnncError:  # the diagnostics show them
        return []
    positions = session.positions(key)
    return [TextEdit(positions.between(0, len(source.text)), text)] if text != source.text else []
