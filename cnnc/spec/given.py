"""What a caller gives instead of a file: a spec as plain data, and values for its parameters.

Plain data is written out as the text that it would be, so that its errors have places like those of a file.
"""

import json
from collections.abc import Mapping
from typing import Any

from cnnc.diagnostics import CnncError, Code, Source
from cnnc.spec.reader import parse_text
from cnnc.spec.value import Value


def from_data(data: Mapping[str, Any]) -> Source:
    """A spec given as a dict, as text. Raises CnncError (E203) for what is not plain data."""
    return Source("<dict>", _written(data, "the spec", indent=2))


def overrides(given: Mapping[str, Any]) -> dict[str, Value]:
    """Values for a spec's parameters, each with a place in `<set>`. Raises CnncError for what is not plain data."""
    if not isinstance(given, Mapping):
        raise TypeError(f"`set` is a dict of parameters and their values, not {type(given).__name__}")
    if not given:
        return {}
    root = parse_text(Source("<set>", _written(dict(given), "a parameter's value")))
    assert isinstance(root.data, dict)
    return root.data


def _written(data: Mapping[str, Any], what: str, indent: int | None = None) -> str:
    """Plain data as JSON."""
    try:
        return json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False, default=_builtin)
    except (TypeError, ValueError, RecursionError) as error:
        help = "a spec holds dicts, lists, strings, finite numbers, true, false and None"
        raise CnncError.of(Code.BAD_VALUE, f"{what} is not plain data: {error}", help=help) from None


def _builtin(data: object) -> object:
    """Mappings and numbers of other libraries, as NumPy's, as Python's own; raises TypeError for all else."""
    if isinstance(data, Mapping):
        return dict(data)
    plain = data.item() if hasattr(data, "item") and not getattr(data, "ndim", 0) else None
    if isinstance(plain, bool | int | float | str):
        return plain
    raise TypeError(f"{type(data).__name__} is none of a spec's types")


def parse_setting(text: str) -> tuple[str, Any]:
    """`NAME=VALUE` from a command line, the value read as a spec would read it; ValueError where it is none."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    try:
        root = parse_text(Source("<set>", f"value: {value}"))
    except CnncError as error:
        raise ValueError(f"{name}: {error.diagnostics[0].message}") from None
    assert isinstance(root.data, dict)
    for more in list(root.data)[1:]:
        raise ValueError(f"{name}: the value ends before the line of `{more}`")
    return name, root.at("value").plain()
