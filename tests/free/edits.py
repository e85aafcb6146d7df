"""Small changes of a spec's nodes, of every kind that the language has; whether one is right the compiler says.

Each takes a `Draft`, whose plain data it changes in place, and gives False where there is nothing to change. `OF_NODES`
lists them; those of the top level's other keys stand in `edits_of_shell`.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from tests.free.attributes import attributes, integer, schema_of, value
from tests.free.draft import Draft, Place, places
from tests.free.expressions import condition, expression
from tests.free.names import PARAMETERS, fresh

Edit = Callable[[Random, Draft], bool]
WORDS = ("name", "from", "when", "repeat", "act")


def _place(rng: Random, draft: Draft) -> Place:
    """A scope; the larger ones more often."""
    found = places(draft.spec)
    return rng.choices(found, [1 + len(each.items) for each in found])[0]


def _item(rng: Random, draft: Draft) -> tuple[Place, str, dict[str, Any]] | None:
    """An item of a scope, as its op and its words."""
    place = _place(rng, draft)
    if not place.items:
        return None
    [(op, words)] = rng.choice(place.items).items()
    return place, op, words


def _value(rng: Random, place: Place, draft: Draft) -> str:
    """How a value is named in a scope: a node, an input, or one of several outputs."""
    name = rng.choice(place.names)
    ports = _ports(name, place, draft)
    return f"{name}.{rng.choice(ports)}" if ports else name


def _ports(name: str, place: Place, draft: Draft) -> list[str]:
    """The ports that a node of that name has, or could have."""
    for item in place.items:
        for op, words in item.items():
            if words.get("name") == name:
                body = words if op == "group" else draft.spec.get("blocks", {}).get(op, {})
                shown = body.get("outputs")
                if isinstance(shown, dict | list) and len(shown) > 1:
                    return list(shown)
                if op == "split":
                    parts = words.get("parts") or len(words.get("sizes") or "x")
                    return [str(port) for port in range(parts if isinstance(parts, int) else 2)][:8]
                if isinstance(words.get("repeat"), int) or op == "each":
                    return ["0", "1"]
    return []


def set_attribute(rng: Random, draft: Draft) -> bool:
    """Another value for an attribute of an op, or none."""
    found = _item(rng, draft)
    if found is None or found[1] not in registry.names():
        return False
    _, op, words = found
    fields = schema_of(registry.get(op)).get("properties", {})
    if not fields:
        return False
    name = rng.choice([*fields])
    if name in words and rng.random() < 0.2:
        del words[name]
    else:
        words[name] = value(rng, fields[name], draft.near)
    return True


def rewire(rng: Random, draft: Draft) -> bool:
    """Other inputs for an item, or those that stand before it."""
    found = _item(rng, draft)
    if found is None or not found[0].names:
        return False
    place, _, words = found
    source = words.get("from")
    if source is not None and rng.random() < 0.2:
        del words["from"]
    elif isinstance(source, list) and rng.random() < 0.8:
        source[rng.randrange(len(source))] = _value(rng, place, draft)
    elif isinstance(source, list) or rng.random() < 0.1:
        kept = source if isinstance(source, list) else [source or _value(rng, place, draft)]
        words["from"] = [*kept, _value(rng, place, draft)]
    else:
        words["from"] = _value(rng, place, draft)
    return True


def leave_out(rng: Random, draft: Draft) -> bool:
    """A condition, which may speak of what stands further down."""
    found = _item(rng, draft)
    if found is None:
        return False
    place, _, words = found
    words["when"] = condition(rng, place.names, _variables(place, draft, words), draft.near)
    return True


def repeat(rng: Random, draft: Draft) -> bool:
    """So many instances in a chain."""
    found = _item(rng, draft)
    if found is None:
        return False
    place, _, words = found
    count = rng.choice((1, 2, 2, 3))
    words["repeat"] = count if rng.random() < 0.7 else expression(rng, count, place.names, [], draft.near)
    return True


def share(rng: Random, draft: Draft) -> bool:
    """One more item like another, with its parameters; or an item that shares those of any other, or none."""
    found = _item(rng, draft)
    if found is None or not found[0].names:
        return False
    place, op, words = found
    if rng.random() < 0.4:
        words["share"] = rng.choice((False, rng.choice(place.names)))
        return True
    old, new = words.setdefault("name", fresh(rng, set(place.names))), fresh(rng, set(place.names))
    again = {**deepcopy(words), "name": new, "share": old}
    if rng.random() < 0.4:
        again["from"] = _value(rng, place, draft)
    place.items.append({op: again})
    _show(rng, draft, place, new)
    return True


def hand_on(rng: Random, draft: Draft) -> bool:
    """A scope of several inputs that has an output for each, and is repeated."""
    found = [each for each in places(draft.spec) if len(each.inputs) > 1 and each.kind in ("block", "group")]
    if not found:
        return False
    inner = rng.choice(found)
    inner.holder["outputs"] = {name: rng.choice((name, rng.choice(inner.names))) for name in inner.inputs}
    for place in places(draft.spec):
        for item in place.items:
            for op, words in item.items():
                if words is inner.holder or draft.spec.get("blocks", {}).get(op) is inner.holder:
                    words["repeat"] = rng.randint(1, 3)
    return True


def add_act(rng: Random, draft: Draft) -> bool:
    """An activation behind a layer."""
    found = _item(rng, draft)
    if found is None or not registry.takes_act(found[1]):
        return False
    found[2]["act"] = rng.choice([*ACTIVATIONS, None])
    return True


def compute(rng: Random, draft: Draft) -> bool:
    """An expression in the place of a value."""
    found = _item(rng, draft)
    if found is None:
        return False
    place, op, words = found
    keys = [key for key in words if key not in ("name", "from", "nodes", "outputs", "inputs", "params", "names")]
    if not keys:
        return False
    holder: Any = words
    key: Any = rng.choice(keys)
    while isinstance(holder[key], dict | list) and holder[key]:
        inner = holder[key]
        if isinstance(inner, list) and rng.random() < 0.4:
            break
        holder, key = inner, rng.choice([*inner] if isinstance(inner, dict) else range(len(inner)))
    before = holder[key]
    if isinstance(before, str) and before.startswith("$"):
        return False
    variables = _variables(place, draft, words)
    holder[key] = expression(rng, before, [] if op == "each" else place.names, variables, draft.near)
    return True


def _variables(place: Place, draft: Draft, words: dict[str, Any]) -> list[str]:
    """The parameters that can be seen from an item, mostly."""
    own = [*(place.holder.get("params") or {}), *(place.holder.get("over") or {})]
    around = [*(draft.spec.get("params") or {})] if place.kind in ("group", "each") else []
    counters = ["i", "n"] if "repeat" in words or place.kind == "each" else []
    return [*own, *around, *counters]


def lift(rng: Random, draft: Draft) -> bool:
    """A value becomes a parameter of its scope, with a default or given from outside."""
    found = _item(rng, draft)
    if found is None or found[0].kind == "each":
        return False
    place, _, words = found
    keys = [key for key in words if key not in (*WORDS[:2], "nodes", "outputs", "inputs", "params", "names", "over")]
    keys = [key for key in keys if not isinstance(words[key], str) or "$" not in words[key]]
    if not keys:
        return False
    key = rng.choice(keys)
    params = place.holder.setdefault("params", {})
    if not isinstance(params, dict):
        return False
    name = fresh(rng, {*params, *place.names}, PARAMETERS)
    params[name], words[key] = words[key], f"${name}"
    if rng.random() < 0.4:
        _give(rng, draft, place, name)
    return True


def _give(rng: Random, draft: Draft, place: Place, name: str) -> None:
    """The parameter has to be given: by all instances of a block, or by the caller."""
    params = place.holder["params"]
    if place.kind == "spec":
        draft.settings[name] = params[name]
        params[name] = None
    elif place.kind == "block":
        [block] = [each for each, body in draft.spec["blocks"].items() if body is place.holder]
        for other in places(draft.spec):
            for item in other.items:
                if block in item:
                    item[block][name] = params[name]
        params[name] = None


def insert(rng: Random, draft: Draft) -> bool:
    """One more node: between two others, or of its own."""
    place = _place(rng, draft)
    kind = registry.get(rng.choice(registry.names()))
    words = attributes(rng, kind, draft.near)
    count = kind.least_inputs
    at = rng.randint(0, len(place.items))
    if "like" in words:
        words["like"] = _value(rng, place, draft) if place.names else "image"
    if count > 1 or (count and rng.random() < 0.5):
        if not place.names:
            return False
        sources = [_value(rng, place, draft) for _ in range(count)]
        words = {"from": sources if count > 1 else sources[0], **words}
    if rng.random() < 0.5:
        name = fresh(rng, set(place.names))
        words = {"name": name, **words}
        _show(rng, draft, place, name)
    place.items.insert(at, {kind.name: words})
    return True


def instantiate(rng: Random, draft: Draft) -> bool:
    """One more instance of a block, all of whose outputs are shown."""
    place = _place(rng, draft)
    blocks = draft.spec.get("blocks")
    if not blocks or not place.names:
        return False
    op = rng.choice([*blocks])
    name = fresh(rng, set(place.names))
    sources = [_value(rng, place, draft) for _ in blocks[op].get("inputs", ["input"])]
    given = {key: integer(rng, draft.near) for key, default in (blocks[op].get("params") or {}).items() if not default}
    place.items.append({op: {"name": name, "from": sources, **given}})
    shown = blocks[op].get("outputs")
    several = isinstance(shown, dict | list) and len(shown) > 1
    for port in list(shown) if several else [""]:
        _show(rng, draft, place, f"{name}.{port}" if port else name)
    return True


def _show(rng: Random, draft: Draft, place: Place, name: str) -> None:
    """Add a value to the outputs of its scope, where that lists them."""
    outputs = place.holder.get("outputs")
    if isinstance(outputs, dict):
        outputs[fresh(rng, {*outputs, *place.names})] = name
    elif isinstance(outputs, list):
        outputs.append(name)


def move(rng: Random, draft: Draft) -> bool:
    """An item to another line of its scope."""
    place = _place(rng, draft)
    if len(place.items) < 2:
        return False
    item = place.items.pop(rng.randrange(len(place.items)))
    place.items.insert(rng.randint(0, len(place.items)), item)
    return True


def rename(rng: Random, draft: Draft) -> bool:
    """Another name for a node or an input, or none."""
    place = _place(rng, draft)
    if not place.names:
        return False
    old, new = rng.choice(place.names), fresh(rng, set(place.names))
    if rng.random() < 0.2:
        for item in place.items:
            for words in item.values():
                if words.get("name") == old:
                    del words["name"]
        return True
    _substitute(place, re.compile(rf"(?<![\w.]){re.escape(old)}(?!\w)"), new)
    return True


def _substitute(place: Place, old: re.Pattern[str], new: str) -> None:
    """A name is another one throughout a scope: as a node's, where it is taken, in expressions and outputs."""
    for item in place.items:
        for op, words in item.items():
            for key in [each for each in words if each != "nodes" or op == "each"]:
                if key in ("name", "from") or (isinstance(words[key], str) and "$" in words[key]):
                    words[key] = _replaced(words[key], old, new)
    holder = place.holder
    for key in ("outputs", "inputs", "input"):
        if key in holder:
            holder[key] = _replaced(holder[key], old, new, keys=key != "outputs")


