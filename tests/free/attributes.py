"""Random attributes of any op, by its own class: the fields, their types and their bounds. No op is known by name.

In: an op's class and sizes that stand near. Out: plain values, of which most fit and a few lie on a bound or behind it.
"""

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from pydantic import BaseModel

from cnnc.ops.activation_names import ACTIVATIONS

Schema = dict[str, Any]
Near = tuple[int, ...]  # sizes of the values that an op could take: what fits is often one of them, or divides one

OPTIONAL = 0.3  # the share of attributes that are given though they need not be
STRANGE = 0.03  # the share of numbers that are drawn from the far ends of what a field takes

SMALL = (1, 1, 1, 2, 2, 3, 4)
FAR_INTEGERS = (0, -1, 5, 7, 64, 255, 1024, 4096, 2**20, 2**31 - 1, 2**31, 2**63 - 1)
NUMBERS = (0, 1, 2, 0.5, 0.1, 0.25, 1.0, -1.0, -0.5, 1e-3, 1e-5, 3.0, 0.75)
FAR_NUMBERS = (-0.0, 1e-300, 5e-324, 1e-45, 1e-38, 1e-12, 0.9999999999, 1e4, 1e8, 1e20, 1e30, -1e30, 1e31, 1e300)


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON schema of an op or another part of a spec."""
    return model.model_json_schema()


def attributes(rng: Random, model: type[BaseModel], near: Near) -> dict[str, Any]:
    """What has to be given, and some of what may be."""
    schema = schema_of(model)
    required = schema.get("required", ())
    return {
        name: value(rng, field, near)
        for name, field in schema.get("properties", {}).items()
        if name in required or rng.random() < OPTIONAL
    }


def value(rng: Random, schema: Schema, near: Near) -> Any:
    """A value of that schema, or one that lies just outside of it."""
    if "anyOf" in schema:
        return value(rng, rng.choice(schema["anyOf"]), near)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    return KINDS[schema["type"]](rng, schema, near)


def integer(rng: Random, near: Near) -> int:
    """A small integer, a size that stands near, or a divisor of one."""
    size = rng.choice(near) if near else 1
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(SMALL)
    if kind < 0.8:
        return rng.choice(_divisors(size))
    return max(0, size + rng.choice((0, 0, 0, 1, -1)))


def _integer(rng: Random, schema: Schema, near: Near) -> int:
    if rng.random() >= STRANGE:
        return integer(rng, near)
    ends = [
        schema[key] + by for key in ("minimum", "maximum", "exclusiveMaximum") if key in schema for by in (-1, 0, 1)
    ]
    return rng.choice([*ends, *FAR_INTEGERS])


def _number(rng: Random, schema: Schema, near: Near) -> float:
    if rng.random() >= STRANGE:
        return rng.choice(NUMBERS)
    keys = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return rng.choice([*(schema[key] for key in keys if key in schema), *FAR_NUMBERS])


def _array(rng: Random, schema: Schema, near: Near) -> list[Any]:
    if "prefixItems" in schema:
        return [value(rng, each, near) for each in schema["prefixItems"]]
    if schema["items"].get("type") != "integer":
        return [value(rng, schema["items"], near) for _ in range(rng.randrange(4))]
    return rng.choice((_order, _parts, _factors, _few))(rng, near)


def _object(rng: Random, schema: Schema, near: Near) -> dict[str, Any]:
    return {rng.choice(ACTIVATIONS): value(rng, schema["additionalProperties"], near) for _ in range(rng.randrange(3))}


def _order(rng: Random, near: Near) -> list[int]:
    """The numbers below a small one, each once."""
    count = rng.randint(1, 4)
    return rng.sample(range(count), count)


def _parts(rng: Random, near: Near) -> list[int]:
    """Numbers that add up to a size."""
    left = rng.choice(near or (3,))
    parts: list[int] = []
    while left > 1 and len(parts) < 3 and rng.random() < 0.7:
        parts.append(rng.randint(1, min(left - 1, 2**20)))
        left -= parts[-1]
    return [*parts, left]


def _factors(rng: Random, near: Near) -> list[int]:
    """Numbers whose product is one of several sizes, or a -1 for one of them."""
    product = 1
    for _ in range(rng.randint(1, 3)):
        product *= rng.choice(near or (2,))
    factors = []
    for _ in range(rng.randrange(5)):
        factors.append(rng.choice(_divisors(product)))
        product //= factors[-1]
    factors.append(product)
    rng.shuffle(factors)
    if rng.random() < 0.4:
        factors[rng.randrange(len(factors))] = -1
    return factors


def _few(rng: Random, near: Near) -> list[int]:
    return [rng.choice((0, 0, 1, 1, 2, 3)) for _ in range(rng.choice((1, 2, 4, 4)))]


@cache
def _divisors(size: int) -> tuple[int, ...]:
    return tuple(each for each in range(1, min(size, 1000) + 1) if size % each == 0) or (1,)


KINDS: dict[str, Callable[[Random, Schema, Near], Any]] = {
    "boolean": lambda rng, schema, near: rng.random() < 0.5,
    "integer": _integer,
    "number": _number,
    "string": lambda rng, schema, near: rng.choice(ACTIVATIONS),
    "array": _array,
    "object": _object,
    "null": lambda rng, schema, near: None,
}
