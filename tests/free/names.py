"""Names that a spec may give, those first that some part of a target uses for itself."""

import builtins
import keyword
from collections.abc import Collection
from random import Random

from cnnc.language.names import check_name
from cnnc.ops import registry

WORDS = (
    *(
        "x",
        "y",
        "F",
        "nn",
        "torch",
        "Tensor",
        "Module",
        "input",
        "output",
        "image",
        "batch",
        "height",
        "width",
        "shape",
    ),
    *("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "constant", "Identity", "Pad", "Concat"),
    *(
        "0",
        "1",
        "01",
        "10",
        "0x1F",
        "0o7",
        "1_000",
        "1e3",
        "_",
        "_0",
        "x_2",
        "relu_2",
        "conv_2",
        "conv_3",
        "identity_2",
    ),
    *("group", "each", "channels", "features", "i", "n", "k", "null", "true", "yes", "on", "NULL", "a" * 64, "A", "a"),
    *dir(builtins),
    *(f"{each}_" for each in keyword.kwlist),
    *registry.names(),
)


def may_be_given(name: str, what: str = "a node") -> bool:
    return check_name(name, None, lambda diagnostic: None, what)  # type: ignore[arg-type] # nobody sees the place


NODES = tuple(each for each in dict.fromkeys(WORDS) if may_be_given(each) and may_be_given(each, "an input"))
BLOCKS = tuple(each for each in NODES if each not in registry.names() and each not in ("group", "each"))
PARAMETERS = tuple(each for each in NODES if each not in ("i", "n", "name", "from", "when", "repeat"))


def fresh(rng: Random, taken: Collection[str], words: tuple[str, ...] = NODES) -> str:
    """A name that is not yet taken: plain, mostly."""
    while True:
        name = rng.choice(words) if rng.random() < 0.3 else f"{rng.choice('abcdefgh')}{rng.randrange(30)}"
        if name not in taken:
            return name
