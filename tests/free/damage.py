"""What no language would take: a key that is missing, a value of another kind, a piece that stands elsewhere."""

import copy
from random import Random
from typing import Any

from tests.free.draft import Draft

JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e3, 2**31, 10**18, "", "x", "relu", "a.b", "../x", "$x", "$(1/0)", "$(i)", "$"),
    *([], {}, [[]], [None], {"x": 1}, ["a", "b"], {"relu": {}}, "$(input.channels)", "$(9**99)", "\u202e", "forward"),
)


def damage(rng: Random, draft: Draft) -> bool:
    """Break one thing in a spec."""
    spots = [*_spots(draft.spec)]
    holder, key = rng.choice(spots)
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        other, place = rng.choice(spots)
        holder[key] = copy.deepcopy(other[place])
    elif kind == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 2:
        holder[rng.choice(("name", "from", "when", "repeat", "act", "out", "params", "names", "over"))] = holder[key]
    else:
        holder[key] = rng.choice(JUNK)
    return True


def _spots(data: Any) -> Any:
    """Every place in plain data, as what holds it and its key there."""
    for key in [*data] if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from _spots(data[key])