def _replaced(data: Any, old: re.Pattern[str], new: str, *, keys: bool = False) -> Any:
    if isinstance(data, str):
        return old.sub(new, data)
    if isinstance(data, list):
        return [_replaced(each, old, new) for each in data]
    if isinstance(data, dict):
        return {old.sub(new, key) if keys else key: _replaced(each, old, new) for key, each in data.items()}
    return data


def name_by_index(rng: Random, draft: Draft) -> bool:
    """Default names 0, 1, 2 …, or no longer."""
    place = _place(rng, draft)
    if place.kind == "spec":
        return False
    if "names" in place.holder:
        del place.holder["names"]
    else:
        place.holder["names"] = "index"
    return True


def drop(rng: Random, draft: Draft) -> bool:
    """One node less."""
    place = _place(rng, draft)
    if len(place.items) < 2:
        return False
    del place.items[rng.randrange(len(place.items))]
    return True


def enclose(rng: Random, draft: Draft) -> bool:
    """A node that stands in a group of its own, or in an `each`."""
    place = _place(rng, draft)
    if not place.items:
        return False
    at = rng.randrange(len(place.items))
    [(op, words)] = place.items[at].items()
    source, name = words.pop("from", None), words.get("name")
    if isinstance(source, list) and len(source) > 1:
        words["from"] = source
        return False
    outer: dict[str, Any] = {} if source is None else {"from": source}
    if name is not None:
        outer["name"] = name
    if rng.random() < 0.5:
        over = rng.choice(PARAMETERS)
        place.items[at] = {"each": {**outer, "over": {over: [1, 2][: rng.randint(1, 2)]}, "nodes": [{op: words}]}}
    else:
        place.items[at] = {"group": {**outer, "nodes": [{op: words}]}}
    return True


OF_NODES: tuple[Edit, ...] = (
    *(set_attribute, set_attribute, rewire, rewire, leave_out, leave_out, repeat, add_act, compute, compute, lift),
    *(insert, insert, instantiate, move, rename, name_by_index, drop, enclose, share, share, hand_on),
)
