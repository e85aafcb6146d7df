"""Help lines for ops of other frameworks that are several of our nodes, or that the language does not have.

Each table maps names, separated by spaces, to the line that says what to write instead. `help_for` finds the line for a
name. `specs/FROM_OTHER_FRAMEWORKS.md` has the nodes with their attributes, and prints `ABSENT`.
"""

import re
from typing import Final

from cnnc.diagnostics.suggestions import plain_name


def _moved(what: str, shape: str, axes: str, result: str) -> str:
    """A help line for an op that a `permute` between two `reshape` computes."""
    return f"{what} is a `reshape` to {shape}, a `permute` with `axes: {axes}` and a `reshape` to {result}"


_REVERSED = "an `affine` with `scale: -1`"
_SPACE_TO_DEPTH = _moved("space to depth by r", "[C, H, r, W, r]", "[2, 4, 0, 1, 3]", "[r·r·C, H, W]")

SEVERAL: Final[dict[str, str]] = {
    "Input Inputs InputLayer Placeholder Net": (
        "an input is not a node: write `input: {image: [3, 224, 224]}` at the top of the spec"
    ),
    "Output Outputs": "an output is not a node: write `outputs: NAME` at the top of the spec",
    "DepthwiseConv Depthwise DWConv": (
        "a depthwise convolution is a `conv` whose `out` and `groups` are the number of its input's channels"
    ),
    "SeparableConv DepthwiseSeparableConv SepConv": (
        "a separable convolution is a `conv` whose `out` and `groups` are the number of its input's channels, "
        "and another `conv` with `kernel: 1` after it"
    ),
    "PointwiseConv PWConv": "a pointwise convolution is a `conv` with `kernel: 1`",
    "SqueezeExcitation SqueezeExcite SELayer SEBlock": (
        "squeeze and excitation is a `global_avg_pool`, a `conv` with `kernel: 1` and `act: relu`, one with "
        "`act: sigmoid`, and a `mul` of the input with it"
    ),
    "TransformerEncoderLayer TransformerEncoder Transformer": (
        "a transformer layer is a block of `attention`, `add`, `layer_norm`, `linear` with an `act`, `linear`, `add` "
        "and `layer_norm`"
    ),
    "scaled_dot_product_attention": (
        "`attention` has its projections; without them, it is a `matmul` with `transpose: true`, an `affine` with the "
        "`scale`, a `softmax` with `axis: -1` and a `matmul`"
    ),
    "DepthToSpace": _moved("depth to space by r", "[r, r, C, H, W]", "[2, 3, 0, 4, 1]", "[C, r·H, r·W]")
    + "; ONNX's mode CRD is `pixel_shuffle`",
    "SpaceToDepth Reorg3d": _SPACE_TO_DEPTH,
    "Reorg": _moved("reorg by 2 of a map (C, H, W)", "[C/4, H, 2, W, 2]", "[2, 4, 0, 1, 3]", "[4·C, H/2, W/2]"),
    "einsum tensordot": (
        "write a product of two matrices as `matmul`, one by element as `mul`, and one by a learned matrix as `linear`"
    ),
    "Norm ReduceL2 vector_norm GlobalLpPool": (
        "the 2-norm is a `square`, a `sum` over `axes` and a `sqrt`; `l2_norm` divides by it. Layers that normalise "
        "are `batch_norm`, `layer_norm`, `group_norm` and `instance_norm`"
    ),
    "RMSNorm RMSNormalization": (
        "the RMS norm is a `div` of the value by a `square`, a `mean` over `axes`, an `affine` with the eps as `shift` "
        "and a `sqrt`; then a `mul` by a `parameter`. `layer_norm` also subtracts the mean"
    ),
    "ReduceL1": "the 1-norm is an `abs` and a `sum` over `axes`",
    "ReduceSumSquare": "it is a `square` and a `sum` over `axes`",
    "CosineSimilarity": "cosine similarity is an `l2_norm` of each value, a `mul` of both and a `sum` over `axes`",
    "PairwiseDistance": "the distance is a `sub`, a `square`, a `sum` over `axes` and a `sqrt`",
    "ReduceMin amin": f"the minimum over axes is {_REVERSED}, an `amax` over `axes` and again {_REVERSED}",
    "Average": "the average of n values is an `add` and an `affine` with `scale: 1/n`; that over axes is a `mean`",
    "Neg negative": f"it is {_REVERSED}",
    "Reciprocal": "it is a `constant` with `value: 1` and a `div` by the value",
    "Softmin": f"softmin is {_REVERSED} and a `softmax`",
    "LogSigmoid": f"it is {_REVERSED}, a `softplus` and again {_REVERSED}",
    "Tanhshrink": "it is a `tanh` and a `sub` of it from its input",
    "Softshrink": "it is a `hardtanh` with the limits and a `sub` of it from its input",
    "stack pack": "write a `reshape` that adds an axis of 1 to each value, and a `concat`",
    "roll": "it is two `slice` and a `concat` of them in the other order",
    "Gather select index_select": (
        "a constant index is a `slice` of one element, and a `flatten` if its axis is dropped; no op takes an index "
        "that is computed at run time"
    ),
}

