"""Help lines for nodes that are written in the terms or the form of another framework.

Takes the node as plain data with its places, and the known ops and blocks; returns a line that says what to write, and
the fix that writes it if there is one. The caller has already found that the node is wrong.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from cnnc.diagnostics import Advice, Fix, Remove, Span, Write
from cnnc.diagnostics.suggestions import is_default, known_as, mistyped, nearest, needless, plain_name, respelt
from cnnc.language.foreign_axes import OURS, Counted, axis_of, shape_of, without_batch
from cnnc.language.foreign_ops import help_for
from cnnc.language.model import WORDS
from cnnc.language.validate import show
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.base import Op
from cnnc.text.value import Value

LONGEST = 200  # characters of a line that a help proposes
OPS = (*registry.PLACES, "group", "each")


class Spelt(NamedTuple):
    """A node with a bare value, spelt out: `BatchNorm2d: 6` is only `batch_norm`. An unknown value is `...`."""

    say: str
    op: str
    body: Mapping[str, Any] | None = None
    why: str = ""
    certain: bool = True

    @property
    def code(self) -> str:
        """The node as the help line shows it."""
        inside = ", ".join(f"{name}: {self._shown(value)}" for name, value in (self.body or {}).items())
        return f"- {self.op}: {{{inside}}}"[:LONGEST] if self.body else f"- {self.op}"

    @staticmethod
    def _shown(value: Any) -> str:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return f"[{', '.join(value)}]"
        return "…" if value is ... else show(value)

    def changes(self, op: Span, value: Span) -> tuple[Write | Remove, ...]:
        """The changes that make it so, given the places of the op and its value; none if a value is unknown."""
        if self.body is None:
            return (Remove(op, only_value=True),)
        return () if ... in self.body.values() else (Write(value, dict(self.body)),)


def attributes_meant(op: str, at: Span, given: Value) -> Advice:
    """What to write instead of attributes that are not a mapping; `op`, at the place `at`, may be unknown."""
    if way_out := mistyped(op):
        return Advice(way_out)
    if "{" in op:  # `conv {out: 6}` or `conv:{out: 6}`
        name, _, rest = op.partition("{")
        return Advice(f"write a colon and a space: `- {name.strip(' :')}: {{{rest}: {given.plain()}"[:LONGEST] + "`")
    if op in ("group", "each"):
        return Advice(f"write the nodes in it: `- {op}: {{{'over: …, ' if op == 'each' else ''}nodes: […]}}`")
    if op in WORDS:
        return Advice(f"`{op}` is an attribute of a node: `- conv: {{…, {op}: {show(given.plain())}}}`")
    if op not in registry.PLACES:
        alone = isinstance(given.data, str) and given.data in registry.PLACES
        written = f"write the op as the key: `- {given.data}`" if alone else f"write `{op[:64]}: {{name: value}}`"
        return Advice(written)
    spelt = _spelt_out(op, given.plain())
    changes = spelt.changes(at, given.span)
    return Advice(_attributes_of(spelt), Fix(changes, spelt.certain) if changes else None)


def _attributes_of(spelt: Spelt) -> str:
    return f"{spelt.say}: `{spelt.code}`{spelt.why}"


def _spelt_out(op: str, given: Any) -> Spelt:
    """The correction of a node with a bare value."""
    kind = registry.get(op)
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    names = required or list(kind.model_fields)[:1]
    sources = given.split(",") if isinstance(given, str) and (kind.least_inputs > 1 or not names) else given
    if sources and isinstance(sources, list) and all(isinstance(each, str) for each in sources):
        return Spelt("name its inputs", op, {"from": [each.strip() for each in sources]})
    if not names:
        return Spelt("it has no attributes", op, certain=isinstance(given, bool))
    if not required and isinstance(given, bool):
        return Spelt("write only its name", op, certain=given)
    if not required and isinstance(given, int) and registry.PLACES[op][0] == "norm":  # torch's num_features
        return Spelt("write only its name", op, None, ", whose channels are inferred from the input")
    if len(names) == 2 and isinstance(given, list) and len(given) == 2 and _descend(given):
        return Spelt("name the attributes", op, dict(zip(names, given, strict=True)), certain=False)
    value = given if _takes(kind, names[0], given) else ...
    alone = len(names) == 1 and names[0] not in (*OURS, "shape")  # others may count the batch
    body = {names[0]: value, **dict.fromkeys(names[1:], ...)}
    return Spelt(f"name the attribute{'s' * (len(names) > 1)}", op, body, certain=alone)


def _descend(given: list[Any]) -> bool:
    """Whether two numbers may be channels and a kernel: `[6, 5]`, but not `[3, 64]` (input and output channels)."""
    return all(type(each) is int for each in given) and given[0] >= given[1]


def _takes(kind: type[Op], attribute: str, given: Any) -> bool:
    """Whether an attribute accepts a value."""
    try:
        kind.model_validate({attribute: given})
    except ValidationError as error:
        return all(each["loc"][:1] != (attribute,) for each in error.errors())
    return True


def op_meant(op: str, given: Any, blocks: Iterable[str], at: Span | None = None, value: Span | None = None) -> Advice:
    """The help line for an unknown op with the attributes `given`; the fix for its place and that of a bare value."""
    options = (*blocks, *OPS)
    if otherwise := written_otherwise(op, blocks):
        return Advice(otherwise)
    known = known_as(op, registry.PLACES)
    if known and re.fullmatch(r"[\w.]+\(.*\)", op):
        spelt = _spelt_out(known, True)
        certain = re.search(r"\((inplace ?= ?True)?\)$", op) is not None
        fix = Fix((Write(at, known),), certain) if at and given in (None, {}) and spelt.body is None else None
        return Advice(f"write attributes by name, not as a function call: `{spelt.code}`", fix)
    help, fix = respelt(op, at, options)
    if known and given is not None and not isinstance(given, Mapping):
        spelt = _spelt_out(known, given)
        changes = spelt.changes(at, value) if at and value else ()
        if fix and changes:
            fix = Fix((*fix.changes, *changes), fix.certain and spelt.certain)
        return Advice(f"{help} {_attributes_of(spelt)}", fix if changes else None)
    reminder = f"{axis_of(known, given)}{shape_of(known, given)}" if known else ""
    return Advice(f"{help}{reminder}" if help else None, fix._replace(certain=False) if fix and reminder else fix)


def written_otherwise(op: str, blocks: Iterable[str]) -> str | None:
    """The help line for a foreign op that is several of ours or none, and is not a block; None for other ops."""
    return None if known_as(op, blocks) else help_for(op)


def several_ops(given: Mapping[str, Any]) -> str | None:
    """The help line for several nodes that are written as one: `{conv: {…}, relu: {}}`."""
    first, second = list(given)[:2]
    mine = known_as(first, registry.PLACES)
    attributes = (*registry.get(mine).model_fields, *WORDS, "act") if mine else WORDS
    is_attribute = given[first] is None and known_as(second, attributes) is not None
    if is_attribute or not (known_as(second, OPS) or isinstance(given[second], dict)):
        return None
    written = [f"`- {key}: {{…}}`" if each else f"`- {key}`" for key, each in list(given.items())[:4]]
    return f"write each as a node of its own: {', '.join(written)}"[:LONGEST]


class Meant(NamedTuple):
    """The meaning of an unknown attribute: a known attribute, another op, or one that is not needed."""

    attribute: str | None = None
    op: str | None = None
    needless: str | None = None
    counted: Counted | None = None  # how an axis is written


def attribute_meant(key: str, given: Any, known: Iterable[str], blocks: Iterable[str]) -> Meant:
    """The meaning of `key`, given the `known` attributes."""
    if mistyped(key, known):
        return Meant()
    if name := known_as(key, known):
        return Meant(attribute=name, counted=without_batch(key, name, given) if key != name else None)
    if why := needless(key):
        return Meant(needless=why)
    if op := known_as(given if key == "act" and isinstance(given, str) else key, (*blocks, *OPS)):
        return Meant(op=op)
    return Meant(attribute=nearest(key, known))


class Given(NamedTuple):
    """An unknown attribute of a node: its key, the place of the key, its value, and the node's other attributes."""

    key: str
    at: Span
    value: Value
    others: Collection[str]


