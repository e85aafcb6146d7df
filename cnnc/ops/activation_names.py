"""The names of the activations: what `act` and `activation: {kind: …}` take."""

from cnnc.ops.registry import FAMILIES

KINDS = ("rectifier", "activation", "softmax")
ACTIVATIONS = tuple(name for family in KINDS for name in FAMILIES[family] if name != "activation")
