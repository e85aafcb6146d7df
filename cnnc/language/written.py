"""How a help line writes a key of the top level and its value: as YAML, or as JSON in a spec that is written in JSON.

Takes the `Value` of the whole file. Returns text for a help line, in backticks.
"""

import json
from typing import Any

from cnnc.language.validate import show
from cnnc.text.value import Value


def in_braces(root: Value) -> bool:
    """Whether a spec is written in JSON, or as a Python dict."""
    return bool(root.span.path) or root.span.source.text.lstrip("\ufeff \t\r\n").startswith("{")


def written(root: Value, key: str, value: Any) -> str:
    """Return a key and its value as the spec would contain them."""
    return f"`{json.dumps(key)}: {json.dumps(value)}`" if in_braces(root) else f"`{key}: {show(value)}`"


def added(root: Value, key: str, value: Any) -> str:
    """Return a key and its value as they are added: in JSON after the first brace, with a comma."""
    text = written(root, key, value)
    if root.span.path or not in_braces(root):
        return text
    return f"{text[:-1]},` after the first brace"
