"""The `Value` tree of a parsed spec: plain data with source spans.

A `Value` holds a scalar, a tuple of values, or a dict from key to value. Keys have their own spans.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import Span

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Data and its span. In a mapping, `keys` holds the span of each key."""

    data: "Scalar | tuple[Value, ...] | dict[str, Value]"
    span: Span
    keys: dict[str, Span] = field(default_factory=dict)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> "CoreSchema":
        """Accept any `Value` in a field of a model; pydantic would validate the fields of a dataclass."""
        from pydantic_core.core_schema import is_instance_schema

        return is_instance_schema(cls)

    def plain(self) -> Any:
        """The data without spans: scalars, lists and dicts, as from `json`."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, tuple):
            return [value.plain() for value in self.data]
        return self.data

    def at(self, *path: str | int) -> "Value":
        """The deepest existing value on `path`, so that a diagnostic about a missing part points at the whole."""
        here = self
        for step in path:
            if isinstance(here.data, dict) and step in here.data:
                here = here.data[str(step)]
            elif isinstance(here.data, tuple) and isinstance(step, int) and step < len(here.data):
                here = here.data[step]
            else:
                break
        return here
