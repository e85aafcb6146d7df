"""Inputs and outputs of a spec."""

import pytest

from cnnc.compiler import check, load
from tests.nets import codes, conv, faults, net, paths, shapes, sources


def test_one_input_or_several():
    assert sources({**net("relu"), "input": {"x": [3]}}) == {"relu": ["x"]}
    several = {
        **net({"relu": {"from": "a"}}, {"add": {"from": ["relu", "b"]}}),
        "inputs": {"a": [4, 8, 8], "b": [4, 8, 8]},
    }
    del several["input"]
    assert sources(several) == {"relu": ["a"], "add": ["relu", "b"]}
    assert codes({**several, "nodes": ["relu", {"add": {"from": ["a", "b"]}}]}) == ["E305"]
    assert "E203" in codes({**several, "input": {"c": [3]}})


def test_a_node_that_is_not_there_may_be_the_first_of_several_inputs():
    spec = {**net({"relu": {"when": False}}, {"add": {"from": ["a", "b"]}}), "inputs": {"a": [4], "b": [4]}}
    del spec["input"]
    assert sources(spec) == {"add": ["a", "b"]}


def test_an_input_that_nothing_uses_is_an_error():
    spec = {**net({"relu": {"from": "a"}}), "inputs": {"a": [4], "b": [4]}}
    del spec["input"]
    assert faults(spec) == ["E308 the input `b` is not used"]


def test_an_input_may_be_a_vector_or_a_map_given_by_params():
    assert shapes({**net({"linear": {"out": 2}}), "input": {"x": [7]}}) == {"linear": (2,)}
    spec = {**net("relu", params={"size": 8}), "input": {"x": [1, "$size", "$(size * 2)"]}}
    assert shapes(spec, set={"size": 3}) == {"relu": (1, 3, 6)}


@pytest.mark.parametrize(
    "shape", [[], [1, 2], [1, 2, 3, 4], 3, "x", [0, 8, 8], [1.0, 8, 8], [True, 8, 8], [None, 8, 8], [None]]
)
def test_a_shape_is_channels_height_and_width_or_features(shape):
    assert codes({**net("relu"), "input": {"image": shape}}) == ["E203"]


def test_the_batch_is_never_written():
    [found] = check({**net("relu"), "input": {"image": [1, 3, 8, 8]}}).diagnostics
    assert found.help == "leave out the batch: [3, 8, 8]"


@pytest.mark.parametrize(
    ("shape", "way_out"),
    [
        ([4, 16], "tokens come from a map: write `[16, 4, 1]`, and `tokens` as the first node"),
        ([None, 16], "tokens come from a map: write `[16, null, 1]`, and `tokens` as the first node"),
        ([4, None], "for example `[3, 224, 224]`"),  # the features must be known
        ([0, 16], "for example `[3, 224, 224]`"),
    ],
)
def test_tokens_are_written_as_a_map(shape, way_out):
    [found] = check({**net("relu"), "input": {"x": shape}}).diagnostics
    assert found.help == way_out


