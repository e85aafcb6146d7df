"""The parameters of a block: the attributes in which its instances differ.

Takes the items of every instance, side by side; writes `$NAME` and expressions into the items of the first, and returns
the parameters with their defaults, and their values in each instance.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cnnc.ops.types import TensorType
from cnnc.recover.conditions import add_conditions
from cnnc.recover.fits import (
    ANY,
    PerRound,
    Usable,
    Vector,
    agree,
    is_size,
    is_width,
    merged,
    of_known,
    only,
)
from cnnc.recover.param import Param, Row, write
from cnnc.recover.tree import TreeItem
from cnnc.recover.words import CLASSES
from cnnc.recover.words import unused_parameter as unused


def parametrize(
    rows: Sequence[Row], inputs: Sequence[TensorType | None]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return the parameters with their defaults, and their values by instance."""
    channels = _channels(inputs)
    params: list[Param] = []
    constant: list[tuple[TreeItem, str, list[Any]]] = []
    for at, item in enumerate(rows[0]):
        assert item is not None
        for key in [*item.attributes, *(["repeat"] if item.repeat is not None else [])]:
            vector = [_value(row[at], key) for row in rows]
            if only(vector) is ANY:
                _collect(params, item, key, vector, channels)
            else:
                constant.append((item, key, vector))
        item.allow = set().union(*(row[at].allow for row in rows if row[at] is not None))  # type: ignore[union-attr]
    for item, key, vector in constant:
        _collect_constant(params, item, key, vector)
    kept = _reduced(params, channels, _last_layer(rows))
    found = {param.name: param.vector for param in kept}
    add_conditions(rows, kept, channels, _last_layer(rows), found)
    usual = {name: _default(name, vector) for name, vector in found.items()}
    usual = {name: [*each] if isinstance(each, PerRound) else each for name, each in usual.items()}
    values = {name: _filled(vector, usual[name]) for name, vector in found.items()}
    order = sorted(found, key=lambda name: usual[name] is not None)
    return {name: usual[name] for name in order}, values


def _value(item: TreeItem | None, key: str) -> Any:
    if item is None:
        return ANY
    return item.repeat if key == "repeat" else item.attributes[key]


def _channels(inputs: Sequence[TensorType | None]) -> Usable | None:
    types = [each for each in inputs if each is not None]
    if len(types) < len(inputs) or any(each.is_tokens for each in types):
        return None
    return Usable("input.channels", [each.shape[0] for each in types])


def _collect(params: list[Param], item: TreeItem, key: str, vector: list[Any], channels: Usable | None) -> None:
    """Add an attribute to the parameter with its values, or make a parameter of it."""
    if channels and is_size(key) and agree(channels.vector, vector):
        write(item, key, f"$({channels.text})")
        return
    for param in params:
        kin = param.attribute == key or (is_size(param.attribute) and is_size(key))
        if kin and agree(param.vector, vector):
            param.vector = merged(param.vector, vector)
            param.uses.append((item, key))
            return
    params.append(Param(key, list(vector), [(item, key)]))


def _collect_constant(params: list[Param], item: TreeItem, key: str, vector: list[Any]) -> None:
    """Add an attribute that never differs to a parameter, if a change of the parameter should change it too.

    This is the stride or width of an item that some instances lack, such as a shortcut. The only stride of a block may
    turn out to be that of a shortcut in a larger block, so it becomes a parameter with a default. The number of classes
    is a parameter of the spec, which a block does not see.
    """
    for param in params:
        kin = param.attribute == key == "stride" or (is_size(param.attribute) and is_size(key))
        if kin and ANY in vector and agree(param.vector, vector):
            param.uses.append((item, key))
            return
    if only(vector) == f"${CLASSES}":
        params.append(Param(CLASSES, vector, [(item, key)]))
    elif key == "stride" and (item.op == "conv" or item.is_scope) and type(vector[0]) is int and vector[0] > 1:
        params.append(Param(key, vector, [(item, key)]))


def _last_layer(rows: Sequence[Row]) -> TreeItem | None:
    """Return the last item with a width that all instances have: it gives the channels of the block."""
    for at in range(len(rows[0]) - 1, -1, -1):
        item = rows[0][at]
        if item is not None and "out" in item.attributes and all(row[at] is not None for row in rows):
            return item
    return None


# -- names


