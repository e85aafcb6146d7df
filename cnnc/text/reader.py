"""Parses a YAML or JSON `Source` into a `Value`.

The result is plain data with a span on every value and key; the top level is a mapping. All problems are raised
together. The time is linear in the size of the text, which `cnnc.text.source` limits.
"""

import yaml

from cnnc.diagnostics import CnncError, Code, Diagnostic, Source, Span
from cnnc.text.composer import Composer, kind
from cnnc.text.value import Value
from cnnc.text.yaml_events import events


def parse_text(source: Source) -> Value:
    """Parse a YAML or JSON text.

    Raises CnncError with all problems: E102 (too many values, a string too long), E103 (control characters), E104
    (syntax), E105 (duplicate keys), E106 (not plain data), E107 (too deep), E108 (numbers), E109 (not one mapping).
    """
    composer = Composer(source)
    try:
        for event in events(source):
            composer.take(event)
    except yaml.YAMLError as error:
        from cnnc.text.yaml_errors import diagnose

        syntax = diagnose(error, source)
        # a second syntax error is a consequence of the first
        if not any(problem.code is syntax.code is Code.SYNTAX for problem in composer.problems):
            composer.problems.append(syntax)
    except CnncError as error:  # parsing cannot continue after it
        composer.problems.extend(error.diagnostics)
    if composer.problems:
        raise CnncError(sorted(composer.problems, key=_position))
    return _top_mapping(composer.root, source)


def _position(problem: Diagnostic) -> tuple[int, int]:
    return (problem.span.line, problem.span.column) if problem.span else (0, 0)


def _top_mapping(root: Value | None, source: Source) -> Value:
    """`root` if it is a mapping; raises E109 otherwise."""
    if root is not None and isinstance(root.data, dict):
        return root
    where = root.span if root else Span(source, 1, 1, 1, 1)
    raise CnncError.of(
        Code.NOT_ONE_DOCUMENT,
        _top_level_fault(root, source),
        where,
        help="begin with the keys `cnnc: 1`, `name:`, `input:` and `nodes:`; see `cnnc explain E109`",
    )


def _top_level_fault(root: Value | None, source: Source) -> str:
    if root is not None and not (root.data is None and root.span.column == root.span.end_column):
        return f"the top level of a spec must be a mapping, got {kind(root.data)}"
    if not source.text.strip():
        return f"{source.name} is empty"
    comments_only = all(line.strip()[:1] in ("", "#") for line in source.lines)
    return f"{source.name} contains only comments" if comments_only else f"{source.name} contains no data"
