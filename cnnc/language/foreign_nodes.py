"""Help lines for nodes that are written in the terms or the form of another framework.

Takes the node as plain data, and the known ops and blocks; returns a line that says what to write, or None. The caller
has already found that the node is wrong.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from cnnc.diagnostics.suggestions import did_you_mean, known_as, mistyped, nearest, needless
from cnnc.language.foreign_axes import Counted, axis_of, shape_of, without_batch
from cnnc.language.foreign_ops import help_for
from cnnc.language.validate import show
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.base import Op

WORDS = ("name", "from", "when", "repeat", "share", "allow")
LONGEST = 200  # characters of a line that a help proposes
OPS = (*registry.PLACES, "group", "each")


def attributes_meant(op: str, given: Any) -> str:
    """What to write instead of attributes that are not a mapping; `op` may be unknown."""
    if way_out := mistyped(op):
        return way_out
    if "{" in op:  # `conv {out: 6}` or `conv:{out: 6}`
        name, _, rest = op.partition("{")
        return f"write a colon and a space: `- {name.strip(' :')}: {{{rest}: {given}"[:LONGEST] + "`"
    if op in ("group", "each"):
        return f"write the nodes in it: `- {op}: {{{'over: …, ' if op == 'each' else ''}nodes: […]}}`"
    if op in WORDS:
        return f"`{op}` is an attribute of a node: `- conv: {{…, {op}: {show(given)}}}`"
    if op not in registry.PLACES:
        alone = isinstance(given, str) and given in registry.PLACES
        return f"write the op as the key: `- {given}`" if alone else f"write `{op[:64]}: {{name: value}}`"
    return _attributes_of(op, given)


def _attributes_of(op: str, given: Any) -> str:
    say, code, why = _spelt_out(op, given)
    return f"{say}: `{code}`{why}"


def _spelt_out(op: str, given: Any) -> tuple[str, str, str]:
    """The correction of a node with a bare value: what to do, the correct code, and the reason."""
    kind = registry.get(op)
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    names = required or list(kind.model_fields)[:1]
    sources = given.split(",") if isinstance(given, str) and (kind.least_inputs > 1 or not names) else given
    if sources and isinstance(sources, list) and all(isinstance(each, str) for each in sources):
        return "name its inputs", f"- {op}: {{from: [{', '.join(map(str.strip, sources))}]}}"[:LONGEST], ""
    if not names:
        return "it has no attributes", f"- {op}", ""
    if not required and isinstance(given, bool):
        return "write only its name", f"- {op}", ""
    if not required and isinstance(given, int) and registry.PLACES[op][0] == "norm":  # torch's num_features
        return "write only its name", f"- {op}", ", whose channels are inferred from the input"
    if len(names) == 2 and isinstance(given, list) and len(given) == 2 and _descend(given):
        return "name the attributes", f"- {op}: {{{names[0]}: {given[0]}, {names[1]}: {given[1]}}}", ""
    rest = "".join(f", {name}: …" for name in names[1:])
    shown = show(given) if _takes(kind, names[0], given) else "…"
    return f"name the attribute{'s' * (len(names) > 1)}", f"- {op}: {{{names[0]}: {shown}{rest}}}", ""


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


def op_meant(op: str, given: Any, blocks: Iterable[str]) -> str | None:
    """The help line for an unknown op with the attributes `given`."""
    way_out = did_you_mean(op, (*blocks, *OPS))
    if otherwise := written_otherwise(op, blocks):
        return otherwise
    known = known_as(op, registry.PLACES)
    if known and re.fullmatch(r"[\w.]+\(.*\)", op):
        return f"write attributes by name, not as a function call: `{_spelt_out(known, True)[1]}`"
    if known and given is not None and not isinstance(given, Mapping):
        return f"{way_out} {_attributes_of(known, given)}"
    return f"{way_out}{axis_of(known, given)}{shape_of(known, given)}" if known else way_out


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


def say_attribute(op: str, key: str, given: Any, known: Iterable[str], meant: Meant) -> str | None:
    """The help line for an unknown attribute of `op`."""
    if re.fullmatch(r"[-\d.\s]+\)+", key):
        return f"write a list in square brackets: `[…, {key.strip(' )')}]`"
    if meant.counted:
        return meant.counted.help
    return (_another_op(op, meant.op, given) if meant.op else meant.needless) or did_you_mean(key, known)


def _another_op(op: str, other: str, given: Any) -> str:
    """The help line for an op that is written as an attribute of another op."""
    if given is False or other == op:
        return f"remove it: `{other}` is a separate op"
    if other in ACTIVATIONS and registry.takes_act(op):
        return f"write `act: {other}`"
    written = f"`- {other}: {{…}}`" if isinstance(given, dict) and given else f"`- {other}`"
    if other in registry.PLACES and isinstance(given, int | float | list):
        written = f"`{_spelt_out(other, given)[1]}`"
    return f"`{other}` is a separate op: put {written} after this node"
