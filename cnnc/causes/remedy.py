"""A change of a spec that may mend a fault, in words and as what is tried, and the words that all changes share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cnnc.expand.edits import NOTHING, Attributes, Edits
from cnnc.expand.infer_node import Refused
from cnnc.ops.types import TensorType


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change in words, and as edits to try. `kept` is a node or an input that must still be used after it.

    `choices` are the single changes of a text that offers several. `moves` tells that a node moves, for which
    the edits are only a trial.
    """

    text: str
    edits: Edits = field(default_factory=lambda: NOTHING)
    inputs: Mapping[str, TensorType] | None = None
    kept: str | None = None
    choices: tuple["Remedy", ...] = ()
    moves: bool = False


def line(node: Refused) -> str:
    """Return the name of a node's line in the spec, which all its repetitions share."""
    name, _, last = node.path.rpartition(".")
    return name if node.scope and last.isdecimal() and len(name) > len(node.scope.path) else node.path


def pair(sizes: list[int]) -> int | list[int]:
    """Return two sizes as a spec writes them: equal ones as a single number."""
    return sizes[0] if len(set(sizes)) == 1 else sizes


def written(op: str, attributes: Attributes) -> str:
    """Return a node as a spec writes it, in YAML's flow style."""
    inside = ", ".join(f"{key}: {value}" for key, value in attributes.items())
    return f"`{op}: {{{inside}}}`" if inside else f"`{op}`"


def listed(names: list[str]) -> str:
    """Return names as part of a sentence."""
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
