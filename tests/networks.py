"""Small networks that the tests of targets and passes share: between them they have every kind of structure."""

from cnnc.compiler import load

RESIDUAL = {
    "params": {"channels": None, "stride": 1},
    "nodes": [
        {"conv": {"name": "conv1", "out": "$channels", "kernel": 3, "stride": "$stride", "padding": 1}},
        {"batch_norm": {"name": "bn1"}},
        "relu",
        {
            "conv": {
                "name": "shortcut",
                "from": "input",
                "out": "$channels",
                "kernel": 1,
                "stride": "$stride",
                "when": "$(stride != 1 or input.channels != channels)",
            }
        },
        {"add": {"from": ["relu", "shortcut"]}},
    ],
}


def residual():
    """Repeated blocks, a shortcut, a dropout, and a batch norm behind a linear layer."""
    return load(
        {
            "cnnc": 1,
            "name": "small",
            "input": {"image": [2, 9, 11]},
            "blocks": {"residual": RESIDUAL},
            "nodes": [
                {"conv": {"name": "stem", "out": 4, "kernel": 3, "padding": "same", "bias": False}},
                {"batch_norm": {"name": "norm"}},
                {"residual": {"name": "layer1", "repeat": 2, "channels": 4}},
                {"residual": {"name": "layer2", "repeat": 2, "channels": 6, "stride": "$(2 if i == 0 else 1)"}},
                "global_avg_pool",
                "flatten",
                {"linear": {"name": "hidden", "out": 5}},
                {"batch_norm": {"name": "last_norm"}},
                {"dropout": {"rate": 0.5}},
                {"linear": {"name": "head", "out": 3}},
            ],
        }
    )


def forked():
    """A block of two outputs and one of two inputs, a split, a learned scale, repeated plain ops, and two outputs."""
    return load(
        {
            "cnnc": 1,
            "name": "forked",
            "input": {"image": [2, 8, 8]},
            "blocks": {
                "halve": {
                    "nodes": [{"split": {"name": "halves", "parts": 2}}, {"scale": {"from": "halves.1"}}],
                    "outputs": {"a": "halves.0", "b": "scale"},
                },
                "mix": {
                    "inputs": ["p", "q"],
                    "nodes": [{"mul": {"from": ["p", "q"]}}, {"add": {"from": ["mul", "q"]}}],
                },
            },
            "nodes": [
                {"conv": {"name": "conv", "repeat": 2, "out": 4, "kernel": 3, "padding": [0, 1, 2, 1]}},
                {"halve": {"name": "fork"}},
                {"mix": {"from": ["fork.a", "fork.b"]}},
                {"relu": {"name": "left"}},
                {"tanh": {"name": "right", "from": "conv"}},
            ],
            "outputs": {"left": "left", "aux": {"from": "right", "only": "train"}},
        }
    )


def open_size():
    """Unknown height and width, and sizes that must be even."""
    return load(
        {
            "cnnc": 1,
            "name": "open",
            "input": {"image": [1, None, None]},
            "nodes": [
                {"conv": {"name": "down", "out": 3, "kernel": 2, "stride": 2}},
                {"conv_transpose": {"name": "up", "out": 1, "kernel": 2, "stride": 2}},
                {"add": {"name": "sum", "from": ["up", "image"]}},
            ],
        }
    )
