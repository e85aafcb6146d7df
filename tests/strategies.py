"""Random specs that are right: every op of the table with all its attributes, in every construct of the language.

A scope is either a chain, with default names and inputs, or a graph of named nodes that stand in any order. Scopes nest
as groups, blocks, repeats and rounds of `each`; some nodes are not there. Whoever writes an item knows the types of the
values that it takes, so that what stands behind it fits; where an input leaves its height or width open, also those at
two sizes of it.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from cnnc.graph.output_kinds import KINDS, misfit
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.ops.types import TensorType
from tests.random_ops import JOINS, LIKES, SAMPLES, SOURCES, Sizes, attributes, nodes, results
from tests.random_values import PARAMS, Scope, conditions, rewritten, written

Item = dict[str, Any]
Draw = st.DrawFn
ALLOWED: st.SearchStrategy[Item] = st.sampled_from([{}, {}, {}, {"allow": "W302"}, {"allow": ["W304", "W303"]}])
OWN: st.SearchStrategy[Item] = st.sampled_from([{}, {}, {}, {"share": False}])
PLAIN = ["relu", "tanh", "batch_norm", "identity", "scale", {"prelu": {"per_channel": True}}, "instance_norm"]


@dataclass
class Learned:
    """An item with parameters, without its name and inputs: what it takes, and what it gives by port."""

    name: str
    op: str
    words: Item
    takes: list[Sizes]
    gives: dict[str, Sizes]


@dataclass
class Values:
    """What a graph has to take from: names with their types, and those that nothing takes yet."""

    sizes: dict[str, Sizes]
    unused: list[str] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)

    def take(self, name: str) -> str:
        if name in self.unused:
            self.unused.remove(name)
        return name

    def give(self, name: str, sizes: Sizes) -> None:
        self.sizes[name] = sizes
        self.unused.append(name)


@st.composite
def specs(draw: Draw) -> dict[str, Any]:
    """A spec as plain data."""
    inputs = draw(network_inputs())
    scope = Scope(next(iter(inputs)), {}, PARAMS)
    sizes = {name: _at_samples(shape) for name, shape in inputs.items()}
    outputs: Any = None
    if len(inputs) == 1 and draw(st.booleans()):
        items, _ = draw(chains(sizes["image"], scope))
    else:
        values = Values(dict(sizes), list(sizes))
        items, left = draw(graphs(values, scope))
        scaled = ["scale" if results("scale", {}, [values.sizes[name]]) else "tanh" for name in left]
        ends = [
            {op: {"name": f"end{at}", "from": name}} for at, (op, name) in enumerate(zip(scaled, left, strict=True))
        ]
        items, outputs = (
            [*items, *ends],
            draw(shown({f"end{at}": values.sizes[name][0] for at, name in enumerate(left)})),
        )
    return {
        "cnnc": 1,
        "name": "random",
        "params": PARAMS,
        **({"input": inputs} if len(inputs) == 1 else {"inputs": inputs}),
        **({"outputs": outputs} if outputs else {}),
        **draw(ALLOWED),
        "blocks": scope.blocks,
        "nodes": items,
    }


@st.composite
def network_inputs(draw: Draw) -> dict[str, list[int | None]]:
    """The shapes of the inputs: a picture, mostly, and one or two more at times."""
    channels, side = draw(st.integers(1, 6)), st.integers(4, 9)
    space = draw(st.sampled_from([None, None, None, "open", "half open"]))
    height, width = (None if space else draw(side), None if space == "open" else draw(side))
    image: list[int | None] = [channels, height, width]
    others: list[list[int | None]] = [image, [channels, 1, 1], [draw(st.integers(1, 6))], [2, *image[1:]]]
    more = draw(st.lists(st.sampled_from(others), max_size=2)) if draw(st.integers(0, 3)) == 3 else []
    return {"image": image, **{f"more{at}": shape for at, shape in enumerate(more)}}


def _at_samples(shape: list[int | None]) -> Sizes:
    """A type, and what it is at every sample size."""
    filled = [shape if len(shape) == 1 else [shape[0], shape[1] or high, shape[2] or wide] for high, wide in SAMPLES]
    return tuple(TensorType(tuple(each)) for each in [shape, *filled])


@st.composite
def shown(draw: Draw, types: dict[str, TensorType]) -> Any:
    """The outputs of a spec, of which one at least is for more than training; some say what they hold."""
    names = [*types]
    if len(names) == 1:
        return draw(st.sampled_from([names[0], names, None, {"only": draw(of_a_kind(names[0], types[names[0]]))}]))
    if draw(st.booleans()):
        return names
    only = draw(st.lists(st.booleans(), min_size=len(names) - 1, max_size=len(names) - 1))
    return {
        f"shown{at}": {"from": name, "only": "train"} if train else draw(of_a_kind(name, types[name]))
        for at, (name, train) in enumerate(zip(names, [False, *only], strict=True))
    }


@st.composite
def of_a_kind(draw: Draw, name: str, type: TensorType) -> Any:
    """An output, which may say what it holds."""
    kinds = [kind for kind in KINDS if misfit(kind, type.shape) is None]
    kind = draw(st.sampled_from([None, *kinds]))
    return name if kind is None else {"from": name, "as": kind}


@st.composite
def chains(draw: Draw, x: Sizes, scope: Scope) -> tuple[list[Item | str], Sizes]:
    """Items one behind the other, without inputs of their own; the first is there."""
    items: list[Item | str] = []
    for at in range(draw(st.integers(1, 4))):
        nest = scope.depth < 2 and draw(st.integers(0, 2)) == 2
        item, x = draw(nested(x, scope, at) if nest else links(x, scope, at))
        items.append(item)
        scope = Scope(None, scope.blocks, scope.params, scope.depth)  # the input is behind it now
    return items, x


@st.composite
def links(draw: Draw, x: Sizes, scope: Scope, at: int) -> tuple[Item | str, Sizes]:
    """A node of one input and one output, repeated or not there at times."""
    op, given, [y] = draw(nodes(x, chained=True))
    words: Item = {}
    if at > 0 and draw(st.integers(0, 4)) == 4:
        there, words["when"] = draw(conditions(scope))
        if not there:
            return {op: {**given, "out": "$(1 // 0)", **words} if "out" in given else {**given, **words}}, x
    if draw(st.integers(0, 3)) == 3:
        count = draw(st.integers(1, 3))
        grows = op in ("conv", "linear") and given.get("groups", 1) == 1 and draw(st.booleans())
        chained = _repeated(op, given, x, count, grows)
        if chained:
            words["repeat"], y = draw(written(count, scope)), chained
            given = given | {"out": f"$({given['out']} + i * {int(grows)})"} if "out" in given else given
    words |= draw(ALLOWED) | draw(OWN)
    if op in ("conv", "linear") and draw(st.booleans()):
        words["act"] = draw(written(draw(st.sampled_from([*ACTIVATIONS, None])), scope))
    if not given and not words and draw(st.booleans()):
        return op, y
    return {op: draw(rewritten(given, scope, x)) | words}, y


def _repeated(op: str, given: Item, x: Sizes, count: int, grows: bool) -> Sizes | None:
    """What a chain of instances gives, or None where one refuses."""
    for i in range(count):
        found = results(op, given | ({"out": given["out"] + i} if grows else {}), [x])
        if found is None:
            return None
        [x] = found
    return x


@st.composite
def nested(draw: Draw, x: Sizes, scope: Scope, at: int) -> tuple[Item, Sizes]:
    """A group, an instance of a block or an `each`."""
    kind = draw(st.sampled_from(["group", "block", "each"]))
    if kind == "each" and (x[0].is_map or x[0].is_vector):
        return draw(rounds(x, scope, at)), x
    inner = scope.inner() if kind == "group" else Scope("input", scope.blocks, {"k": 3, "flag": True}, scope.depth + 1)
    items, y, outputs = draw(bodies(x, inner))
    words: Item = {}
    if y == x and draw(st.booleans()):
        words["repeat"] = draw(st.integers(1, 3))
    body: Item = {**draw(st.sampled_from([{}, {"names": "index"}])), **draw(ALLOWED), "nodes": items, **outputs}
    if kind == "group":
        return {"group": body | words}, y
    name = f"block{len(scope.blocks)}"
    scope.blocks[name] = {"params": {"k": None, "flag": "$(k == 3)"}, **body}
    return {name: {"k": draw(written(3, scope)), **words}}, y


@st.composite
def bodies(draw: Draw, x: Sizes, scope: Scope) -> tuple[list[Item | str], Sizes, Item]:
    """The items of a scope of one input and one output, what that gives, and what it says of its outputs."""
    if draw(st.booleans()):
        items, y = draw(chains(x, scope))
        return items, y, {}
    values = Values({"input": x}, ["input"])
    items, left = draw(graphs(values, scope))
    *ends, y = _gathered(left, values)
    return [*items, *ends], y, draw(st.sampled_from([{}, {"outputs": "last"}]))


def _gathered(left: list[str], values: Values) -> list[Any]:
    """Items that make one of all that is left, the last called `last`; and what that is."""
    sizes = [values.sizes[name] for name in left]
    if len(left) == 1:
        return [{"identity": {"name": "last", "from": left[0]}}, sizes[0]]
    for op in ("add", "concat"):
        found = results(op, {}, sizes)
        if found:
            return [{op: {"name": "last", "from": left}}, found[0]]
    items, vectors = [], []
    for at, (name, size) in enumerate(zip(left, sizes, strict=True)):
        whole = size[0].known  # else it is flattened behind a pool that makes it known
        if not whole:
            op, given = ("global_avg_pool", {}) if size[0].is_map else ("mean", {"axes": 1, "keep": False})
            items.append({op: {"name": f"pooled{at}", "from": name, **given}})
        items.append({"flatten": {"name": f"flat{at}", "from": name if whole else f"pooled{at}"}})
        pooled = [size] if whole else results(op, given, [size]) or []
        vectors += results("flatten", {}, pooled) or []
    total = tuple(TensorType((sum(each.channels for each in types),)) for types in zip(*vectors, strict=True))
    return [*items, {"concat": {"name": "last", "from": [f"flat{at}" for at in range(len(left))]}}, total]


@st.composite
def rounds(draw: Draw, x: Sizes, scope: Scope, at: int) -> Item:
    """An `each` whose rounds end with the type that they begin with, whatever they do in between."""
    op, extra = ("conv", {"kernel": 1}) if x[0].is_map else ("linear", {})
    positions = x[0].is_map and (1, 1) not in (each.space for each in x)
    plain = st.sampled_from(PLAIN if positions else PLAIN[:-1])
    wide = {op: {"out": "$(w + i)", **extra}}
    back = {op: {"out": x[0].channels, **extra, "act": draw(st.sampled_from(["relu", None]))}}
    asked = "$widths" if "widths" in scope.params else "$([3] * 2)"
    overs: list[Item] = [{"w": [2]}, {"w": [1, 4], "unused": ["a", "b"]}, {"w": asked}]
    over = draw(st.sampled_from(overs))
    name = draw(st.sampled_from([{}, {"name": f"rounds{at}"}, {"name": f"stage{at}_$(i + 1)"}]))
    names = draw(st.sampled_from([{}, {"names": "index"}])) if name else {}
    return {"each": {**name, **names, "over": over, "nodes": [wide, *draw(st.lists(plain, max_size=2)), back]}}


@st.composite
def graphs(draw: Draw, values: Values, scope: Scope) -> tuple[list[Item | str], list[str]]:
    """Named items with named inputs, in any order, and the names of what is left over."""
    items = [draw(named(f"v{at}", values, scope)) for at in range(draw(st.integers(1, 6)))]
    return draw(st.permutations(items)), list(values.unused)


@st.composite
def named(draw: Draw, name: str, values: Values, scope: Scope) -> Item:
    """An item of that name, which takes and gives values."""
    taken = draw(st.sampled_from(sorted(values.sizes)))
    x = values.sizes[taken]
    kinds = ["op", "op", "op", "join", "absent", *["group", "block", "chain"] * (scope.depth < 2)]
    kind = draw(st.sampled_from([*kinds, *["share"] * 2 * bool(values.learned)]))
    if kind in ("share", "join"):
        return draw((shared if kind == "share" else joins)(name, values))
    if kind in ("chain", "block"):
        return draw((repeats if kind == "chain" else instances)(name, values, scope))
    words: Item = {"name": name, "from": values.take(taken)}
    if kind == "absent":
        values.give(name, x)
        return {"conv": {**words, "out": "$(1 // 0)", "kernel": 1, "when": draw(written(False, scope))}}
    if kind == "group":
        items, y, outputs = draw(bodies(x, scope.inner()))
        values.give(name, y)
        return {"group": {**words, **draw(OWN), "nodes": items, **outputs}}
    op, given, found = draw(nodes(x))
    ports = [f"{name}.{port}" for port in range(len(found))] if op == "split" else [name]
    for port, y in zip(ports, found, strict=True):
        values.give(port, y)
    if op in ("conv", "linear"):
        words |= draw(st.sampled_from([{}, {"act": "relu"}, {"act": "hardswish"}]))
    words |= draw(OWN)
    asked = None if "." in taken else taken
    item = draw(rewritten(given, Scope(asked, {}, scope.params), x)) | words
    cost = registry.get(op).model_validate(given).cost(x[0])
    if cost.params or cost.buffers:
        gives = dict(zip([port.removeprefix(name) for port in ports], found, strict=True))
        values.learned.append(Learned(name, op, {key: item[key] for key in item.keys() - {"name", "from"}}, [x], gives))
    return {op: item}


@st.composite
def shared(draw: Draw, name: str, values: Values) -> Item:
    """An item with the parameters of another, which takes the same or other values of the same types."""
    other = draw(st.sampled_from(values.learned))
    taken = [draw(st.sampled_from([each for each, y in values.sizes.items() if y == x])) for x in other.takes]
    for port, y in other.gives.items():
        values.give(name + port, y)
    return {other.op: {**other.words, "name": name, "from": [*map(values.take, taken)], "share": other.name}}


@st.composite
def repeats(draw: Draw, name: str, values: Values, scope: Scope) -> Item:
    """A chain of instances of a block that hands on two values by name."""
    taken = draw(st.lists(st.sampled_from(sorted(values.sizes)), min_size=2, max_size=2))
    sizes = dict(zip(("left", "right"), (values.sizes[each] for each in taken), strict=True))
    items: list[Item] = []
    for port, y in sizes.items():
        ops = ["relu", "tanh", "identity", *["scale"] * bool(results("scale", {}, [y]))]
        items.append({draw(st.sampled_from(ops)): {"name": f"{port}_out", "from": port}})
    outputs = {port: f"{port}_out" for port in draw(st.permutations(list(sizes)))}
    block, count = f"block{len(scope.blocks)}", draw(st.integers(2, 3))
    scope.blocks[block] = {"inputs": list(sizes), "outputs": outputs, "nodes": items}
    for port, y in sizes.items():
        values.give(f"{name}.{port}", y)
    return {block: {"name": name, "from": [*map(values.take, taken)], "repeat": count}}


@st.composite
def sources(draw: Draw, name: str, values: Values) -> Item:
    """A value that takes no other."""
    op, x = draw(st.sampled_from(SOURCES)), next(iter(values.sizes.values()))
    given = draw(attributes(op, x[0]))
    found = results(op, given, [x])
    assert found is not None
    values.give(name, found[0])
    return {op: {**given, "name": name}}


@st.composite
def joins(draw: Draw, name: str, values: Values) -> Item:
    """A sum, a join or a value of another's size, of values that fit; a value fits itself at least."""
    first = draw(st.sampled_from(sorted(values.sizes)))
    op, x = draw(st.sampled_from((*JOINS, *LIKES))), values.sizes[first]
    if op in LIKES:
        fits = [each for each, y in sorted(values.sizes.items()) if results(op, {"like": each}, [x, y])]
        if not fits:
            return draw(sources(name, values))
        like = draw(st.sampled_from(fits))
        found = results(op, {"like": like}, [x, values.sizes[like]])
        assert found is not None
        values.give(name, found[0])
        return {op: {"name": name, "from": values.take(first), "like": values.take(like)}}
    most = registry.get(op).most_inputs
    given = draw(attributes(op, x[0]))
    fits = [each for each, y in sorted(values.sizes.items()) if results(op, given, [x, y])]
    others = draw(st.lists(st.sampled_from(fits or [first]), min_size=1, max_size=min(2, most - 1)))
    found = results(op, given, [x, *(values.sizes[each] for each in others)])
    if found is None:  # too large, or no two of them fit each other
        op, given, others, found = "add", {}, [first], [x]
    values.give(name, found[0])
    return {op: {**given, "name": name, "from": [values.take(each) for each in [first, *others]]}}


