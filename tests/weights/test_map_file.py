"""Maps of weights: what can be told is told rightly, nothing is guessed, and a map that is wrong is said to be."""

import random
import re

import pytest
import torch
from safetensors.torch import save_file

import cnnc
from cnnc.diagnostics import CnncError, Code
from cnnc.targets.torch_module import lower, shapes
from cnnc.weights.layers import layers
from cnnc.weights.load import checkpoint, read
from cnnc.weights.proposal import Proposal, propose

CONV = {"kernel": 3, "padding": 1, "bias": False}
RESIDUAL = {
    "block": {
        "params": {"channels": None, "project": 0},
        "nodes": [
            {"conv": {"name": "conv1", "out": "$channels", **CONV}},
            {"batch_norm": {"name": "bn1"}},
            "relu",
            {"conv": {"name": "conv2", "out": "$channels", **CONV}},
            {"batch_norm": {"name": "bn2"}},
            {
                "conv": {
                    **{"name": "short", "from": "input", "when": "$(project > 0)"},
                    **{"out": "$channels", "kernel": "$project", "padding": "same", "bias": False},
                }
            },
            {"add": {"from": ["bn2", "short"]}},
        ],
    }
}


WORDS = ("mouth", "nose", "ear", "chin")  # names that do not count, in no order of the alphabet


def network(*blocks):
    return cnnc.load(
        {
            "cnnc": 1,
            "name": "net",
            "input": {"image": [3, 8, 8]},
            "blocks": RESIDUAL,
            "nodes": [
                {"conv": {"name": "stem", "out": 4, **CONV}},
                {"batch_norm": {"name": "norm"}},
                *({"block": each} for each in blocks),
                "global_avg_pool",
                "flatten",
                {"linear": {"name": "fc", "out": 3}},
            ],
        }
    )


PLAIN = network({"name": "layer1", "channels": 4, "repeat": 2}, {"name": "layer2", "channels": 8, "project": 1})
PARALLEL = network({"name": "layer1", "channels": 4, "project": 3})


def theirs(key):
    """As another library would call it."""
    key = re.sub(r"^layer(\d)", lambda found: f"net.stages.{int(found[1]) - 1}", key)
    key = key.replace("stem.", "net.stem.conv.").replace("norm.", "net.stem.norm.").replace("fc.", "net.head.")
    return key.replace("bn", "norm").replace("short", "downsample")


def counted(keys):
    """Names that only count."""
    names = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    return {key: f"l{names.index(key.rpartition('.')[0])}.{key.rpartition('.')[2]}" for key in keys}


def counted_down(keys):
    """Names that count, but against the alphabet, so that the order of the layers counts as well."""
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    return {key: f"{chr(ord('z') - layers.index(key.rpartition('.')[0]))}.{key.rpartition('.')[2]}" for key in keys}


def proposal(graph, names, *, ordered=True, order=None, by_order=False):
    """The proposal for a checkpoint with these names, its layers in this order."""
    expected = shapes(graph)
    found = layers({names[key]: shape for key, shape in expected.items()})
    if order is not None:
        found.sort(key=order)
    return propose(graph, expected, found, ordered=ordered, by_order=by_order)


@pytest.mark.parametrize("ordered", [True, False])
def test_other_names_are_mapped(ordered):
    names = {key: theirs(key) for key in shapes(PLAIN)}
    found = proposal(PLAIN, names, ordered=ordered)
    assert found.map == names
    assert (found.undecided, found.unused) == ((), ())


def test_order_alone_maps_a_chain():
    names = counted(shapes(PLAIN))
    found = proposal(PLAIN, names)
    assert found.map == names


@pytest.mark.parametrize(("words", "mapped"), [(WORDS, True), (sorted(WORDS), False)])
def test_an_order_counts_unless_it_is_that_of_the_alphabet(words, mapped):
    conv = {"conv": {"out": 4, **CONV}}
    graph = cnnc.load({"cnnc": 1, "name": "net", "input": {"image": [4, 8, 8]}, "nodes": [conv] * 4})
    names = dict(zip(shapes(graph), (f"{word}.weight" for word in words), strict=True))
    found = proposal(graph, names)
    assert found.map == (names if mapped else {})


