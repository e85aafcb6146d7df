"""The names of the activations: what `act` and `activation: {kind: …}` take."""

ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "elu",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "gelu",
    "silu",
    "hardswish",
    "hardsigmoid",
    "mish",
)
