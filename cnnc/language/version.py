"""Check the version of the spec language, the key `cnnc` at the top level of every file, and say how to add a key."""

from typing import Any

from cnnc.diagnostics import Code, Diagnostic, Fix, Report, Span, Write
from cnnc.diagnostics.json_help import in_braces
from cnnc.language.validate import show
from cnnc.text.value import Value

VERSION = 1


def check_version(given: Value | None, root: Value, report: Report) -> bool:
    """Whether the rest of a file can be read; reports a missing, malformed or unsupported version."""
    way_out = f"write `cnnc: {VERSION}`"
    if given is None:
        what = "the spec" if root.span.path else "the file"
        message = f"{what} has no `cnnc` key, the version of the language"
        help = f"add {added(root, 'cnnc', VERSION)}" + ("" if in_braces(root.span.source) else " as its first line")
        report(Diagnostic(Code.MISSING_KEY, message, top(root), help=help))
        return True
    if isinstance(given.data, bool) or not isinstance(given.data, int):
        message = f"`cnnc` must be {VERSION}, the version of the language, got {show(given.plain())}"
        fix = Fix((Write(given.span, VERSION),), certain=str(given.data) in (f"{VERSION}", f"{VERSION}.0"))
        report(Diagnostic(Code.LANGUAGE_VERSION, message, given.span, help=way_out, fix=fix))
        return True
    if given.data != VERSION:
        message = f"the file is written in version {given.data} of the language; this cnnc reads version {VERSION}"
        way_out = "a newer cnnc may read it" if given.data > VERSION else way_out
        report(Diagnostic(Code.LANGUAGE_VERSION, message, given.span, help=way_out))
    return given.data == VERSION


def top(root: Value) -> Span:
    """The span for diagnostics about the whole file: its first key."""
    return root.span if root.span.path else next(iter(root.keys.values()), root.span)


def added(root: Value, key: str, value: Any) -> str:
    """Return a key and its value as they are added: in JSON after the first brace, with a comma."""
    if root.span.path or not in_braces(root.span.source):
        return f"`{key}: {show(value)}`"
    import json  # slow to import; a spec without errors does not need it

    return f"`{json.dumps(key)}: {json.dumps(value)},` after the first brace"
