"""The attributes of an op as a spec writes them: `kernel: 3` for the pair (3, 3).

Takes an op with its validated attributes; returns plain values, by attribute. `like` is left out, because it is an
input.
"""

from collections.abc import Iterator
from math import copysign
from typing import Any

from pydantic import ValidationError

from cnnc.ops import registry
from cnnc.ops.base import Op

NEEDED = {"affine": ("scale",)}  # attributes of ops that refuse to have none
_READ: dict[Any, bool] = {}  # whether the form of a value is read as that value
_DEFAULTS: dict[str, dict[str, Any]] = {}


def plain(op: Op) -> dict[str, Any]:
    """Return all attributes of an op in their shortest form."""
    names = [name for name in type(op).model_fields if name != "like"]
    if op.name not in _DEFAULTS:
        fields = ((name, type(op).model_fields[name]) for name in names)
        _DEFAULTS[op.name] = {
            name: _shortest(op, name, field.default) for name, field in fields if not field.is_required()
        }
    return {name: _shortest(op, name, getattr(op, name)) for name in names}


def without_defaults(op: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes, in the forms of `plain`, that differ from their defaults."""
    usual = _DEFAULTS.get(op, {}) if op in registry.PLACES else {}
    found = {name: value for name, value in attributes.items() if name not in usual or not _same(usual[name], value)}
    return found or {name: attributes[name] for name in NEEDED.get(op, ())}


def _same(default: Any, value: Any) -> bool:
    if isinstance(default, float) and isinstance(value, float) and copysign(1, default) != copysign(1, value):
        return False  # 0.0 and -0.0
    return bool(default == value) and isinstance(default, bool) == isinstance(value, bool)


def _shortest(op: Op, name: str, value: Any) -> Any:
    """Return the shortest plain form that is read as the value of this attribute."""
    if not isinstance(value, tuple):
        return value
    return next((form for form in _forms(value) if _is_read_as(op, name, form, value)), list(value))


def _forms(value: tuple[Any, ...]) -> Iterator[Any]:
    if len(set(value)) == 1:
        yield value[0]
    if len(value) == 4 and value[:2] == value[2:]:
        yield list(value[:2])


def _is_read_as(op: Op, name: str, form: Any, value: Any) -> bool:
    key = op.name, name, tuple(form) if isinstance(form, list) else form, value
    if key not in _READ:
        rest = {field: getattr(op, field) for field in type(op).model_fields}
        try:
            _READ[key] = getattr(type(op).model_validate({**rest, name: form}), name) == value
        except ValidationError:
            _READ[key] = False
    return _READ[key]
