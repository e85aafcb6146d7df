"""The names of the known ops, blocks and attributes.

Takes the blocks of a file and of those that it uses; says which names a node may have. `cnnc.language.unknown_names`
corrects a node that has others.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cnnc.language.model import WORDS, Block, Item
from cnnc.ops import registry
from cnnc.text.value import Value


class Known(NamedTuple):
    """The known ops and blocks. `complete` is false if files with further blocks could not be read."""

    blocks: Mapping[str, Block]
    complete: bool = True

    def attributes(self, op: str) -> tuple[str, ...] | None:
        """The names that a node of this op or block may have in its attributes; None if there is no such op or block.

        A block with the name of an op has been refused, and either may be meant, so it has no names for certain.
        """
        if op in self.blocks:
            return None if registry.reserved(op) else (*self.blocks[op].params, *WORDS)
        if op not in registry.PLACES:
            return None
        return (*registry.get(op).model_fields, *(("act",) if registry.takes_act(op) else ()), *WORDS)

    def knows(self, item: Item) -> bool:
        """Whether an item has a known op, in the right form, and only known attributes."""
        known = self.attributes(item.op)
        return item.bare is None and known is not None and item.attributes.keys.keys() <= {*known}

    def with_own_share(self, item: Item) -> Item:
        """The item with `share` as an attribute, if its block has a parameter of that name, which is older."""
        if item.share is None or item.op not in self.blocks or "share" not in self.blocks[item.op].params:
            return item
        assert isinstance(item.attributes.data, dict)
        keys = {**item.attributes.keys, "share": item.share.span}
        attributes = Value({**item.attributes.data, "share": item.share}, item.attributes.span, keys)
        return item._replace(attributes=attributes, share=None)
