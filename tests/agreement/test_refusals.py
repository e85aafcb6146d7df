"""What an op refuses, and what it says then: the code, the inputs to look at, the attribute to blame."""

from typing import Any

import pytest
from pydantic import ValidationError

from cnnc.ops import registry
from cnnc.ops.base import Refusal
from cnnc.ops.types import TensorType

MAP, OPEN, VECTOR = (3, 7, 6), (3, None, None), (5,)
MAPS_ONLY: dict[str, dict[str, Any]] = {
    "conv": {"out": 4, "kernel": 3},
    "conv_transpose": {"out": 4, "kernel": 3},
    "max_pool": {"kernel": 2},
    "avg_pool": {"kernel": 2},
    "adaptive_avg_pool": {"size": 1},
    "global_avg_pool": {},
    "global_max_pool": {},
    "instance_norm": {},
    "local_response_norm": {"size": 3},
    "channel_shuffle": {"groups": 1},
    "pad": {"padding": 1},
    "upsample": {"factor": 2},
    "lp_pool": {"kernel": 2},
    "adaptive_max_pool": {"size": 1},
    "pixel_shuffle": {"factor": 1},
    "pixel_unshuffle": {"factor": 1},
}

REFUSED: list[tuple[str, str, dict[str, Any], tuple[Any, ...], str]] = [
    *(("E302", op, attributes, (VECTOR,), "(C, H, W)") for op, attributes in MAPS_ONLY.items()),
    ("E313", "conv", {"out": 3, "kernel": 1, "groups": 3, "standardize": True}, (MAP,), "a single weight"),
    ("E313", "conv", {"out": 3, "kernel": 3, "eps": 1e-6}, (MAP,), "`eps` requires `standardize: true`"),
    ("E302", "linear", {"out": 4}, (MAP,), "3×7×6"),
    ("E302", "linear", {"out": 4}, (OPEN,), "3×?×?"),
    ("E302", "linear", {"out": 4}, ((2, 3, 4, 5),), "2×3×4×5"),
    ("E302", "conv", {"out": 4, "kernel": 1}, ((2, 5),), "got tokens of 2×5"),
    ("E310", "linear", {"out": 4}, ((3, None),), "needs the number of features"),
    ("E310", "layer_norm", {}, ((3, None),), "needs the number of features"),
    ("E310", "scale", {}, ((3, None),), "needs the number of features"),
    ("E310", "attention", {"heads": 1}, ((3, None),), "needs the number of features"),
    ("E310", "matmul", {}, ((3, 4), (4, None)), "needs the number of features"),
    ("E302", "tokens", {}, (VECTOR,), "got a vector of 5"),
    ("E310", "tokens", {}, (OPEN,), "number must be known"),
    ("E302", "untokens", {"height": 1, "width": 1}, (MAP,), "expects tokens (tokens, features), got 3×7×6"),
    ("E313", "untokens", {"height": 3, "width": 4}, ((13, 5),), "3×4 = 12 positions cannot hold 13 tokens"),
    ("E302", "matmul", {}, (MAP, (4, 5)), "got 3×7×6"),
    ("E302", "matmul", {}, ((4, 5), MAP), "got 3×7×6"),
    ("E301", "matmul", {}, ((2, 5), (4, 5)), "the columns of 4×5 have 4"),
    ("E301", "matmul", {"transpose": True}, ((2, 5), (5, 4)), "the rows of 5×4 have 4"),
    ("E302", "attention", {"heads": 1}, (VECTOR,), "got a vector of 5"),
    ("E304", "attention", {"heads": 2}, ((2, 5),), "5 features cannot be divided into 2 equal heads"),
    ("E301", "attention", {"heads": 1}, ((2, 5), (3, 4)), "input 1 has 4 features, but input 0 has 5"),
    ("E301", "attention", {"heads": 1}, ((2, 5), (3, 5), (3, 4)), "input 2 has 4 features, but input 0 has 5"),
    ("E301", "attention", {"heads": 1}, ((2, 5), (3, 5), (4, 5)), "there are 3 keys, but 4 values"),
    ("E313", "layer_norm", {"over": "features"}, (MAP,), "over: features"),
    ("E302", "batch_norm", {}, ((2, 5),), "2×5"),
    ("E302", "drop_path", {"rate": 0.1}, ((2, 3, 4, 5),), "2×3×4×5"),
    ("E302", "instance_norm", {}, ((3, 1, 1),), "single element"),
    ("E301", "add", {}, (MAP, (3, 7, 5)), "input 1 is 3×7×5, but input 0 is 3×7×6"),
    ("E301", "add", {}, (MAP, MAP, (3, 7, 1)), "input 2 is 3×7×1, but input 0 is 3×7×6"),
    ("E301", "add", {}, (MAP, (2, 1, 1)), "input 1 is 2×1×1"),
    ("E301", "add", {}, ((3, 1, 1), (1, 7, 6)), "input 1 is 1×7×6, but input 0 is 3×1×1"),
    ("E301", "sub", {}, (MAP, (1, 7, 5)), "input 1 is 1×7×5"),
    ("E301", "div", {}, ((2, 5), (1, 4)), "input 1 is 1×4"),
    ("E301", "maximum", {}, (MAP, (1, 1, 6)), "input 1 is 1×1×6"),
    ("E301", "minimum", {}, (MAP, (3, 1, 1), (2, 1, 1)), "input 2 is 2×1×1"),
    ("E310", "sub", {}, (OPEN, (1, 1, 6)), "3×?×?"),
    ("E310", "maximum", {}, ((3, 1, 6), (1, None, 6)), "1×?×6"),
    ("E301", "add", {}, (MAP, VECTOR), "input 1 is 5"),
    ("E301", "add", {}, (OPEN, (3, 7, None), (3, 8, None)), "input 2 is 3×8×?, but input 1 is 3×7×?"),
    ("E301", "add", {}, (OPEN, (4, None, None)), "input 1 is 4×?×?"),
    ("E310", "add", {}, (OPEN, (3, 1, None)), "3×1×?"),
    ("E310", "add", {}, ((3, 1, None), OPEN), "3×1×?"),
    ("E301", "mul", {}, (MAP, (2, 1, 1)), "input 1 is 2×1×1, but input 0 is 3×7×6"),
    ("E301", "mul", {}, ((2, 1, 1), MAP), "input 1 is 3×7×6, but input 0 is 2×1×1"),
    ("E301", "mul", {}, (MAP, (3, 7, 1)), "input 1 is 3×7×1"),
    ("E301", "mul", {}, (VECTOR, (5, 1, 1)), "input 1 is 5×1×1"),
    ("E310", "mul", {}, (OPEN, (3, 1, 7)), "3×?×?"),
    ("E301", "concat", {}, (MAP, (3, 7, 5)), "input 1 is 3×7×5, but input 0 is 3×7×6"),
    ("E301", "concat", {}, (MAP, MAP, (3, 6, 6)), "input 2 is 3×6×6"),
    ("E301", "concat", {}, (MAP, VECTOR), "input 1 is 5"),
    ("E301", "concat", {"axis": 1}, (MAP, (2, 7, 6)), "input 1 is 2×7×6"),
    ("E313", "concat", {"axis": 3}, (MAP, MAP), "axis 3 is out of range"),
    ("E303", "conv", {"out": 4, "kernel": 8}, (MAP,), "height is 7"),
    ("E303", "conv", {"out": 4, "kernel": [3, 9], "padding": 1}, (MAP,), "width is 6 + 2 of padding"),
    ("E303", "conv", {"out": 4, "kernel": 3, "dilation": 4}, (MAP,), "dilated kernel that covers 9"),
    ("E303", "conv_transpose", {"out": 4, "kernel": 1, "padding": 3}, ((3, 6, 9),), "nothing is left"),
    ("E303", "max_pool", {"kernel": 8}, (MAP,), "height is 7"),
    ("E303", "max_pool", {"kernel": 2, "padding": 2}, (MAP,), "entirely in the padding"),
    ("E303", "max_pool", {"kernel": 2, "padding": [0, 0, 0, 2]}, (OPEN,), "entirely in the padding"),
    (
        "E303",
        "max_pool",
        {"kernel": 2, "stride": 1, "padding": 2, "dilation": 3},
        ((3, 1, 7),),
        "entirely in the padding",
    ),
    ("E303", "avg_pool", {"kernel": 2, "padding": [0, 3]}, (MAP,), "entirely in the padding"),
    ("E303", "avg_pool", {"kernel": 3, "padding": 3, "count_padding": False}, (MAP,), "entirely in the padding"),
    ("E304", "conv", {"out": 4, "kernel": 3, "groups": 2}, (MAP,), "3 input channels"),
    ("E304", "conv", {"out": 4, "kernel": 3, "groups": 3}, (MAP,), "4 output channels"),
    ("E304", "conv_transpose", {"out": 4, "kernel": 3, "groups": 3}, (MAP,), "4 output channels"),
    ("E304", "group_norm", {"groups": 2}, (MAP,), "3 channels"),
    ("E304", "channel_shuffle", {"groups": 2}, (MAP,), "3 channels"),
    ("E304", "split", {"parts": 2}, (MAP,), "3 elements along axis 0 cannot be divided into 2 equal parts"),
    ("E310", "max_pool", {"kernel": 2, "ceil": True}, (OPEN,), "`ceil` needs the input's height"),
    ("E310", "conv", {"out": 4, "kernel": 3, "stride": 2, "padding": "same"}, ((3, 7, None),), "the input's width"),
    ("E310", "adaptive_avg_pool", {"size": 2}, (OPEN,), "height"),
    ("E310", "layer_norm", {"over": "all"}, (OPEN,), "3×?×?"),
    ("E310", "flatten", {}, (OPEN,), "3×?×?"),
    ("E310", "reshape", {"shape": [-1]}, (OPEN,), "3×?×?"),
    ("E310", "permute", {"axes": [1, 2, 0]}, (OPEN,), "3×?×?"),
    ("E310", "split", {"parts": 2, "axis": 1}, (OPEN,), "axis 1"),
    ("E313", "conv_transpose", {"out": 4, "kernel": 3, "stride": 2, "output_padding": 2}, (MAP,), "stride of 2"),
    ("E313", "conv_transpose", {"out": 4, "kernel": 3, "output_padding": 1}, (MAP,), "stride of 1"),
    ("E313", "conv_transpose", {"out": 4, "kernel": 3, "dilation": 2, "output_padding": 2}, (MAP,), "dilation of 2"),
    ("E313", "group_norm", {"groups": 5}, (VECTOR,), "each of 5 groups of 5 has a single element"),
    ("E313", "group_norm", {"groups": 4}, ((4, 1, 1),), "each of 4 groups of 4×1×1 has a single element"),
    ("E313", "local_response_norm", {"size": 4}, (MAP,), "must be odd, got 4"),
    ("E313", "softmax", {"axis": 1}, (VECTOR,), "axis 1 is out of range"),
    ("E313", "log_softmax", {"axis": -4}, (MAP,), "axis -4 is out of range"),
    ("E310", "reshape", {"shape": [-1, 3]}, (OPEN,), "needs a -1 after the first axis"),
    ("E313", "reshape", {"shape": [5, -1]}, (OPEN,), "the input has a multiple of 3 elements, but"),
    ("E313", "reshape", {"shape": [5, 5]}, (MAP,), "the input has 126 elements, but the shape needs 5×5 = 25"),
    ("E313", "reshape", {"shape": [-1, 5]}, (MAP,), "the input has 126 elements, but the shape needs a multiple of 5"),
    ("E313", "reshape", {"shape": [-1, -1]}, (MAP,), "one of them"),
    ("E313", "reshape", {"shape": [0, 126]}, (MAP,), "at least 1"),
    ("E313", "reshape", {"shape": [-2, 63]}, (MAP,), "at least 1"),
    ("E313", "permute", {"axes": [0, 1]}, (MAP,), "[0, 1]"),
    ("E313", "permute", {"axes": [0, 1, 1]}, (MAP,), "[0, 1, 1]"),
    ("E313", "permute", {"axes": [1, 2, 3]}, (MAP,), "[1, 2, 3]"),
    ("E313", "split", {}, (MAP,), "got neither"),
    ("E313", "split", {"parts": 3, "sizes": [1, 2]}, (MAP,), "got both"),
    ("E313", "split", {"sizes": [1, 1]}, (MAP,), "1 + 1 = 2"),
    ("E313", "split", {"sizes": [4, -1]}, (MAP,), "4 + -1 = 3"),
    ("E313", "pad", {"padding": [7, 0, 0, 0], "mode": "reflect"}, (MAP,), "height of at least 8, got 7"),
    ("E313", "pad", {"padding": [0, 0, 0, 7], "mode": "circular"}, (MAP,), "width of at least 7, got 6"),
    ("E313", "pad", {"padding": 1, "mode": "reflect", "value": 0.5}, (MAP,), "no `value`"),
    ("E302", "crop", {"size": 1}, (VECTOR,), "(C, H, W)"),
    ("E310", "crop", {"size": 3}, (OPEN,), "height"),
    ("E313", "crop", {"size": [7, 7]}, (MAP,), "a width of 7 does not fit into 6"),
    ("E313", "slice", {"start": 3}, (MAP,), "nothing is left of the 3 elements along axis 0 from 3 to the end"),
    ("E313", "slice", {"axis": 1, "start": -1, "stop": 2}, (MAP,), "from -1 to 2"),
    ("E313", "slice", {"axis": 3}, (MAP,), "axis 3 is out of range"),
    ("E313", "pixel_shuffle", {"factor": 2}, (MAP,), "3 channels are no multiple of 2²"),
    ("E304", "pixel_unshuffle", {"factor": 2}, (MAP,), "the height is 7"),
    ("E304", "glu", {}, (MAP,), "3 elements along axis 0 cannot be halved"),
    ("E310", "glu", {"axis": 1}, (OPEN,), "axis 1"),
    ("E313", "mean", {"axes": [1, -2]}, (MAP,), "twice"),
    ("E313", "sum", {"axes": 3}, (MAP,), "axis 3 is out of range"),
    ("E313", "amax", {"axes": 0, "keep": False}, (VECTOR,), "leaves no axis"),
    ("E310", "mean", {"axes": 0, "keep": False}, (OPEN,), "first remaining axis"),
    ("E313", "l2_norm", {"axis": -2}, (VECTOR,), "axis -2 is out of range"),
    ("E313", "activation", {"kind": "relu", "slope": 0.1}, (MAP,), "`relu` has no attribute `slope`"),
    ("E313", "activation", {"kind": "celu", "alpha": -1.0}, (MAP,), "`alpha` does not fit `celu`"),
    ("E313", "clip", {}, (MAP,), "got neither"),
    ("E313", "clip", {"min": 2, "max": 1}, (MAP,), "got 2.0 and 1.0"),
    ("E313", "hardtanh", {"min": 1, "max": 1}, (MAP,), "got 1.0 and 1.0"),
    ("E313", "affine", {}, (MAP,), "expected `scale`, `shift` or both"),
    ("E303", "lp_pool", {"kernel": 2, "padding": 2}, (MAP,), "entirely in the padding"),
    ("E310", "adaptive_max_pool", {"size": 2}, (OPEN,), "height"),
    ("E313", "upsample", {}, (MAP,), "got none"),
    ("E313", "upsample", {"factor": 2, "size": 9}, (MAP,), "got factor and size"),
    ("E313", "upsample", {"like": "a"}, (MAP, (2, 5)), "got tokens of 2×5"),
    ("E313", "crop", {}, (MAP,), "got neither"),
    ("E313", "crop", {"size": 2, "like": "a"}, (MAP, MAP), "got both"),
    ("E313", "crop", {"like": "a"}, (MAP, (3, 8, 2)), "a height of 8 does not fit into 7"),
    ("E313", "untokens", {}, ((12, 5),), "expected `height` and `width`, or `like`"),
    ("E313", "untokens", {"like": "a"}, ((12, 5), (3, None, 4)), "must have a known height and width"),
    ("E313", "parameter", {"shape": [0, 3]}, (MAP,), "at least 1"),
    ("E313", "constant", {"shape": [3, 2, 2], "coordinates": True}, (MAP,), "[2, height, width]"),
    ("E313", "constant", {"shape": [2, 2, 2], "coordinates": True, "value": 1}, (MAP,), "take no `value`"),
    ("E313", "upsample", {"factor": 2, "align_corners": True}, (MAP,), "bilinear"),
]


