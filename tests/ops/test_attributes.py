"""The normal forms of attributes, and that a schema can be made of every op's."""

from typing import Any

import pytest

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


def test_attributes_are_frozen():
    op = registry.get("conv").model_validate({"out": 4, "kernel": 3})
    with pytest.raises(ValueError, match="frozen"):
        op.out = 5  # type: ignore[attr-defined]
