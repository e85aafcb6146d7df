"""Random specs that are right: every map keeps its height and width, so that channels alone have to fit.

A scope is either a chain, with default names and inputs, or a graph of named nodes that stand in any order. Scopes nest
as groups, blocks, repeats and rounds of `each`; some nodes are not there.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Item = dict[str, Any]
SIDE = 6

SAME: list[Item | str] = [
    "relu",
    "tanh",
    "batch_norm",
    "identity",
    {"leaky_relu": {"slope": 0.2}},
    {"prelu": {}},
    {"dropout": {"rate": 0.5}},
    {"max_pool": {"kernel": 3, "stride": 1, "padding": 1}},
    {"avg_pool": {"kernel": 3, "stride": 1, "padding": "same"}},
    {"instance_norm": {}},
    {"layer_norm": {}},
    {"scale": {}},
    {"conv": {"out": "$(HERE.channels)", "kernel": 3, "padding": 1, "act": "relu"}},
    {"conv": {"out": "$(HERE.channels)", "kernel": 1, "groups": "$(HERE.channels)", "bias": False}},
]
PARAMS = {"width": 4, "on": True, "widths": [2, 3]}
BLOCKS = {
    "bottleneck": {
        "params": {"inner": "$(max(input.channels // 2, 1))", "shortcut": True},
        "nodes": [
            {"conv": {"out": "$inner", "kernel": 1, "act": "relu"}},
            {"conv": {"name": "back", "out": "$(input.channels)", "kernel": 3, "padding": 1}},
            {"add": {"from": ["input", "back"], "when": "$shortcut"}},
            "relu",
        ],
    },
    "fork": {
        "outputs": {"left": "late", "right": "relu"},
        "nodes": [{"relu": {"from": "late"}}, {"tanh": {"name": "late", "from": "input"}}],
    },
}


@dataclass
class Values:
    """What a scope has to take from: names with their channels, and those that nothing takes yet."""

    channels: dict[str, int]
    unused: list[str] = field(default_factory=list)

    def take(self, name: str) -> str:
        if name in self.unused:
            self.unused.remove(name)
        return name

    def give(self, name: str, channels: int) -> None:
        self.channels[name] = channels
        self.unused.append(name)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A spec as plain data."""
    channels = draw(st.integers(1, 5))
    items, _ = draw(scopes("image", channels, depth=0))
    return {
        "cnnc": 1,
        "name": "random",
        "params": PARAMS,
        "input": {"image": [channels, SIDE, SIDE]},
        "blocks": BLOCKS,
        "nodes": items,
    }


@st.composite
def scopes(draw: st.DrawFn, source: str, channels: int, depth: int) -> tuple[list[Item | str], int]:
    """The items of a scope whose input is called `source`, and the channels of its last node."""
    if draw(st.booleans()):
        return draw(chains(source, channels, depth)), channels
    return draw(graphs(source, channels, depth))


@st.composite
def chains(draw: st.DrawFn, source: str, channels: int, depth: int) -> list[Item | str]:
    """Items that leave the channels alone, each behind the one before; the first is there."""
    return [draw(same(source, channels, depth, at)) for at in range(draw(st.integers(1, 4)))]


@st.composite
def same(draw: st.DrawFn, source: str, channels: int, depth: int, at: int) -> Item:
    """An item that gives what it takes, from the one before it; expressions ask the scope's own input."""
    item = draw(st.sampled_from(SAME) if depth > 1 else st.one_of(st.sampled_from(SAME), nested(channels, depth, at)))
    op, attributes = (item, {}) if isinstance(item, str) else next(iter(item.items()))
    asked = {key: _asking(value, source) for key, value in attributes.items()}
    if at > 0 and op != "each":
        when = draw(st.sampled_from([None, None, True, False, *["$on", "$(not on)"] * (depth == 0)]))
        asked |= {} if when is None else {"when": when}
    repeat = draw(st.sampled_from([None, None, None, 1, 2, "$(len(widths))"] if depth == 0 else [None, None, 2]))
    return {op: asked | ({} if repeat is None or op == "each" else {"repeat": repeat})}


def _asking(value: Any, source: str) -> Any:
    return value.replace("HERE", source) if isinstance(value, str) else value


