"""How a help line writes a key that the top level of a spec lacks.

Takes the `Value` of the whole file. Returns text for a help line, in backticks.
"""

import json
from typing import Any

from cnnc.diagnostics.json_help import in_braces
from cnnc.language.validate import show
from cnnc.text.value import Value


def added(root: Value, key: str, value: Any) -> str:
    """Return a key and its value as they are added: in JSON after the first brace, with a comma."""
    if root.span.path or not in_braces(root.span.source):
        return f"`{key}: {show(value)}`"
    return f"`{json.dumps(key)}: {json.dumps(value)},` after the first brace"
