"""The words in the names of layers that mean the same in different libraries.

`plain` spells a name without the differences of style and vocabulary; `marked` finds the layers whose names contain a
word of a family, such as `downsample` or `shortcut`. Takes names; knows no shapes.
"""

import re
from collections.abc import Hashable, Iterable, Mapping

from cnnc.weights.layers import Layer

SHORTCUT = ("downsample", "shortcut", "short", "skip", "identity", "idmapping")
FAMILIES = (
    SHORTCUT,
    ("q", "query", "wq"),
    ("k", "key", "wk"),
    ("v", "value", "wv"),
    ("dw", "dwconv", "depthwise"),
    ("pw", "pwconv", "pointwise"),
    ("se", "squeeze", "excite", "excitation"),
    ("aux", "auxlogits", "auxiliary"),
)
"""Words that separate layers of equal shapes. The layers of a family have the same place in every network."""

SAME = {
    **{word: family[0] for family in FAMILIES for word in family},
    **dict.fromkeys(("norm", "batchnorm", "bnorm", "batch_norm"), "bn"),
    **dict.fromkeys(("conv2d", "convolution", "convolutional"), "conv"),
    **dict.fromkeys(("stage", "stages", "layers", "blocks", "block"), "layer"),
    **dict.fromkeys(("linear", "dense", "head", "classifier", "logits", "predictions", "probs", "output"), "fc"),
}
"""One spelling for words that different libraries use for the same."""

_KERAS_SHORTCUT = re.compile(r"(block\d+)_0_(?=conv|bn)")  # of its residual networks
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def words(name: str) -> list[str]:
    """Return the words and numbers of a name, in lower case: `Mixed_5b.branch1x1` is mixed, 5, b, branch, 1, x, 1."""
    name = _KERAS_SHORTCUT.sub(r"\1_shortcut_", name)
    name = re.sub("conv2d", "conv", re.sub("batch_?norm", "bn", name, flags=re.IGNORECASE), flags=re.IGNORECASE)
    return [word.lower() for word in _WORD.findall(name)]


def plain(name: str) -> str:
    """Return a name in the spelling of SAME."""
    return " ".join(SAME.get(word, word) for word in words(name))


def bare(name: str) -> str:
    """Return a name without the words for a kind of layer: the same for `conv2_block1_1_conv` and its `_bn`."""
    return " ".join(word for word in plain(name).split() if word not in ("conv", "bn"))


def is_norm(layer: Layer) -> bool:
    """Return whether a layer is a batch norm."""
    return "running_mean" in layer.keys


def marked(layers: Iterable[Layer], family: Iterable[str]) -> Mapping[str, Hashable]:
    """Return, for each layer, whether its name contains a word of the family."""
    return {each.name: not {*words(each.name)}.isdisjoint(family) for each in layers}
