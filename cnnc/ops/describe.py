"""Descriptions of ops and other models in Markdown: what they compute, and a table of their attributes.

The reference in `specs/README.md` and `cnnc explain OP` print them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.base import Op

TUPLES = {2: "`[height, width]`", 4: "`[top, left, bottom, right]`"}  # by their length
VAST = 10**6  # bounds from here on only keep nonsense out, and are not worth a reader's time


def op_page(op: type[Op], keys: Sequence[str] = ()) -> str:
    """Return what an op computes, how many inputs it takes, and its attributes; `keys` are those of its state_dict."""
    learned = f" In the state_dict: {', '.join(f'`{key}`' for key in keys)}." if keys else ""
    about = f"{paragraphs(op.__doc__ or '')}{_inputs(op)}{learned}"
    return f"{about}\n\n{attributes(op)}" if op.model_fields else about


def paragraphs(doc: str) -> str:
    """Return a docstring as Markdown, one line for each paragraph."""
    return "\n\n".join(" ".join(each.split()) for each in doc.strip().split("\n\n"))


def _inputs(op: type[Op]) -> str:
    least, most = op.least_inputs, op.most_inputs
    if most == 0:
        return " Takes no input."
    if least == most:
        return "" if most == 1 else f" Takes {most} inputs."
    return f" Takes {least} to {most} inputs."


def attributes(of: type[BaseModel]) -> str:
    """Return the fields of a model as a table."""
    properties = of.model_json_schema()["properties"]
    lines = ["| attribute | takes | default | |", "| --- | --- | --- | --- |"]
    for name, field in of.model_fields.items():
        takes = ", ".join(dict.fromkeys(kinds(name, properties[name])))
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        lines.append(f"| `{name}` | {takes} | {default} | {field.description or ''} |")
    return "\n".join(lines)


def kinds(name: str, schema: dict[str, Any]) -> Iterator[str]:
    """Yield what a value may be, in words, from its JSON schema."""
    if name == "kind":
        yield f"one of {', '.join(f'`{each}`' for each in ACTIVATIONS)}"
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            if each.get("type") != "null":
                yield from kinds(name, each)
    elif "enum" in schema or "const" in schema:
        yield from (f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    elif schema["type"] == "array":
        inner = schema.get("items", {})
        words = " or ".join(kinds(name, inner)) if "enum" in inner else f"{inner.get('type', 'integer')}s"
        yield TUPLES.get(len(schema.get("prefixItems", ())), f"list of {words}")
    elif schema["type"] == "object":
        yield f"mapping to {' or '.join(kinds(name, schema['additionalProperties'])).replace('number', 'numbers')}"
    else:
        word = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "string"}
        yield word[schema["type"]] + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema and abs(schema[key]) < VAST]
    return f" {' and '.join(found)}" if found else ""


def _default(value: Any) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    if value is None:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{re.sub(r'e-0*', 'e-', str(value))}`"