def test_parallel_branches_of_equal_shapes_are_not_guessed():
    names = counted(shapes(PARALLEL))
    found = proposal(PARALLEL, names)
    assert found.map.items() <= names.items()
    undecided = {each.name: [other.name for other in candidates] for each, candidates in found.undecided}
    assert "layer1.short" in undecided
    assert all(names[f"{name}.weight"].rpartition(".")[0] in candidates for name, candidates in undecided.items())
    with pytest.raises(CnncError) as caught:
        found.require_decided("theirs.pth")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == Code.WEIGHTS_UNDECIDED
    assert f"{len(undecided)} layers" in diagnostic.message
    assert any(note.message.startswith("layer1.short: may be ") for note in diagnostic.notes)


def test_what_is_left_is_paired_by_order_on_demand():
    names = counted_down(shapes(PARALLEL))
    sure, found = proposal(PARALLEL, names), proposal(PARALLEL, names, by_order=True)
    assert (found.map, found.undecided) == (names, ())
    assert found.by_order == {key for key in names if key not in sure.map} != set()
    text = found.as_yaml("about")
    assert f"  layer1.short.weight: {names['layer1.short.weight']}  # by order\n" in text
    assert text.count("# by order") == len(found.by_order)


def test_a_layer_that_is_registered_early_does_not_change_the_order_of_others():
    names = counted_down(shapes(PARALLEL))
    last = names["fc.weight"].partition(".")[0]
    found = proposal(PARALLEL, names, order=lambda each: each.name != last, by_order=True)
    assert (found.map, found.undecided) == (names, ())


@pytest.mark.parametrize("how", ["sorted", "convolutions first"])
def test_an_order_that_is_not_the_networks_pairs_nothing(how):
    names = counted_down(shapes(PARALLEL))
    assert not proposal(PARALLEL, names, order=disorder(how), by_order=True).by_order
    assert not proposal(PARALLEL, names, ordered=False, by_order=True).by_order


def test_a_second_copy_is_not_paired_by_order():
    expected = shapes(PLAIN)
    both = {f"{prefix}.{theirs(key)}": shape for prefix in ("model", "average") for key, shape in expected.items()}
    assert propose(PLAIN, expected, layers(both), ordered=True, by_order=True).map == {}


def test_branches_in_the_middle_leave_the_ends_decided():
    conv = {"out": 4, **CONV}
    nodes = [{"conv": {"name": name, "from": source, **conv}} for name, source in ("ai", "ba", "ca")]
    nodes += [{"add": {"from": ["b", "c"]}}, {"conv": {"name": "d", **conv}}]
    graph = cnnc.load({"cnnc": 1, "name": "net", "input": {"i": [4, 8, 8]}, "nodes": nodes})
    found = proposal(graph, {f"{ours}.weight": f"{word}.weight" for ours, word in zip("abcd", WORDS, strict=True)})
    assert found.map == {"a.weight": "mouth.weight", "d.weight": "chin.weight"}
    assert [(each.name, [other.name for other in others]) for each, others in found.undecided] == [
        ("b", ["nose", "ear"]),
        ("c", ["nose", "ear"]),
    ]


def disorder(how, seed=0):
    """A key that sorts layers into an order that is not the network's."""
    chance = random.Random(seed)
    return {
        "shuffled": lambda each: chance.random(),
        "convolutions first": lambda each: len(each.kind),
        "sorted": lambda each: each.name,
        "backwards": lambda each: [-int(number) for number in re.findall(r"\d+", each.name)],
    }[how]