@st.composite
def nested(draw: st.DrawFn, channels: int, depth: int, at: int) -> Item:
    """A group, an instance or an each that gives the channels that it takes."""
    kind = draw(st.sampled_from(["group", "bottleneck", "each", "named each"]))
    if kind == "bottleneck":
        return {"bottleneck": draw(st.sampled_from([{}, {"shortcut": False}, {"inner": 3}]))}
    if kind == "group":
        names = draw(st.sampled_from([{}, {"names": "index"}]))
        return {"group": {**names, "nodes": draw(chains("input", channels, depth + 1))}}
    # a round ends with the channels it begins with, whatever it does in between
    wide = {"conv": {"out": "$(w + i)", "kernel": 1}}
    back = {"conv": {"out": channels, "kernel": 1, "act": draw(st.sampled_from(["relu", None]))}}
    over = draw(st.sampled_from([{"w": [2]}, {"w": [1, 4], "unused": ["a", "b"]}]))
    name = {} if kind == "each" else {"name": draw(st.sampled_from([f"rounds{at}", f"stage{at}_$(i + 1)"]))}
    return {"each": {**name, "over": over, "nodes": [wide, "relu", back]}}


@st.composite
def graphs(draw: st.DrawFn, source: str, channels: int, depth: int) -> tuple[list[Item | str], int]:
    """Named items with named inputs, in any order; the last takes all that is left over."""
    values = Values({source: channels})
    items = [draw(named(f"v{at}", values, depth)) for at in range(draw(st.integers(1, 5)))]
    items = draw(st.permutations(items))
    left = [values.take(name) for name in list(values.unused)]
    total = sum(values.channels[name] for name in left)
    last = {"concat": {"from": left}} if len(left) > 1 else {"identity": {"from": left[0]}}
    return [*items, last], total


@st.composite
def named(draw: st.DrawFn, name: str, values: Values, depth: int) -> Item:
    """An item of that name, which takes and gives values."""
    taken = draw(st.sampled_from(sorted(values.channels)))
    channels = values.channels[taken]
    kind = draw(st.sampled_from(["same", "conv", "join", "fork", "split", "absent", *["group"] * (depth < 2)]))
    if kind == "join":
        equal = [each for each, count in values.channels.items() if count == channels]
        return _join(draw, name, equal, values)
    words = {"name": name, "from": values.take(taken)}
    gives = {"": channels}
    item: Item = {draw(st.sampled_from(["relu", "tanh", "batch_norm", "identity"])): words}
    if kind == "fork":
        gives, item = {".left": channels, ".right": channels}, {"fork": words}
    elif kind == "split" and channels > 1:
        gives, item = {".0": 1, ".1": channels - 1}, {"split": {**words, "sizes": [1, channels - 1]}}
    elif kind == "absent":
        item = {"conv": {**words, "out": "$(1 // 0)", "kernel": 1, "when": "$(width == 3)"}}
    elif kind == "group":
        items, out = draw(scopes("input", channels, depth + 1))
        gives, item = {"": out}, {"group": {**words, "nodes": items}}
    elif kind == "conv":
        out = draw(st.integers(1, 6))
        asked = draw(st.sampled_from([out, out if "." in taken else f"$({out} + 0 * {taken}.channels)"]))
        act = draw(st.sampled_from(["relu", None]))
        gives, item = {"": out}, {"conv": {**words, "out": asked, "kernel": 3, "padding": 1, "act": act}}
    for port, count in gives.items():
        values.give(f"{name}{port}", count)
    return item


def _join(draw: st.DrawFn, name: str, equal: list[str], values: Values) -> Item:
    if len(equal) > 1 and draw(st.booleans()):
        taken = draw(st.lists(st.sampled_from(equal), min_size=2, max_size=3))
        values.give(name, values.channels[taken[0]])
        op = draw(st.sampled_from(["add", "mul"]))
    else:
        taken = draw(st.lists(st.sampled_from(sorted(values.channels)), min_size=2, max_size=3))
        values.give(name, sum(values.channels[each] for each in taken))
        op = "concat"
    return {op: {"name": name, "from": [values.take(each) for each in taken]}}
