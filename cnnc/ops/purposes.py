"""What ops are for: the index of all ops in the reference, which `cnnc explain ops` prints as well.

An op may serve several purposes; each serves at least one. The words about an op are the first sentence of its
docstring.
"""

import re
from collections.abc import Iterator
from typing import Final

from cnnc.ops import registry

PURPOSES: Final[dict[str, str]] = {
    "convolve": "conv conv_transpose",
    "compute a fully connected layer": "linear",
    "downsample a map": "conv max_pool avg_pool lp_pool adaptive_avg_pool adaptive_max_pool pixel_unshuffle",
    "pool a whole map": "global_avg_pool global_max_pool",
    "upsample a map": "upsample conv_transpose pixel_shuffle",
    "normalise": "batch_norm layer_norm group_norm instance_norm local_response_norm l2_norm",
    "activate": """
        relu relu6 leaky_relu prelu elu selu celu sigmoid tanh gelu silu hardswish hardsigmoid mish softplus softsign
        hardtanh glu activation
        """,
    "turn scores into probabilities": "softmax log_softmax sigmoid",
    "regularise": "dropout drop_path",
    "join branches": "add concat",
    "weight channels or positions": "mul scale",
    "combine values element by element": "add sub mul div maximum minimum",
    "split a value, or keep a part of it": "split slice crop",
    "add a border": "pad",
    "reduce axes": "mean sum amax",
    "compute a function of each element": "abs exp log sqrt square clip affine",
    "change the shape or the order": "flatten reshape permute channel_shuffle pixel_shuffle pixel_unshuffle",
    "work on tokens": "tokens untokens attention matmul",
    "learn a bare tensor, or insert a constant": "parameter scale constant",
    "do nothing": "identity",
}

_CITATION = re.compile(r" \([^()]*\d{4}\)")
_END = re.compile(r"\. |; |[:,] \(|\.$")


def brief(op: str) -> str:
    """Return what an op computes in half a sentence: the start of its docstring, without citations and shapes."""
    first = " ".join((registry.get(op).__doc__ or "").split("\n\n")[0].split())
    return _END.split(_CITATION.sub("", first), maxsplit=1)[0]


def index() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each purpose with its ops, and what each of them computes."""
    for purpose, ops in PURPOSES.items():
        yield purpose, [(op, brief(op)) for op in ops.split()]
