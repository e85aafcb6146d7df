"""The names of the activations, what `act` and `activation: {kind: …}` take, and of the families that have them."""

from cnnc.ops.registry import FAMILIES

ACTIVATION_FAMILIES = ("rectifier", "activation", "softmax")
ACTIVATIONS = tuple(name for family in ACTIVATION_FAMILIES for name in FAMILIES[family] if name != "activation")
