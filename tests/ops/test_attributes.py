"""The normal forms of attributes, and that a schema can be made of every op's."""

from inspect import signature
from typing import Any

import pytest
import torch

from cnnc.ops import registry

NORMAL: list[tuple[str, dict[str, Any], str, Any]] = [
    ("conv", {"out": 4, "kernel": 3}, "kernel", (3, 3)),
    ("conv", {"out": 4, "kernel": [3, 5]}, "kernel", (3, 5)),
    ("conv", {"out": 4, "kernel": 3, "padding": 1}, "padding", (1, 1, 1, 1)),
    ("conv", {"out": 4, "kernel": 3, "padding": [1, 2]}, "padding", (1, 2, 1, 2)),
    ("conv", {"out": 4, "kernel": 3, "padding": [1, 2, 3, 4]}, "padding", (1, 2, 3, 4)),
    ("conv", {"out": 4, "kernel": 3, "padding": "same"}, "padding", "same"),
    ("max_pool", {"kernel": 3}, "stride", None),
    ("max_pool", {"kernel": 3, "stride": None}, "stride", None),
    ("max_pool", {"kernel": 3, "stride": 2}, "stride", (2, 2)),
    ("dropout", {"rate": 0}, "rate", 0.0),
    ("reshape", {"shape": [3, -1]}, "shape", (3, -1)),
]


@pytest.mark.parametrize(("op", "attributes", "name", "normal"), NORMAL)
def test_normal_forms(op: str, attributes: dict[str, Any], name: str, normal: Any):
    assert getattr(registry.get(op).model_validate(attributes), name) == normal


@pytest.mark.parametrize("name", registry.names())
def test_every_op_has_a_schema(name: str):
    schema = registry.get(name).model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema.get("properties", {})) == set(registry.get(name).model_fields)


def test_attributes_are_frozen() -> None:
    op = registry.get("conv").model_validate({"out": 4, "kernel": 3})
    with pytest.raises(ValueError, match="frozen"):
        op.out = 5  # type: ignore[attr-defined]


# op, torch's module, and what torch calls attributes that it has by another name
TORCH: list[tuple[str, str, dict[str, str]]] = [
    ("conv", "Conv2d", {}),
    ("conv_transpose", "ConvTranspose2d", {}),
    ("max_pool", "MaxPool2d", {"ceil": "ceil_mode"}),
    ("avg_pool", "AvgPool2d", {"ceil": "ceil_mode", "count_padding": "count_include_pad"}),
    ("batch_norm", "BatchNorm2d", {}),
    ("layer_norm", "LayerNorm", {"affine": "elementwise_affine"}),
    ("group_norm", "GroupNorm", {}),
    ("instance_norm", "InstanceNorm2d", {}),
    ("local_response_norm", "LocalResponseNorm", {}),
    ("linear", "Linear", {}),
    ("dropout", "Dropout", {"rate": "p"}),
    ("leaky_relu", "LeakyReLU", {"slope": "negative_slope"}),
    ("prelu", "PReLU", {"slope": "init"}),
    ("elu", "ELU", {}),
    ("gelu", "GELU", {}),
    ("upsample", "Upsample", {"factor": "scale_factor"}),
]
OURS = {
    ("dropout", "channels"),
    ("conv", "standardize"),
    ("conv", "eps"),
    ("layer_norm", "over"),
    ("prelu", "per_channel"),
    ("upsample", "align_corners"),
    ("upsample", "like"),
}


@pytest.mark.parametrize(("op", "module", "names"), TORCH)
def test_defaults_are_those_of_torch(op: str, module: str, names: dict[str, str]):
    theirs = signature(getattr(torch.nn, module)).parameters
    for attribute, field in registry.get(op).model_fields.items():
        if (op, attribute) in OURS or field.is_required():
            continue
        default = field.default if not isinstance(field.default, tuple) else field.default[0]
        assert default == theirs[names.get(attribute, attribute)].default, attribute
