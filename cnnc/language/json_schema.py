"""The language as a JSON Schema (draft 2020-12), for editors and validators: the implementation of `cnnc schema`.

Generated from the classes of the ops and the models of the other parts. A schema sees the form of a spec: keys, ops,
attributes, types and bounds. It cannot compute shapes, evaluate expressions, or look up the names of nodes and blocks:
a file that defines or uses blocks may have nodes of any name.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from cnnc.language.allow import WARNINGS
from cnnc.language.model import Budget, InputPart, OutputPart
from cnnc.language.names import OF_A_NODE
from cnnc.language.recipe import Train
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.describe import paragraphs

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXPRESSION: Schema = {"$ref": "#/$defs/expression"}
_NAME: Schema = {"type": "string", "maxLength": 64, "pattern": f"^{OF_A_NODE.pattern}$"}
_SIZE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}, _EXPRESSION]}
_SHAPE: Schema = {"type": "array", "items": _SIZE, "minItems": 1, "maxItems": 3}
_CODES: Schema = {"enum": list(WARNINGS)}
_ALLOW: Schema = {
    "description": "codes of warnings to silence",
    "anyOf": [_CODES, {"type": "array", "items": _CODES}, {"type": "null"}],
}
_WORDS: dict[str, Schema] = {
    "name": {
        "description": "the node's name; the default is that of its op",
        "anyOf": [_NAME, {"type": "integer"}, _EXPRESSION],
    },
    "from": {
        "description": "the input, or a list of inputs; the default is the node before it",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    },
    "when": {"description": "false leaves out the node", "anyOf": [{"type": "boolean"}, _EXPRESSION]},
    "repeat": {
        "description": "the number of instances in a chain",
        "anyOf": [{"type": "integer", "minimum": 1}, _EXPRESSION],
    },
    "share": {
        "description": "the node whose parameters it uses",
        "anyOf": [{"type": ["string", "integer"]}, {"const": False}, {"type": "null"}],
    },
    "allow": _ALLOW,
}
_ACT: Schema = {
    "description": "an activation after the node",
    "anyOf": [{"enum": list(ACTIVATIONS)}, {"type": "null"}, _EXPRESSION],
}
_PARAMS: Schema = {"type": ["object", "null"], "description": "names and defaults of the parameters"}
_PORTS: Schema = {
    "description": "one name, a list of names, or a mapping of ports to nodes",
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
    ],
}
_BODY: dict[str, Schema] = {
    "params": _PARAMS,
    "inputs": {"type": ["array", "null"], "items": _NAME, "minItems": 1, "description": "the names of the inputs"},
    "outputs": _PORTS,
    "names": {"enum": ["index", None], "description": "index: nodes without a name are 0, 1, 2 …"},
}
_OVER: Schema = {
    "description": "lists of equal length: the nodes are added once for each of their elements",
    "anyOf": [{"type": "object", "minProperties": 1}, _EXPRESSION],
}


_OF_A_NODE: dict[str, Schema] = {name: {"$ref": f"#/$defs/word_{name}"} for name in _WORDS}


def json_schema() -> Schema:
    """Return the schema of a spec, or of a file with only blocks."""
    own_blocks = {"anyOf": [{"required": ["blocks"]}, {"required": ["use"]}]}
    nodes = {"description": "the network: a list of nodes"}
    return {
        "$schema": _DIALECT,
        "title": "cnnc spec, version 1",
        "type": "object",
        "properties": _header(),
        "additionalProperties": False,
        "required": ["cnnc"],
        "if": own_blocks,
        "then": {"properties": {"nodes": {**nodes, **_ref("nodes_with_blocks")}}},
        "else": {"properties": {"nodes": {**nodes, **_ref("nodes")}}, "required": ["nodes"]},
        "$defs": {
            "expression": {"type": "string", "pattern": r"\$", "description": "an expression: $name or $(…)"},
            **{f"word_{name}": schema for name, schema in _WORDS.items()},
            **{f"op_{name}": _op(name) for name in registry.PLACES},
            **_nodes("", blocks=False),
            **_nodes("_with_blocks", blocks=True),
            "block": _object(
                {"description": {"type": "string"}, **_BODY, "nodes": _ref("nodes_with_blocks")}, ["nodes"]
            ),
        },
    }


def _header() -> dict[str, Schema]:
    output = _model(OutputPart)
    inputs = {"type": "object", "additionalProperties": _input(), "minProperties": 1}
    named = {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, output]}, "minProperties": 1}
    text = {"type": ["string", "null"]}
    return {
        "cnnc": {"const": 1, "description": "the version of the language"},
        "name": {**text, "description": "the name of the files built; the default is the spec file's"},
        "description": text,
        "params": _PARAMS,
        "input": {**inputs, "maxProperties": 1, "description": "the input's name, and its shape without the batch"},
        "inputs": {**inputs, "description": "names of inputs, and their shapes without the batch"},
        "nodes": {},
        "outputs": {"description": _PORTS["description"], "anyOf": [*_PORTS["anyOf"][:2], named]},
        "blocks": {
            "type": ["object", "null"],
            "additionalProperties": _ref("block"),
            "propertyNames": {"not": {"enum": [*registry.PLACES, "group", "each"]}},
            "description": "blocks of nodes, by name",
        },
        "use": {"type": "array", "items": {"type": "string"}, "description": "files whose blocks this file uses"},
        "labels": {
            "type": "array",
            "items": {"type": "string", "maxLength": 200},
            "description": "names of the classes",
        },
        "budget": _model(Budget),
        "train": _model(Train),
        "allow": _ALLOW,
    }


def _input() -> Schema:
    whole = {"type": "integer", "minimum": 1}
    sides = {"anyOf": [whole, {"type": "array", "items": whole, "minItems": 2, "maxItems": 2}, {"type": "null"}]}
    return {"anyOf": [_SHAPE, _model(InputPart, shape=_SHAPE, resize=_open(sides), crop=_open(sides))]}


def _nodes(suffix: str, *, blocks: bool) -> dict[str, Schema]:
    """Return the definitions of a list of nodes; with `blocks`, a node may be an instance of a block of any name."""
    fields = {name: registry.get(name).model_fields for name in registry.PLACES}
    bare: list[Schema] = [
        {"enum": [name for name, given in fields.items() if not any(each.is_required() for each in given.values())]}
    ]
    if blocks:
        bare.append({"type": "string", "not": {"enum": [*fields, "group", "each"]}})
    instance = {"type": ["object", "null"], "properties": _OF_A_NODE}
    node = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            **{name: _ref(f"op_{name}") for name in fields},
            "group": _ref(f"group{suffix}"),
            "each": _ref(f"each{suffix}"),
        },
        "additionalProperties": instance if blocks else False,
    }
    body = {**_OF_A_NODE, **_BODY, "nodes": _ref(f"nodes{suffix}")}
    return {
        f"nodes{suffix}": {"type": "array", "items": {"anyOf": [*bare, node]}, "minItems": 1},
        f"group{suffix}": _object(body, ["nodes"], "a block that is written where it is used"),
        f"each{suffix}": _object({"over": _OVER, **body}, ["over", "nodes"], "nodes for each round of `over`"),
    }


def _op(name: str) -> Schema:
    """Return the schema of an op's attributes; each may be an expression."""
    op = registry.get(name)
    made = op.model_json_schema()
    attributes = {key: _open(each) for key, each in made.get("properties", {}).items()}
    if registry.takes_act(name):
        attributes["act"] = _ACT
    found = _object({**attributes, **_OF_A_NODE}, made.get("required", []), paragraphs(op.__doc__ or ""))
    return found if made.get("required") else {**found, "type": ["object", "null"]}