def _name(params: list[Param], last: TreeItem | None) -> None:
    """Name the parameters: `out` is that of the last layer, and `width` what others have, or a multiple of."""
    outs = [param for param in params if is_width(param.attribute)]
    squeezes = [param for param in outs if all(item.op.startswith("squeeze") for item, _ in param.uses)]
    if len(squeezes) == 1 and len(outs) > 1:
        squeezes[0].name = "squeeze"
        outs.remove(squeezes[0])
    names = [f"c{at + 1}" for at in range(len(outs))]
    if len(outs) == 1:
        names = ["out" if _gives(outs[0], last) else "width"]
    elif len(outs) == 2:
        names = ["width", "out"]
    for param, name in zip(outs, names, strict=True):
        param.name = name
    taken = {param.name for param in [*outs, *squeezes]}
    for param in params:
        if not param.name:
            param.name = unused("depth" if param.attribute == "repeat" else param.attribute, taken)
            taken.add(param.name)


def _reduced(params: list[Param], channels: Usable | None, last: TreeItem | None) -> list[Param]:
    """Return the parameters that do not follow from others, with names; write the rest as expressions."""
    kept: list[Param] = []
    for at, param in enumerate(params):
        param.name = f"{param.attribute}_{at}"
        if of_known(param.attribute, param.vector, [Usable(each.name, each.vector) for each in kept]) is None:
            kept.append(param)
    derived = [param for param in params if param not in kept]
    texts = {id(param): _of_channels(param, channels, last) for param in kept}
    left = [param for param in kept if not texts[id(param)]]
    scaled = _ratio(left, channels, last) if channels else None
    named = [param for param in left if param is not scaled]
    for param in params:
        param.name = ""
    _name(named, last)
    others = [Usable(texts[id(each)] or (EXPANDED if each is scaled else each.name), each.vector) for each in kept]
    for param in derived:
        texts[id(param)] = of_known(param.attribute, param.vector, others)
    if scaled is not None:
        texts[id(scaled)] = EXPANDED
        _become_ratio(scaled, channels)
    for param in params:
        text = texts.get(id(param))
        for item, key in param.uses:
            write(item, key, f"$({text})" if text else param.text)
    return [param for param in left if param is scaled or not texts[id(param)]]


def _of_channels(param: Param, channels: Usable | None, last: TreeItem | None) -> str | None:
    """Return the width as an expression over the channels of the input.

    How many times more channels a block gives than it takes is for the network to decide, so there is none for that.
    """
    text = of_known(param.attribute, param.vector, [channels]) if channels and is_size(param.attribute) else None
    return None if text and "*" in text and _gives(param, last) else text


def _gives(param: Param, last: TreeItem | None) -> bool:
    """Whether a parameter is the number of channels that the block gives."""
    return any(item is last and key == "out" for item, key in param.uses)


EXPANDED = "expand * input.channels"


def _ratio(kept: list[Param], channels: Usable, last: TreeItem | None) -> Param | None:
    """Return the first width that is a multiple of the input's channels, by few factors, but for the block's own."""
    widths = [param for param in kept if is_width(param.attribute)]
    for param in widths[:-1]:
        if _gives(param, last):
            continue
        pairs = [(a, b) for a, b in zip(param.vector, channels.vector, strict=True) if a is not ANY]
        if any(type(a) is not int or a % b for a, b in pairs):
            continue
        if len(pairs) > 2 and len({a // b for a, b in pairs}) <= 2 < len({a for a, _ in pairs}):
            return param
    return None


def _become_ratio(param: Param, channels: Usable | None) -> None:
    assert channels is not None
    param.name = "expand"
    param.vector = [ANY if a is ANY else a // b for a, b in zip(param.vector, channels.vector, strict=True)]


# -- defaults


def _default(name: str, vector: Vector) -> Any:
    """Return the most frequent value as the default of what is not a size; None: every instance gives it."""
    values = [repr(each) for each in vector if each is not ANY]
    if name in ("depth", CLASSES) or (is_size(name) and name != "groups"):
        return None if len(values) == len(vector) else 0  # an instance without the node leaves it out
    [(most, count)] = Counter(values).most_common(1)
    value = next(each for each in vector if each is not ANY and repr(each) == most)
    if isinstance(value, bool) or count * 2 > len(values):
        return value
    return 0.0 if isinstance(value, float) and len(values) < len(vector) else None  # where no node has it


def _filled(vector: Vector, usual: Any) -> list[Any]:
    """Return the values of a parameter in all instances; any will do where no node has it."""
    first = next(each for each in vector if each is not ANY)
    filled = [(first if usual is None else usual) if each is ANY else each for each in vector]
    return [[*each] if isinstance(each, PerRound) else each for each in filled]
