"""The passes from the proved graph to its ONNX file, in order."""

from collections.abc import Callable

from cnnc.passes.drop_identities import drop_identities
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.fold_batch_norm import fold_batch_norm
from cnnc.passes.network import Network
from cnnc.passes.shield_pads import shield_pads

Pass = Callable[[Network], Network]

PIPELINE: tuple[Pass, ...] = (
    drop_train_only,
    drop_identities,  # before folding, which a dropout between a layer and its norm would prevent
    fold_batch_norm,
    shield_pads,  # after all passes that can move a pad before a pool
)

NAMES = tuple(each.__name__ for each in PIPELINE)


def run(network: Network, after: Callable[[str, Network], None] | None = None) -> Network:
    """Apply every pass, and call `after` with its name and the network after each."""
    for each in PIPELINE:
        network = each(network)
        if after:
            after(each.__name__, network)
    return network
