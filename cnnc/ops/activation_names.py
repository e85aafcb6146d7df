"""The names that `act` and `activation: {kind: …}` accept, and the op families that define them."""

from cnnc.ops.registry import FAMILIES

ACTIVATION_FAMILIES = ("relu", "rectifier", "activation", "softmax")
ACTIVATIONS = tuple(name for family in ACTIVATION_FAMILIES for name in FAMILIES[family] if name != "activation")