def _open(schema: Schema) -> Schema:
    """Return the schema that also takes an expression, as a whole and for each element of a list."""
    about: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    rest = {key: each for key, each in schema.items() if key not in ("description", "default", "title")}
    kinds = [_elements(each) for each in rest["anyOf"]] if "anyOf" in rest else [_elements(rest)]
    return {**about, "anyOf": [*kinds, _EXPRESSION]}


def _elements(schema: Schema) -> Schema:
    if "prefixItems" in schema:
        return {**schema, "prefixItems": [{"anyOf": [each, _EXPRESSION]} for each in schema["prefixItems"]]}
    if "items" in schema:
        return {**schema, "items": {"anyOf": [schema["items"], _EXPRESSION]}}
    return schema


def _model(model: type[BaseModel], **values: Schema) -> Schema:
    """Return the schema of a part; `values` are those of the fields that another stage reads."""
    properties: dict[str, Schema] = {}
    for name, field in model.model_fields.items():
        kind: Any = Annotated[field.annotation, *field.metadata, ""]  # an Annotated needs something
        schema = values[name] if name in values else TypeAdapter(kind).json_schema()
        about: Schema = {"description": field.description} if field.description else {}
        properties[field.alias or name] = {**about, **schema}
    required = [field.alias or name for name, field in model.model_fields.items() if field.is_required()]
    return _object(properties, required, paragraphs(model.__doc__ or ""))


def _object(properties: Mapping[str, Schema], required: Sequence[str], description: str = "") -> Schema:
    about: Schema = {"description": description} if description else {}
    return {
        **about,
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
