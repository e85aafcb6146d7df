"""The registry of all ops by name. A family's module is imported only when one of its ops is looked up."""

from functools import cache
from importlib import import_module

from cnnc.ops.base import Op

FAMILIES: dict[str, dict[str, str]] = {
    "conv": {"conv": "Conv"},
    "conv_transpose": {"conv_transpose": "ConvTranspose"},
    "pool": {"max_pool": "MaxPool"},
    "avg_pool": {"avg_pool": "AvgPool", "lp_pool": "LpPool"},
    "adaptive_pool": {"adaptive_avg_pool": "AdaptiveAvgPool", "adaptive_max_pool": "AdaptiveMaxPool"},
    "global_pool": {"global_avg_pool": "GlobalAvgPool", "global_max_pool": "GlobalMaxPool"},
    "norm": {
        "batch_norm": "BatchNorm",
        "layer_norm": "LayerNorm",
        "group_norm": "GroupNorm",
        "instance_norm": "InstanceNorm",
        "local_response_norm": "LocalResponseNorm",
    },
    "linear": {"linear": "Linear", "scale": "Scale"},
    "regularise": {"dropout": "Dropout", "drop_path": "DropPath"},
    "relu": {"relu": "Relu"},
    "rectifier": {
        "relu6": "Relu6",
        "leaky_relu": "LeakyRelu",
        "prelu": "Prelu",
        "elu": "Elu",
        "selu": "Selu",
        "celu": "Celu",
    },
    "activation": {
        "sigmoid": "Sigmoid",
        "tanh": "Tanh",
        "gelu": "Gelu",
        "silu": "Silu",
        "hardswish": "Hardswish",
        "hardsigmoid": "Hardsigmoid",
        "mish": "Mish",
        "softplus": "Softplus",
        "softsign": "Softsign",
        "hardtanh": "Hardtanh",
        "activation": "Activation",
    },
    "softmax": {"softmax": "Softmax", "log_softmax": "LogSoftmax"},
    "gate": {"glu": "Glu"},
    "arithmetic": {
        "add": "Add",
        "sub": "Sub",
        "mul": "Mul",
        "div": "Div",
        "maximum": "Maximum",
        "minimum": "Minimum",
    },
    "function": {
        "abs": "Abs",
        "exp": "Exp",
        "log": "Log",
        "sqrt": "Sqrt",
        "square": "Square",
        "clip": "Clip",
        "affine": "Affine",
    },
    "reduce": {"mean": "Mean", "sum": "Sum", "amax": "Amax", "l2_norm": "L2Norm"},
    "merge": {"concat": "Concat"},
    "split": {"split": "Split"},
    "flatten": {"flatten": "Flatten"},
    "move": {
        "reshape": "Reshape",
        "permute": "Permute",
        "channel_shuffle": "ChannelShuffle",
        "pad": "Pad",
        "identity": "Identity",
    },
    "tokens": {"tokens": "Tokens", "untokens": "Untokens", "matmul": "Matmul", "attention": "Attention"},
    "source": {"parameter": "Parameter", "constant": "Constant"},
    "cut": {"slice": "Slice", "crop": "Crop"},
    "resize": {"upsample": "Upsample", "pixel_shuffle": "PixelShuffle", "pixel_unshuffle": "PixelUnshuffle"},
}
TITLES = {
    "conv": "Convolutions",
    "conv_transpose": "Transposed convolutions",
    "pool": "Max pools",
    "avg_pool": "Average pools",
    "adaptive_pool": "Adaptive pools",
    "global_pool": "Global pools",
    "norm": "Normalisation",
    "linear": "Linear layers",
    "regularise": "Regularisation",
    "relu": "The rectified linear unit",
    "rectifier": "Other rectifiers",
    "activation": "Other activations",
    "softmax": "Softmax and log-softmax",
    "gate": "Gates",
    "arithmetic": "Arithmetic of several values",
    "function": "Mathematical functions",
    "reduce": "Reductions",
    "merge": "Joining",
    "split": "Splitting",
    "flatten": "Flattening",
    "move": "Reshaping and moving elements",
    "tokens": "Tokens and attention",
    "source": "Learned tensors and constants",
    "cut": "Slices and crops",
    "resize": "Resizing",
}
LATER = frozenset(
    """
    sub div maximum minimum abs exp log sqrt square clip affine mean sum amax l2_norm selu celu softplus softsign
    hardtanh glu lp_pool adaptive_max_pool tokens untokens matmul attention parameter constant slice crop pixel_shuffle
    pixel_unshuffle
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)
"""Ops that came after the first release: a spec's own block of such a name comes before the op, as it did then."""
PLACES = {op: (family, kind) for family, kinds in FAMILIES.items() for op, kind in kinds.items()}


def names() -> tuple[str, ...]:
    """Return the names of all ops, family by family."""
    return tuple(PLACES)


def reserved(name: str) -> bool:
    """Whether no block may have this name, because there has always been an op of the name."""
    return name in PLACES and name not in LATER


@cache
def get(name: str) -> type[Op]:
    """Return the op with this name; raises KeyError if there is none."""
    family, kind = PLACES[name]
    op: type[Op] = getattr(import_module(f"cnnc.ops.{family}"), kind)
    return op


def takes_act(name: str) -> bool:
    """Whether there is an op of this name that takes the attribute `act`."""
    return name in PLACES and get(name).takes_act


def takes_like(name: str) -> bool:
    """Whether there is an op of this name that takes the attribute `like`: a node whose height and width it uses."""
    return name in PLACES and _has_like(name)


@cache  # pydantic's `model_fields` is slow
def _has_like(name: str) -> bool:
    return "like" in get(name).model_fields


def is_source(name: str) -> bool:
    """Whether there is an op of this name that takes no input."""
    return name in PLACES and get(name).most_inputs == 0
