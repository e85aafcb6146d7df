"""Reads `allow`, the warnings that a spec silences.

Takes a code or a list of codes and returns an `Allow` for each code of a warning. Its place decides the scope: a node,
an instance with everything in it, a block, a file of blocks, or the whole spec.
"""

from cnnc.diagnostics import Advice, Allow, Code, Diagnostic, Fix, Report, Span, Write
from cnnc.diagnostics.suggestions import nearest
from cnnc.language.validate import show
from cnnc.text.value import Value

CODES = {code.value for code in Code}
WARNINGS = {code.value: code for code in Code if code.severity == "warning" and code != Code.UNUSED_ALLOW}


def read_allow(value: Value | None, report: Report, bad: Code = Code.BAD_VALUE) -> tuple[Allow, ...]:
    """The allowed warnings; anything that is not the code of a warning is reported as `bad`."""
    if value is None or value.data is None:
        return ()
    entries = value.data if isinstance(value.data, tuple) else (value,)
    found: list[Allow] = []
    for entry in entries:
        if isinstance(entry.data, str) and entry.data in WARNINGS:
            if [each.code for each in found].count(WARNINGS[entry.data]) < 2:  # the second is reported as unused
                found.append(Allow(WARNINGS[entry.data], entry.span))
        else:
            message = f"`allow` must list codes of warnings, got {show(entry.plain())}"
            help, fix = _advice(entry.data, entry.span)
            report(Diagnostic(bad, message, entry.span, help=help, fix=fix))
    return tuple(found)


def _advice(given: object, at: Span) -> Advice:
    if not isinstance(given, str):
        return Advice("write `allow: W302` or `allow: [W302, W304]`")
    if given == Code.UNUSED_ALLOW:
        return Advice("remove the unused `allow` that W306 reports")
    if given in CODES:
        return Advice(f"{given} is an error: fix it in the spec")
    if "$" in given:
        return Advice("write the code itself: `allow` takes no expressions")
    if near := nearest(given.upper(), WARNINGS):
        return Advice(f"did you mean `{near}`?", Fix((Write(at, near),), certain=given.upper() == near))
    return Advice("`cnnc explain` lists all codes; the codes of warnings begin with W")