ABSENT: Final[dict[str, str]] = {
    "RNN LSTM GRU SimpleRNN RNNCell LSTMCell GRUCell ConvLSTM2D Bidirectional CRNN": (
        "there are no recurrent layers; write a fixed number of steps as a block with `repeat` and `share`"
    ),
    "Conv1d Conv1DTranspose ConvTranspose1d MaxPool1d MaxPooling1D AvgPool1d AveragePooling1D": (
        "feature maps have a height and a width: write a sequence as a map of height 1, with `kernel: [1, k]`"
    ),
    "Conv3d Conv3DTranspose ConvTranspose3d MaxPool3d MaxPooling3D AvgPool3d AveragePooling3D BatchNorm3d": (
        "feature maps have only height and width: there are no ops for video or volumes"
    ),
    "Local LocallyConnected2D": "a `conv` has the same weights at all positions; there is no op with separate ones",
    "Embedding EmbeddingBag OneHot": (
        "values are numbers, not indices: look up the vectors before the network and make them an input"
    ),
    "Lambda Module PyFunc": "a spec runs no code: write the function as nodes, or as a block of them",
    "Where If Equal Greater GreaterOrEqual Less LessOrEqual And Or Not Xor masked_fill": (
        "there are no comparisons at run time: `maximum`, `minimum` and `clip` limit values, and `when` chooses nodes "
        "when the spec is read"
    ),
    "ArgMax ArgMin TopK Sort NonMaxSuppression NMS Yolo Gaussian_yolo Region Detection DetectionOutput PriorBox": (
        "the network ends with the scores and boxes as numbers: name their nodes in `outputs`, and decode them after it"
    ),
    "Cost CrossEntropyLoss BCEWithLogitsLoss MSELoss NLLLoss SoftmaxWithLoss SoftmaxCrossEntropyLoss": (
        "the network ends with the scores; `cnnc train` adds the loss"
    ),
    "Dropout2d SpatialDropout2D": "`dropout: {rate: 0.2, channels: true}` drops whole channels",
    "AlphaDropout FeatureAlphaDropout GaussianDropout GaussianNoise DropBlock RReLU": (
        "`dropout` drops elements or channels and `drop_path` whole samples; there is no other noise in training"
    ),
    "GridSample AffineGrid DeformConv RoIAlign RoIPool MaxRoiPool MaxUnpool FractionalMaxPool GatherND "
    "GatherElements ScatterND ScatterElements": "no op reads or writes at positions that are computed at run time",
    "Unfold Fold Im2Col Col2Im": (
        "a learned function of patches is a `conv`; `pixel_unshuffle` moves patches that do not overlap to the channels"
    ),
    "SpectralNorm SpectralNormalization WeightNorm": (
        "weights are used as they are stored: store the normalised ones. `standardize: true` of a `conv` is weight "
        "standardization"
    ),
    "Hardshrink Threshold ThresholdedReLU Hardmax Sign Floor Ceil Round Mod": "there are no functions with jumps",
    "Sin Cos Tan Sinh Cosh Asin Acos Atan Erf": (
        "the functions are `abs`, `exp`, `log`, `sqrt`, `square` and the activations; a table, such as the sines of "
        "positions, is a `parameter` whose values come from the checkpoint"
    ),
    "CumSum CumProd ReduceProd prod": "the reductions are `mean`, `sum` and `amax`",
    "Shape Size": "a size is an expression: `$(NAME.channels)`, `$(NAME.height)`, `$(NAME.width)`",
    "Expand Tile RepeatVector": (
        "nothing need be repeated: `add`, `mul` and their like take (C, 1, 1) and (1, H, W) beside the full shape; "
        "`upsample` repeats positions"
    ),
    "flip": "no op reverses an axis; `augment: [flip]` in `train` mirrors pictures",
    "Cast QuantizeLinear DequantizeLinear": "all values are 32-bit floats",
}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_HELP = {_bare(name): help for table in (SEVERAL, ABSENT) for names, help in table.items() for name in names.split()}


def help_for(op: str) -> str | None:
    """Return the line for a foreign op, which may differ in spelling; None if it is in neither table."""
    name = _bare(op.partition("(")[0].rpartition(".")[2])  # `input` of `keras.layers.Input`
    return _HELP.get(name) or _HELP.get(plain_name(op))
