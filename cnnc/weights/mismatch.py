"""What differs between the tensors of a weights file and those of a network, as the error E401.

Takes the keys and shapes of both; the way out comes from the caller, or is that of the file alone.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from cnnc.diagnostics import CnncError, Code, Note
from cnnc.weights.layers import COUNTER, squeezed

Shapes = Mapping[str, tuple[int, ...]]

SHOWN = 10
MOST = 2000  # keys among which a close match is searched, which is slow


@dataclass(frozen=True)
class Mismatch:
    """The shapes in a file (after `key`, if one of several state_dicts is chosen) and those that are expected."""

    path: Path
    key: str | None
    found: Shapes
    expected: Shapes

    @cached_property
    def missing(self) -> list[str]:
        """The keys that only the network has."""
        return [name for name in self.expected if name not in self.found]

    @cached_property
    def unexpected(self) -> list[str]:
        """The keys that only the file has."""
        return [name for name in self.found if name not in self.expected]

    @cached_property
    def misshapen(self) -> list[str]:
        """The keys whose shapes differ."""
        return [name for name in self.expected if name in self.found and self.found[name] != self.expected[name]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    @cached_property
    def renamed(self) -> bool:
        """Whether the file has tensors of all the shapes, so that only their names may differ."""
        needed, there = (
            Counter(squeezed(shape) for name, shape in shapes.items() if COUNTER not in name)
            for shapes in (self.expected, self.found)
        )
        return needed <= there

    def error(self, advise: "Advise") -> CnncError:
        """Return E401; `advise` is asked for its help first, unless only names differ."""
        counts = [(self.missing, "missing"), (self.unexpected, "unexpected"), (self.misshapen, "misshapen")]
        summary = ", ".join(f"{len(keys)} {what}" for keys, what in counts if keys)
        return CnncError.of(
            Code.WEIGHTS_MISMATCH,
            f"{self.path} does not fit this network: of {len(self.expected)} keys expected, {summary}",
            notes=(*_notes("missing", self.missing, self._missing), *self._others()),
            help=(None if self.renamed else advise(self)) or self._way_out(),
        )

    def _others(self) -> Iterator[Note]:
        yield from _notes("unexpected", self.unexpected, lambda name: f"{name} {size(self.found[name])}")
        yield from _notes("misshapen", self.misshapen, self._misshapen)

    def _missing(self, name: str) -> str:
        match = get_close_matches(name, self.unexpected[:MOST], 1, 0.8)
        near = f" (the file has `{match[0]}`)" if match else ""
        return f"{name} {size(self.expected[name])}{near}"

    def _misshapen(self, name: str) -> str:
        return f"{name} is {size(self.found[name])}, the spec has {size(self.expected[name])}"

    def _way_out(self) -> str:
        if self.renamed:
            map = f"`cnnc weights SPEC {self.path}{f' --key {self.key}' if self.key else ''} -o map.yaml`"
            return f"the file has tensors of all these shapes: {map} proposes a map for `--map map.yaml`"
        return (
            "check that these weights belong to this network and its `params`; keys are the paths of the spec's nodes"
        )


Advise = Callable[[Mismatch], str | None]


def _notes(what: str, names: list[str], describe: Callable[[str], str]) -> Iterator[Note]:
    yield from (Note(f"{what}: {describe(name)}") for name in names[:SHOWN])
    if len(names) > SHOWN:
        yield Note(f"{what}: … and {len(names) - SHOWN} more")


def size(shape: tuple[int, ...]) -> str:
    """Return a shape as shown in messages."""
    return "×".join(map(str, shape)) or "scalar"
