"""The base class of the pydantic models of a spec file's parts."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """The base of all parts: strict, frozen, and without unknown keys."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True, defer_build=True
    )

    @classmethod
    def instead_of(cls, key: str, value: object) -> str | None:
        """Return what to write instead of a key that the part does not have, if more is known than its spelling."""
