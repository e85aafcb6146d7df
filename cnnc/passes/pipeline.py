"""The passes between the proved graph and its ONNX file, in their order."""

from collections.abc import Callable

from cnnc.passes.drop_identities import drop_identities
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.fold_batch_norm import fold_batch_norm
from cnnc.passes.network import Network
from cnnc.passes.shield_pads import shield_pads

Pass = Callable[[Network], Network]

PIPELINE: tuple[Pass, ...] = (
    drop_train_only,
    drop_identities,  # before the folding: a dropout between a layer and its norm is in the way
    fold_batch_norm,
    shield_pads,  # behind all that brings a pad before a pool
)

NAMES = tuple(each.__name__ for each in PIPELINE)


def run(network: Network, after: Callable[[str, Network], None] | None = None) -> Network:
    """Apply every pass; `after` sees the network behind each of them, under the pass's name."""
    for each in PIPELINE:
        network = each(network)
        if after:
            after(each.__name__, network)
    return network
