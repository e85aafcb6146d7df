"""A parameter of a block in the making, and how it is written into the items of the block."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnc.recover.fits import PerRound
from cnnc.recover.tree import TreeItem

Row = Sequence[TreeItem | None]


@dataclass(eq=False)
class Param:
    """A parameter in the making: the attributes that it is the value of, as items and keys."""

    attribute: str
    vector: list[Any]
    uses: list[tuple[TreeItem, str]] = field(default_factory=list)
    name: str = ""

    @property
    def text(self) -> str:
        """The parameter as the value of an attribute."""
        return f"$({self.name}[i])" if any(isinstance(each, PerRound) for each in self.vector) else f"${self.name}"


def write(item: TreeItem, key: str, text: str) -> None:
    """Write the text of a value as an attribute of an item."""
    if key == "repeat":
        item.repeat = text
    else:
        item.attributes[key] = text