@pytest.mark.parametrize("naming", [lambda keys: {key: theirs(key) for key in keys}, counted])
@pytest.mark.parametrize("how", ["shuffled", "convolutions first", "sorted", "backwards"])
@pytest.mark.parametrize("graph", [PLAIN, PARALLEL])
def test_an_order_that_is_not_the_networks_misleads_nobody(graph, how, naming):
    names = naming(list(shapes(graph)))
    assert proposal(graph, names, order=disorder(how)).map.items() <= names.items()


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_lie_mislead_nobody(seed):
    expected = shapes(PLAIN)
    numbers = list(range(len(expected)))
    random.Random(seed).shuffle(numbers)
    counts = counted(expected)
    names = {
        key: re.sub(r"\d+", lambda found: str(numbers[int(found[0])]), name, count=1) for key, name in counts.items()
    }
    assert proposal(PLAIN, names, ordered=False).map.items() <= names.items()


def test_a_second_copy_of_all_weights_leaves_them_undecided():
    expected = shapes(PLAIN)
    both = {f"{prefix}.{theirs(key)}": shape for prefix in ("model", "average") for key, shape in expected.items()}
    found = propose(PLAIN, expected, layers(both), ordered=True)
    assert found.map == {}
    assert len(found.undecided) == len({key.rpartition(".")[0] for key in expected})


def test_a_layer_that_is_not_there_is_said():
    names = {key: theirs(key) for key in shapes(PLAIN)}
    expected = shapes(PLAIN)
    found = propose(
        PLAIN, expected, layers({names[key]: expected[key] for key in expected if "fc" not in key}), ordered=True
    )
    ((layer, candidates),) = found.undecided
    assert (layer.name, candidates) == ("fc", [])
    with pytest.raises(CnncError) as caught:
        found.require_decided("theirs.pth")
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.WEIGHTS_UNDECIDED
    assert [note.message for note in diagnostic.notes] == ["fc: no layer has its shapes (weight 3×8, bias 3)"]


def test_what_is_not_used_is_listed():
    expected = shapes(PLAIN)
    more = {**{theirs(key): shape for key, shape in expected.items()}, "auxiliary.weight": (7, 7)}
    found = propose(PLAIN, expected, layers(more), ordered=True)
    assert found.unused == (("auxiliary.weight", (7, 7)),)
    assert "#   auxiliary.weight 7×7" in found.as_yaml("about")


# -- files


@pytest.fixture
def state():
    state = lower(PLAIN).state_dict()
    return {key: torch.randn_like(each) if each.is_floating_point() else each for key, each in state.items()}


def save(path, data):
    save_file(data, path) if path.suffix == ".safetensors" else torch.save(data, path)
    return path


def mapped(tmp_path, text, state, name="w.pth"):
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    return read(save(tmp_path / name, state), shapes(PLAIN), tmp_path / "map.yaml")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_proposed_map_reads_the_weights(tmp_path, state, name, prefix):
    path = save(tmp_path / name, {prefix + theirs(key): each for key, each in state.items()})
    found = checkpoint(path, shapes(PLAIN))
    text = propose(PLAIN, shapes(PLAIN), found.layers, ordered=found.ordered).as_yaml("a map")
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    weights = read(path, shapes(PLAIN), tmp_path / "map.yaml")
    assert list(weights) == list(state)
    assert all(torch.equal(weights[key], state[key]) for key in state)


def test_candidates_need_only_lose_their_mark(tmp_path):
    names = counted(shapes(PARALLEL))
    text = proposal(PARALLEL, names).as_yaml("a map")
    right = {f"{key}: {name}" for key, name in names.items()}
    lines = [line[1:] if line[1:].strip() in right and line.startswith("#") else line for line in text.splitlines()]
    state = lower(PARALLEL).state_dict()
    path = save(tmp_path / "w.pth", {names[key]: each for key, each in state.items()})
    (tmp_path / "map.yaml").write_text("\n".join(lines), encoding="utf-8")
    weights = read(path, shapes(PARALLEL), tmp_path / "map.yaml")
    assert all(torch.equal(weights[key], state[key]) for key in state)


