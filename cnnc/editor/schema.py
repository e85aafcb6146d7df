"""What the language allows at a place: the keys and values that the JSON Schema of the language has there.

Takes a path of keys and indices from the top of a file; returns the schemas that apply to the value there. A place may
have several, for example a node and an instance of a block.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from cnnc.language.json_schema import Schema, json_schema
from cnnc.ops.describe import kinds

Steps = Sequence[str | int]


class Key(NamedTuple):
    """A key that a mapping may have: the words for its values, its default (None: there is none), and its meaning."""

    name: str
    takes: str
    default: str | None
    about: str
    required: bool


@cache
def _root() -> Schema:
    return json_schema()


def warm_up() -> None:
    """Make the schema before it is needed, which takes a while."""
    keys_at(())


@cache
def _kept(path: tuple[str | int, ...]) -> tuple[Schema, ...]:
    found: list[Schema] = [_root()]
    for step in path:
        found = [inner for schema in found for inner in _step(schema, step)]
    return tuple(found)


def schemas_at(path: Steps) -> list[Schema]:
    """The schemas of the value at a path, without references and alternatives."""
    general = tuple(min(step, 1) if isinstance(step, int) else step for step in path)
    return [leaf for schema in _kept(general) for leaf in _expanded(schema)]


def keys_at(path: Steps) -> list[Key]:
    """The keys that the mapping at a path may have."""
    found: dict[str, Key] = {}
    for schema in schemas_at(path):
        required = schema.get("required", ())
        for name, value in schema.get("properties", {}).items():
            key = _key(name, value, required=name in required)
            if name not in found or not found[name].takes:
                found[name] = key
    return list(found.values())


def values_at(path: Steps) -> list[Any]:
    """The words that the value at a path may be."""
    found: dict[str, Any] = {}
    for schema in schemas_at(path):
        for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]:
            found.setdefault(repr(value), value)
        if schema.get("type") == "boolean":
            found |= {"True": True, "False": False}
    return list(found.values())


def _step(schema: Schema, step: str | int) -> Iterator[Schema]:
    for leaf in _expanded(schema):
        if isinstance(step, int):
            if "prefixItems" in leaf:
                yield from leaf["prefixItems"][: step + 1][-1:]
            elif isinstance(leaf.get("items"), dict):
                yield leaf["items"]
        elif step in leaf.get("properties", {}):
            yield leaf["properties"][step]
        elif isinstance(leaf.get("additionalProperties"), dict):
            yield leaf["additionalProperties"]


def _expanded(schema: Schema) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _expanded(_root()["$defs"][schema["$ref"].rpartition("/")[2]])
    for word in ("then", "else"):
        if word in schema:
            yield from _expanded(schema[word])
    for each in schema.get("anyOf", ()):
        yield from _expanded(each)
    if "$ref" not in schema and "anyOf" not in schema:
        yield schema


def _key(name: str, schema: Schema, *, required: bool) -> Key:
    leaves = list(_expanded(schema))
    about = schema.get("description") or next((each["description"] for each in leaves if "description" in each), "")
    words = (word for each in leaves if each.get("pattern") != r"\$" for word in _words(name, each))
    takes = " or ".join(dict.fromkeys(words))
    default = written(schema["default"]) if schema.get("default") is not None else None
    return Key(name, takes, default, about, required)


def _words(name: str, schema: Schema) -> Iterator[str]:
    if schema.get("type") == "array" and not {"type", "enum"} & (schema.get("items") or {"type": ""}).keys():
        yield "list"
    elif isinstance(schema.get("type"), str) and schema["type"] not in ("object", "null"):
        yield from kinds(name, schema)
    elif "enum" in schema and len(schema["enum"]) <= 6:
        yield from (f"`{written(each)}`" for each in schema["enum"] if each is not None)


def written(value: Any) -> str:
    """A value as it is written in a spec."""
    if isinstance(value, list | tuple):
        if len(set(map(str, value))) == 1:  # `padding: [1, 1]`
            return written(value[0])
        return f"[{', '.join(map(written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