@st.composite
def instances(draw: Draw, name: str, values: Values, scope: Scope) -> Item:
    """An instance of a block of one input or two, with as many outputs as are left over in it."""
    taken = draw(st.lists(st.sampled_from(sorted(values.sizes)), min_size=1, max_size=2))
    inputs = ["left", "right"][: len(taken)]
    inner = Values({port: values.sizes[each] for port, each in zip(inputs, taken, strict=True)}, list(inputs))
    items, left = draw(graphs(inner, Scope(None, scope.blocks, {"k": 3, "flag": True}, scope.depth + 1)))
    ends = {f"end{at}": each for at, each in enumerate(left)}
    items += [{"identity": {"name": end, "from": each}} for end, each in ends.items()]
    outputs = {f"out{at}": end for at, end in enumerate(ends)}
    for port, end in outputs.items():
        values.give(f"{name}.{port}" if len(outputs) > 1 else name, inner.sizes[ends[end]])
    block = f"block{len(scope.blocks)}"
    scope.blocks[block] = {"params": {"k": 3, "flag": True}, "inputs": inputs, "outputs": outputs, "nodes": items}
    given = draw(st.sampled_from([{}, {"flag": True}, {"k": draw(written(3, scope))}]))
    gives = {f".{port}" if len(outputs) > 1 else "": inner.sizes[ends[end]] for port, end in outputs.items()}
    values.learned.append(Learned(name, block, given, [values.sizes[each] for each in taken], gives))
    return {block: {**given, "name": name, "from": [values.take(each) for each in taken]}}