def test_tensors_whose_names_end_in_unknown_words_are_candidates(tmp_path, state):
    names = {key: f"layers.{at}.x{key.rpartition('.')[2]}" for at, key in enumerate(state)}
    found = propose(
        PLAIN, shapes(PLAIN), layers({names[key]: tuple(each.shape) for key, each in state.items()}), ordered=True
    )
    text = found.as_yaml("a map")
    assert f"# stem: one of\n#  stem.weight: {names['stem.weight']}\n" in text
    with pytest.raises(CnncError, match="candidates in the map's comments") as caught:
        found.require_decided(tmp_path / "w.pt")
    assert caught.value.diagnostics[0].notes[0].message.startswith(f"stem: may be {names['stem.weight']}")
    right = {f"{key}: {name}" for key, name in names.items()}
    lines = [line[1:] if line[1:].strip() in right else line for line in text.splitlines()]
    weights = mapped(tmp_path, "\n".join(lines), {names[key]: each for key, each in state.items()})
    assert all(torch.equal(weights[key], state[key]) for key in state)


def test_where_nothing_fits_no_candidates_are_promised(tmp_path):
    found = propose(PLAIN, shapes(PLAIN), layers({"a.weight": (7, 7)}), ordered=True)
    assert "# Not used:\n#   a.weight 7×7\n" in found.as_yaml("a map")
    with pytest.raises(CnncError, match="use weights of this network"):
        found.require_decided(tmp_path / "w.pt")


def test_an_empty_map_is_said_to_be(tmp_path, state):
    with pytest.raises(CnncError, match=r"E408.*the map is empty: `weights` has no lines yet"):
        mapped(tmp_path, "weights:\n\n# Undecided.\n", state)


def test_odd_names_are_quoted(tmp_path, state):
    odd = dict(zip(state, ("1", "null", "a: b", "#", "onnx::Conv_3", '"', "é"), strict=False))
    names = {key: odd.get(key, key) for key in state}
    text = Proposal(names, (), ()).as_yaml("a map")
    found = mapped(tmp_path, text, {names[key]: each for key, each in state.items()})
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_fully_connected_layer_may_come_from_a_convolution(tmp_path, state):
    data = {**state, "fc.weight": state["fc.weight"][:, :, None, None]}
    text = "weights:\n" + "".join(f"  {key}: {key}\n" for key in state)
    assert torch.equal(mapped(tmp_path, text, data)["fc.weight"], state["fc.weight"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  stem.weight: stem.weight\n", "", "the map lacks `stem.weight`"),
        ("  stem.weight: ", "  stam.weight: ", "the network has no `stam.weight`"),
        ("stem.weight: stem.weight", "stem.weight: stem.wieght", "has no `stem.wieght`"),
        ("fc.weight: fc.weight", "fc.weight: fc.bias", "`fc.bias` is 3, `fc.weight` is 3×8"),
        ("layer1.0.conv1.weight: layer1.0.conv1.weight", "layer1.0.conv1.weight: layer1.0.conv2.weight", "already"),
        ("fc.bias: fc.bias", "fc.bias: 3", "`fc.bias` needs the name of a tensor"),
        ("weights:", "wieghts:", "a map has no key `wieghts`"),
    ],
)
def test_a_map_that_is_wrong_is_said_to_be(tmp_path, state, old, new, said):
    text = "weights:\n" + "".join(f"  {key}: {key}\n" for key in state)
    assert old in text
    with pytest.raises(CnncError) as caught:
        mapped(tmp_path, text.replace(old, new), state)
    assert all(each.code == Code.BAD_WEIGHT_MAP and each.span for each in caught.value.diagnostics)
    assert any(said in each.message for each in caught.value.diagnostics)


def test_a_map_is_plain_data(tmp_path, state):
    with pytest.raises(CnncError, match="E106"):
        mapped(tmp_path, "weights: !!python/object/apply:os.system [true]\n", state)