def test_the_long_form_says_how_a_picture_becomes_the_tensor():
    form = {"shape": [3, 8, 8], "mode": "rgb", "mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 0.5], "resize": 10, "crop": 8}
    picture = load({**net("relu"), "input": {"image": form}}).inputs[0].picture
    assert (picture.mode, picture.mean, picture.std) == ("rgb", (0.1, 0.2, 0.3), (1.0, 1.0, 0.5))
    assert (picture.resize, picture.crop) == (10, (8, 8))
    for wrong in (
        {"mode": "grey"},
        {"mode": "cmyk"},
        {"mean": [0.1]},
        {"std": [0.0, 1.0, 1.0]},
        {"resize": 0},
        {"crop": "x"},
    ):
        assert len(codes({**net("relu"), "input": {"image": {**form, **wrong}}})) == 1


def test_a_height_or_width_may_be_unknown_until_run_time():
    spec = net(conv(8, 3), "relu", image=(4, None, None))
    assert shapes(spec) == {"conv": (8, None, None), "relu": (8, None, None)}
    totals = check(spec).as_json()["totals"]
    assert totals == {"params": 8 * 4 * 9 + 8, "buffers": 0, "macs": None, "activation_bytes": None}


def test_ops_that_need_a_number_say_so():
    assert codes(net("flatten", image=(4, None, 8))) == ["E310"]
    assert codes(net(conv("$(image.height)"), image=(4, None, 8))) == ["E212"]
    assert shapes(net("global_avg_pool", "flatten", image=(4, None, None)))["flatten"] == (4,)


def test_the_output_is_the_last_node_by_default():
    assert [each.name for each in load(net("relu", "tanh")).outputs] == ["tanh"]
    group = {"group": {"name": "g", "nodes": ["relu", "tanh"]}}
    assert [each.ref.node for each in load(net(group)).outputs] == ["g.tanh"]


def test_outputs_may_be_a_name_a_list_or_names_for_nodes():
    nodes = (conv(name="a"), conv(name="b"))
    for outputs, names in (("b", ["b"]), (["a", "b"], ["a", "b"]), ({"x": "a", "y": {"from": "b"}}, ["x", "y"])):
        found = load(net(*nodes, outputs=outputs)).outputs
        assert [each.name for each in found] == names
        assert found[-1].ref.node == "b"


def test_what_is_only_for_training_is_marked():
    outputs = {"logits": "main", "aux": {"from": "side", "only": "train"}}
    spec = net({"relu": {"name": "side"}}, {"tanh": {"name": "main", "from": "image"}}, outputs=outputs)
    assert [(each.name, each.train_only) for each in load(spec).outputs] == [("logits", False), ("aux", True)]
    assert codes(net("relu", outputs={"x": {"from": "relu", "only": "train"}})) == ["E309"]
    assert len(codes(net("relu", outputs={"x": {"from": "relu", "only": "predict"}}))) == 1


def test_an_output_may_be_a_port():
    split = {"split": {"name": "s", "parts": 2}}
    assert paths(net(split, outputs={"a": "s.0", "b": "s.1"})) == ["s"]
    assert codes(net(split)) == ["E314"]
    assert codes(net(split, outputs="s.2")) == ["E314"]


def test_the_ports_of_a_split_are_its_parts():
    spec = net({"split": {"name": "s", "parts": 2}}, {"concat": {"from": ["s.1", "s.0"]}})
    assert sources(spec)["concat"] == ["s.1", "s.0"]
    assert check(spec).as_json()["nodes"][0]["shape"] == [[2, 8, 8], [2, 8, 8]]
    assert codes(net({"split": {"name": "s", "parts": 2}}, "relu")) == ["E314"]


@pytest.mark.parametrize(
    ("outputs", "code"),
    [
        ("nosuch", "E306"),
        ("image", "E309"),
        ([], "E203"),
        (3, "E203"),
        (["relu", "relu"], "E210"),
        ({"image": "relu"}, "E210"),
        ({"a b": "relu"}, "E209"),
        ({"a": 3}, "E203"),
    ],
)
def test_outputs_name_nodes(outputs, code):
    assert codes(net("relu", outputs=outputs)) == [code]


def test_a_network_of_absent_nodes_shows_its_input_which_is_an_error():
    assert codes(net({"relu": {"when": False}})) == ["E309"]


def test_a_network_has_an_input_and_nodes():
    assert codes({"cnnc": 1, "nodes": ["relu"]}) == ["E309"]
    assert codes(net()) == ["E309"]


def test_what_nothing_needs_is_an_error():
    assert faults(net("relu", {"tanh": {"from": "image"}})) == ["E308 nothing uses `relu`, and it is not an output"]
    dead = net({"relu": {"name": "a"}}, {"relu": {"name": "b"}}, {"tanh": {"from": "image"}})
    assert faults(dead) == ["E308 nothing uses `b`, and it is not an output"]


def test_a_dead_line_of_a_block_is_said_once():
    block = {"nodes": [{"relu": {"name": "dead"}}, {"tanh": {"from": "input"}}]}
    assert codes(net({"b": {"repeat": 3}}, blocks={"b": block})) == ["E308"]


@pytest.mark.parametrize(
    ("key", "size"),
    [("resize", []), ("crop", []), ("resize", [8]), ("crop", [8]), ("crop", [8, 8, 8]), ("resize", True)],
)
def test_an_extent_is_a_number_or_a_pair(key, size):
    [fault] = faults({**net("relu"), "input": {"image": {"shape": [3, 8, 8], key: size}}})
    assert fault.startswith(f"E203 `{key}` must be a number of pixels or [height, width], got ")


@pytest.mark.parametrize(
    ("shape", "how", "blamed"),
    [
        ([3, 32, 32], {"resize": 40, "crop": 20}, "crop"),
        ([3, 32, 32], {"resize": 40, "crop": [32, 20]}, "crop` gives pictures of 32×20, but the input is 3×32×32"),
        ([3, 32, 32], {"crop": 20}, "crop"),
        ([3, None, 32], {"crop": 20}, "crop"),
        ([3, 32, 32], {"resize": [20, 20]}, "resize"),
        ([3, 32, None], {"resize": [20, 20]}, "resize"),
        ([3, 32, 32], {"resize": 40}, "resize"),
        ([3, 32, 48], {"resize": 40}, "resize"),
        ([3, 32, None], {"resize": 40}, "resize"),
        (
            [3, 32, 36],
            {"resize": [20, 40], "crop": [32, 36]},
            "crop` takes 32×36 out of pictures that `resize` brings to 20×40",
        ),
        ([3, 32, 32], {"resize": 20, "crop": 32}, "crop"),
        (
            [3, None, None],
            {"resize": 20, "crop": [32, 36]},
            "crop` takes 32×36 out of pictures whose shorter side `resize` brings to 20",
        ),
    ],
)
def test_a_picture_must_be_able_to_fit(shape, how, blamed):
    spec = {**net(conv()), "input": {"image": {"shape": shape, **how}}}
    [found] = check(spec).diagnostics
    assert found.code == "E203"
    assert f"{found.message} ".startswith((f"`{blamed}` ", f"`{blamed} "))


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ([3, 32, 32], {"resize": 40, "crop": 32}),
        ([3, 32, 32], {"crop": 32}),
        ([3, 32, 32], {"resize": 32}),
        ([3, 32, 40], {"resize": 32}),
        ([3, 32, 40], {"resize": [32, 40]}),
        ([3, 40, None], {"resize": 32}),
        ([3, None, None], {"resize": 20, "crop": [20, 32]}),
        ([3, None, None], {"resize": [20, 30]}),
        ([3, None, 30], {"resize": [20, 30]}),
        ([3, None, 30], {"crop": [20, 30]}),
    ],
)
def test_a_picture_that_can_fit(shape, how):
    assert codes({**net(conv()), "input": {"image": {"shape": shape, **how}}}) == []