@pytest.mark.parametrize(("code", "op", "attributes", "shapes", "says"), REFUSED)
def test_refused(code: str, op: str, attributes: dict[str, Any], shapes: tuple[Any, ...], says: str):
    node = registry.get(op).model_validate(attributes)
    with pytest.raises(Refusal) as caught:
        node.infer(*map(TensorType, shapes))
    refusal = caught.value
    assert refusal.code == code
    assert op in refusal.message
    assert says in refusal.message
    assert refusal.help
    assert refusal.attribute is None or refusal.attribute in attributes or refusal.attribute in type(node).model_fields
    assert set(refusal.inputs) <= set(range(len(shapes)))


@pytest.mark.parametrize(
    ("shapes", "inputs"), [((MAP, MAP, VECTOR), (0, 2)), ((OPEN, (3, 7, None), (3, 8, None)), (1, 2))]
)
def test_unequal_shapes_name_the_two(shapes, inputs):
    with pytest.raises(Refusal) as caught:
        registry.get("add").model_validate({}).infer(*map(TensorType, shapes))
    assert caught.value.inputs == inputs


@pytest.mark.parametrize(
    ("shape", "ways"),
    [(MAP, ("`flatten`", "126", "`global_avg_pool`")), (OPEN, ("`global_avg_pool`",)), ((2, 3, 4, 5), ("`flatten`",))],
)
def test_linear_proposes_a_way_to_a_vector(shape, ways):
    with pytest.raises(Refusal) as caught:
        registry.get("linear").model_validate({"out": 4}).infer(TensorType(shape))
    assert all(way in (caught.value.help or "") for way in ways)


