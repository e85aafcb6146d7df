"""What a spec's text says: plain values, each with the place where it stands.

A `Value` holds a scalar, a tuple of values, or a dict from key to value. Keys have places of their own.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import Span

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A piece of data and its span. In a mapping, `keys` holds the span of each key."""

    data: "Scalar | tuple[Value, ...] | dict[str, Value]"
    span: Span
    keys: dict[str, Span] = field(default_factory=dict)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> "CoreSchema":
        """A field of a model takes any `Value`; pydantic would look into the fields of a dataclass."""
        from pydantic_core.core_schema import is_instance_schema

        return is_instance_schema(cls)

    def plain(self) -> Any:
        """The data alone: scalars, lists and dicts as `json` would give them."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, tuple):
            return [value.plain() for value in self.data]
        return self.data

    def at(self, *path: str | int) -> "Value":
        """The deepest value on `path`: a diagnostic about a missing part belongs to the whole it is missing from."""
        here = self
        for step in path:
            if isinstance(here.data, dict) and step in here.data:
                here = here.data[str(step)]
            elif isinstance(here.data, tuple) and isinstance(step, int) and step < len(here.data):
                here = here.data[step]
            else:
                break
        return here