def test_one_bad_output_hides_no_other():
    assert codes(net("relu", outputs={"a": "$([1])", "b": "nope", "c": "relu", "d": "$nope"})) == [
        "E306",
        "E306",
        "E212",
    ]
    block = {"outputs": {"a": "nope", "b": "relu", "c": "$(nope)"}, "nodes": ["relu"]}
    assert codes(net("b", "relu", blocks={"b": block})) == ["E306", "E212"]


@pytest.mark.parametrize("word", ["name", "from", "when", "repeat"])
def test_a_parameter_of_a_block_cannot_be_called_like_a_word_of_nodes(word):
    block = {"params": {word: 2}, "nodes": ["relu"]}
    assert codes(net("b", blocks={"b": block})) == ["E209"]


def test_the_outputs_of_a_block_have_names_of_their_own():
    def said(outputs):
        return codes(net("b", {"add": {"from": ["b.x", "b.y"]}}, blocks={"b": {"outputs": outputs, "nodes": ["relu"]}}))

    assert said({"x": "relu", "y": "input"}) == []
    assert said({"x": "relu", "a b": "relu", "y": "input"}) == ["E209"]
    assert said({"x": "relu", "class": "relu", "y": "input"}) == ["E209"]
    assert said(["relu", "relu", "x", "y"]) == ["E210", "E306", "E306"]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0.5], "E203 `mean` has 1 number, but the input has 3 channels"),
        ([0.5, 0.5], "E203 `mean` has 2 numbers, but the input has 3 channels"),
    ],
)
def test_one_is_not_counted_as_many(numbers, message):
    image = {"shape": [3, 8, 8], "mean": numbers}
    assert faults({**net(conv()), "input": {"image": image}}) == [message]


@pytest.mark.parametrize("side", ["$(1 / 0)", "$nope"])
def test_an_input_whose_expression_fails_is_one_error(side):
    """What follows from its shape is not reported."""
    nodes = [{"conv": {"out": 2, "kernel": 9}}, "flatten", {"linear": {"out": 3}}]
    spec = {"cnnc": 1, "input": {"x": [side, 4, 4]}, "nodes": nodes}
    [fault] = check(spec).diagnostics
    assert (fault.code, str(fault.span.path)) == ("E212", "input.x[0]")


def test_an_activation_whose_expression_fails_is_one_error():
    spec = {"cnnc": 1, "input": {"x": [3, 4, 4]}, "nodes": [{"conv": {"out": 2, "kernel": 1, "act": "$nope"}}, "relu"]}
    [fault] = check(spec).diagnostics
    assert (fault.code, fault.message) == ("E212", "there is no `nope` here")
