"""The names of the activations: what `act` and `activation: {kind: …}` take."""

from cnnc.ops.registry import FAMILIES

ACTIVATIONS = tuple(name for name in FAMILIES["activation"] if name != "activation")
