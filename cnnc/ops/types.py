"""Tensor types: the shape of a value per sample, channels first, without the batch.

`(C, H, W)` for a feature map, `(features,)` for a vector, `(tokens, features)` for the tokens of a transformer. A
height or width may be unknown (None) until run time.
"""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class TensorType:
    """The shape of one float32 value per sample."""

    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return "×".join("?" if size is None else str(size) for size in self.shape)

    @property
    def is_map(self) -> bool:
        """Whether this is a feature map, (C, H, W)."""
        return len(self.shape) == 3

    @property
    def is_vector(self) -> bool:
        """Whether this is a vector, (features,)."""
        return len(self.shape) == 1

    @property
    def is_tokens(self) -> bool:
        """Whether these are tokens, (tokens, features)."""
        return len(self.shape) == 2

    @property
    def described(self) -> str:
        """The shape with its kind, if the shape alone may be misread: `a vector of 10`, `tokens of 197×768`."""
        return f"{'a vector of ' * self.is_vector}{'tokens of ' * self.is_tokens}{self}"

    @property
    def known(self) -> bool:
        """Whether every size is known."""
        return None not in self.shape

    @property
    def elements(self) -> int | None:
        """The number of elements per sample, or None while a size is unknown."""
        return prod(size for size in self.shape if size is not None) if self.known else None

    @property
    def channels(self) -> int:
        """The first size, which is always known: C of a map, the features of a vector."""
        assert self.shape[0] is not None
        return self.shape[0]

    @property
    def features(self) -> int:
        """The last size, which must be known: the features of a vector or of tokens."""
        assert self.shape[-1] is not None
        return self.shape[-1]

    @property
    def space(self) -> tuple[int | None, int | None]:
        """(H, W) of a map."""
        return self.shape[1], self.shape[2]


Types = tuple[TensorType, ...]

CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}
"""The number of channels of each picture mode."""

MODES = {1: "grey", 3: "rgb"}
"""The default picture mode for a number of channels."""