def attribute_advice(op: str, given: Given, known: Iterable[str], meant: Meant) -> Advice:
    """The help line and the fix for an unknown attribute of `op`."""
    key, data = given.key, given.value.plain()
    if re.fullmatch(r"[-\d.\s]+\)+", key):
        return Advice(f"write a list in square brackets: `[…, {key.strip(' )')}]`")
    if meant.counted:
        changes = (Write(given.at, meant.attribute), Write(given.value.span, meant.counted.value))
        known_value = meant.counted.value is not None and meant.attribute not in given.others
        return Advice(meant.counted.help, Fix(changes, certain=True) if known_value else None)
    if meant.op:
        return _another_op(op, meant.op, given)
    if meant.needless:
        return Advice(meant.needless, Fix((Remove(given.at),), is_default(key, data)))
    help, fix = respelt(key, given.at, known)
    if fix and meant.attribute in given.others:
        fix = None
    if fix and isinstance(data, list) and len(data) > 2 and plain_name(key) != "pads":  # torch's order is another
        fix = fix._replace(certain=False)
    return Advice(help, fix)


def _another_op(op: str, other: str, given: Given) -> Advice:
    """The advice for an op that is written as an attribute of another op."""
    data = given.value.plain()
    if data is False or other == op:
        return Advice(f"remove it: `{other}` is a separate op", Fix((Remove(given.at),), certain=data is False))
    if other in ACTIVATIONS and registry.takes_act(op):
        changes = (Write(given.at, "act"), Write(given.value.span, other))
        fix = None if "act" in given.others else Fix(changes, certain=data in (None, True, other))
        return Advice(f"write `act: {other}`", fix)
    written = f"`- {other}: {{…}}`" if isinstance(data, dict) and data else f"`- {other}`"
    if other in registry.PLACES and isinstance(data, int | float | list):
        written = f"`{_spelt_out(other, data).code}`"
    return Advice(f"`{other}` is a separate op: put {written} after this node")
