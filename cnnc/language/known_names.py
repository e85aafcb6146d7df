"""Checks the names of ops, blocks and attributes in nodes.

Takes the items of a list of nodes; reports unknown names and returns the items with corrections. If a misspelt or
foreign op or attribute clearly means a known one, the rest of the network is checked with that, so that one run finds
all errors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from cnnc.diagnostics import Code, Diagnostic, Report, Span
from cnnc.diagnostics.suggestions import known_as, mistyped, nearest
from cnnc.language.foreign_nodes import (
    OPS,
    WORDS,
    Given,
    Meant,
    attribute_advice,
    attribute_meant,
    attributes_meant,
    op_meant,
    written_otherwise,
)
from cnnc.language.model import Block, Item
from cnnc.language.validate import quote, show
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATION_FAMILIES
from cnnc.text.value import Value

FIELDS = {"name": "name", "from": "source", "when": "when", "repeat": "repeat", "share": "share"}  # words of an item
KEEP_THE_SHAPE = ("norm", "regularise", *ACTIVATION_FAMILIES)  # families of ops


class Known(NamedTuple):
    """The known ops and blocks. `complete` is false if files with further blocks could not be read."""

    blocks: Mapping[str, Block]
    complete: bool = True

    def mended(self, items: Iterable[Item], report: Report) -> tuple[Item, ...]:
        """The items with corrections, after reporting."""
        return tuple(self._mended(item, report) for item in items)

    def _mended(self, item: Item, report: Report) -> Item:
        if item.body is not None:
            return replace(item, body=replace(item.body, items=self.mended(item.body.items, report)))
        if item.bare is not None:
            self._check_bare(item, item.bare, report)
        if item.broken or (item.op in self.blocks and registry.reserved(item.op)):
            return item  # a block with the name of an op has been refused, and either may be meant
        if item.op in self.blocks or item.op in registry.PLACES:
            return self._with_attributes(item, report)
        certain = item.bare is None and self._unknown_op(item, item.attributes.plain(), report)
        op = nearest(item.op, (*self.blocks, *registry.PLACES))
        if op is None or "(" in item.op:
            return item
        otherwise = written_otherwise(item.op, self.blocks)
        if otherwise and not known_as(item.op, registry.PLACES):
            return item
        mended = self._with_attributes(replace(item, op=op), report, certain=certain)
        if otherwise:  # it may lack what ours needs: `depthwise_conv: {kernel: 3}` has no `out`
            mended = replace(mended, broken=True)
        return item if op in self.blocks else mended  # a guessed block might use itself

    def _with_attributes(self, item: Item, report: Report, *, certain: bool = True) -> Item:
        """The item with corrected attributes, after reporting; `certain`: whether its op is."""
        if item.op in self.blocks:
            item = _own_share(item, self.blocks[item.op])
            known, kind = (*self.blocks[item.op].params, *WORDS), "parameter"
        else:
            act = ("act",) if registry.takes_act(item.op) else ()
            known, kind = (*registry.get(item.op).model_fields, *act, *WORDS), "attribute"
        names = frozenset(known)
        for key, span in item.attributes.keys.items():
            if key not in names:
                given = Given(key, span, item.attributes.at(key), _given_names(item))
                meant = attribute_meant(key, given.value.plain(), known, self.blocks)
                help, fix = attribute_advice(item.op, given, known, meant)
                fix = fix and fix._replace(certain=fix.certain and certain)
                message = f"`{item.op}` has no {kind} {quote(key)}"
                report(Diagnostic(Code.UNKNOWN_ATTRIBUTE, message, span, help=help, fix=fix))
                item = _mended(item, key, meant)
        return item

    def _check_bare(self, item: Item, given: Value, report: Report) -> None:
        """Report a node whose attributes are not a mapping, or whose op is unknown."""
        says_op = given.data in registry.PLACES or item.op in WORDS or "{" in item.op
        if says_op or item.op in self.blocks or item.op in OPS or mistyped(item.op):
            message = f"the attributes of {quote(item.op)} must be a mapping, got {show(given.plain())}"
            help, fix = attributes_meant(item.op, item.span, given)
            report(Diagnostic(Code.MALFORMED_NODE, message, given.span, help=help, fix=fix))
        else:
            self._unknown_op(item, given.plain(), report)

    def _unknown_op(self, item: Item, given: Any, report: Report) -> bool:
        """Report an unknown op; returns whether its meaning is certain."""
        way_out, fix = op_meant(item.op, given, self.blocks, item.span, item.bare.span if item.bare else None)
        if fix and not self.complete:  # it may be a block of a file that could not be read
            fix = fix._replace(certain=False)
        if way_out is None and not self.complete:
            return False
        way_out = way_out or "`cnnc explain ops` lists the ops; a block of your own is defined under `blocks`"
        message = f"there is no op or block {quote(item.op)}"
        report(Diagnostic(Code.UNKNOWN_OP, message, item.span, help=way_out, fix=fix))
        return fix is not None and fix.certain


def _given_names(item: Item) -> set[str]:
    """The attributes and words that a node has."""
    return {*item.attributes.keys, *(word for word, name in FIELDS.items() if getattr(item, name) is not None)}


def _mended(item: Item, key: str, meant: Meant) -> Item:
    """The item with one attribute renamed or removed; unchanged if the meaning is unclear."""
    assert isinstance(item.attributes.data, dict)
    values = {name: each for name, each in item.attributes.data.items() if name != key}
    keys = {name: span for name, span in item.attributes.keys.items() if name != key}
    words = {word: getattr(item, name) for word, name in FIELDS.items()}
    value, name = item.attributes.data[key], meant.attribute
    if meant.counted:
        if meant.counted.value is None:
            return item
        value = _as_value(meant.counted.value, value.span)
    if name in words and words[name] is None:
        words[name] = value
    elif name is not None and name not in (*WORDS, *values):
        values[name], keys[name] = value, item.attributes.keys[key]
    elif not (meant.needless or (meant.op in registry.PLACES and registry.PLACES[meant.op][0] in KEEP_THE_SHAPE)):
        return item
    attributes = Value(values, item.attributes.span, keys)
    mended: dict[str, Any] = {name: words[word] for word, name in FIELDS.items()}
    return replace(item, attributes=attributes, **mended)


def _own_share(item: Item, block: Block) -> Item:
    """The item with `share` as an attribute, if its block has a parameter of that name: it is older than the word."""
    if item.share is None or "share" not in block.params:
        return item
    assert isinstance(item.attributes.data, dict)
    keys = {**item.attributes.keys, "share": item.share.span}
    attributes = Value({**item.attributes.data, "share": item.share}, item.attributes.span, keys)
    return replace(item, attributes=attributes, share=None)


def _as_value(given: int | list[int], span: Span) -> Value:
    return Value(tuple(Value(each, span) for each in given) if isinstance(given, list) else given, span)
