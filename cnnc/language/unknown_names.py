"""Reports unknown ops, blocks and attributes of a node, and corrects those whose meaning is clear.

Takes an item in which something is unknown. If a misspelt or foreign op or attribute clearly means a known one, the
rest of the network is checked with that, so that one run finds all errors.
"""

from collections.abc import Collection
from typing import Any

from cnnc.diagnostics import Code, Diagnostic, Report, Span
from cnnc.diagnostics.suggestions import known_as, mistyped, nearest
from cnnc.language.foreign_nodes import (
    OPS,
    Given,
    Meant,
    attribute_advice,
    attribute_meant,
    attributes_meant,
    op_meant,
    written_otherwise,
)
from cnnc.language.known_names import Known
from cnnc.language.model import WORDS, Item
from cnnc.language.validate import quote, show
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATION_FAMILIES
from cnnc.text.value import Value

FIELDS = {"name": "name", "from": "source", "when": "when", "repeat": "repeat", "share": "share"}  # words of an item
KEEP_THE_SHAPE = ("norm", "regularise", *ACTIVATION_FAMILIES)  # families of ops


def corrected(item: Item, known: Known, report: Report) -> Item:
    """The item with corrections, after reporting."""
    if item.bare is not None:
        _check_bare(item, item.bare, known, report)
    if item.broken:
        return item
    if (names := known.attributes(item.op)) is not None:
        return _with_attributes(item, names, known, report)
    if item.op in known.blocks:
        return item
    certain = item.bare is None and _unknown_op(item, item.attributes.plain(), known, report)
    op = nearest(item.op, (*known.blocks, *registry.PLACES))
    if op is None or "(" in item.op:
        return item
    otherwise = written_otherwise(item.op, known.blocks)
    if otherwise and not known_as(item.op, registry.PLACES):
        return item
    names = known.attributes(op)
    meant = item._replace(op=op)
    mended = _with_attributes(meant, names, known, report, certain=certain) if names is not None else meant
    if otherwise:  # it may lack what ours needs: `depthwise_conv: {kernel: 3}` has no `out`
        mended = mended._replace(broken=True)
    return item if op in known.blocks else mended  # a guessed block might use itself


def _with_attributes(item: Item, names: Collection[str], known: Known, report: Report, *, certain: bool = True) -> Item:
    """The item with corrected attributes, after reporting; `certain`: whether its op is."""
    kind = "parameter" if item.op in known.blocks else "attribute"
    known_names = frozenset(names)
    for key, span in item.attributes.keys.items():
        if key not in known_names:
            given = Given(key, span, item.attributes.at(key), _given_names(item))
            meant = attribute_meant(key, given.value.plain(), names, known.blocks)
            help, fix = attribute_advice(item.op, given, names, meant)
            fix = fix and fix._replace(certain=fix.certain and certain)
            message = f"`{item.op}` has no {kind} {quote(key)}"
            report(Diagnostic(Code.UNKNOWN_ATTRIBUTE, message, span, help=help, fix=fix))
            item = _mended(item, key, meant)
    return item


def _check_bare(item: Item, given: Value, known: Known, report: Report) -> None:
    """Report a node whose attributes are not a mapping, or whose op is unknown."""
    says_op = given.data in registry.PLACES or item.op in WORDS or "{" in item.op
    if says_op or item.op in known.blocks or item.op in OPS or mistyped(item.op):
        message = f"the attributes of {quote(item.op)} must be a mapping, got {show(given.plain())}"
        help, fix = attributes_meant(item.op, item.span, given)
        report(Diagnostic(Code.MALFORMED_NODE, message, given.span, help=help, fix=fix))
    else:
        _unknown_op(item, given.plain(), known, report)


def _unknown_op(item: Item, given: Any, known: Known, report: Report) -> bool:
    """Report an unknown op; returns whether its meaning is certain."""
    way_out, fix = op_meant(item.op, given, known.blocks, item.span, item.bare.span if item.bare else None)
    if fix and not known.complete:  # it may be a block of a file that could not be read
        fix = fix._replace(certain=False)
    if way_out is None and not known.complete:
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
    return item._replace(attributes=attributes, **mended)


def _as_value(given: int | list[int], span: Span) -> Value:
    return Value(tuple(Value(each, span) for each in given) if isinstance(given, list) else given, span)