BAD_VALUES: list[tuple[str, dict[str, Any], str]] = [
    ("conv", {"kernel": 3}, "out"),
    ("conv", {"out": 0, "kernel": 3}, "out"),
    ("conv", {"out": True, "kernel": 3}, "out"),
    ("conv", {"out": "4", "kernel": 3}, "out"),
    ("conv", {"out": 4.0, "kernel": 3}, "out"),
    ("conv", {"out": 2**31, "kernel": 3}, "out"),
    ("conv", {"out": 4, "kernel": 0}, "kernel"),
    ("conv", {"out": 4, "kernel": [3, 3, 3]}, "kernel"),
    ("conv", {"out": 4, "kernel": [3, True]}, "kernel"),
    ("conv", {"out": 4, "kernel": 2**20 + 1}, "kernel"),
    ("conv", {"out": 4, "kernel": None}, "kernel"),
    ("conv", {"out": 4, "kernel": 3, "stride": 0}, "stride"),
    ("conv", {"out": 4, "kernel": 3, "dilation": 0}, "dilation"),
    ("conv", {"out": 4, "kernel": 3, "padding": -1}, "padding"),
    ("conv", {"out": 4, "kernel": 3, "padding": [1, 2, 3]}, "padding"),
    ("conv", {"out": 4, "kernel": 3, "padding": "full"}, "padding"),
    ("conv", {"out": 4, "kernel": 3, "groups": 0}, "groups"),
    ("conv", {"out": 4, "kernel": 3, "bias": 1}, "bias"),
    ("conv", {"out": 4, "kernel": 3, "kernels": 1}, "kernels"),
    ("pad", {"padding": "same"}, "padding"),
    ("pad", {"padding": 1, "mode": "mirror"}, "mode"),
    ("pad", {"padding": 1, "value": float("nan")}, "value"),
    ("batch_norm", {"eps": 0}, "eps"),
    ("batch_norm", {"eps": float("inf")}, "eps"),
    ("batch_norm", {"momentum": 1.5}, "momentum"),
    ("dropout", {"rate": 1.0}, "rate"),
    ("dropout", {"rate": -0.1}, "rate"),
    ("drop_path", {}, "rate"),
    ("local_response_norm", {"size": 0}, "size"),
    ("local_response_norm", {"size": 3, "alpha": 0}, "alpha"),
    ("local_response_norm", {"size": 3, "beta": 0}, "beta"),
    ("upsample", {"factor": 1.5}, "factor"),
    ("upsample", {"factor": 2, "mode": "cubic"}, "mode"),
    ("split", {"parts": 0}, "parts"),
    ("split", {"parts": 10**6}, "parts"),
    ("split", {"sizes": []}, "sizes"),
    ("split", {"sizes": 3}, "sizes"),
    ("reshape", {"shape": [1] * 7}, "shape"),
    ("permute", {"axes": [0.0, 1]}, "axes"),
    ("softmax", {"axis": "channels"}, "axis"),
    ("activation", {"kind": "swoosh"}, "kind"),
    ("activation", {"kind": ["relu"]}, "kind"),
    ("relu", {"slope": 1}, "slope"),
]


@pytest.mark.parametrize(("op", "attributes", "blamed"), BAD_VALUES)
def test_bad_attribute_values_are_refused_at_their_place(op: str, attributes: dict[str, Any], blamed: str):
    with pytest.raises(ValidationError) as caught:
        registry.get(op).model_validate(attributes)
    assert [error["loc"][0] for error in caught.value.errors()] == [blamed]
