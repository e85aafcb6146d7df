"""The structure of a file: its blocks and lists of nodes, with the names that each of them defines.

Takes the values of a file, which may be incomplete or wrong; returns the `Section` of the whole file, which holds those
of its blocks, groups and `each`. Anything that is not as it should be is skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cnnc.diagnostics import Span
from cnnc.ops import registry
from cnnc.text.value import Value

BODIES = ("group", "each")


@dataclass(eq=False, slots=True)
class WrittenNode:
    """A node, or an instance of a block, a group or an `each`, as it is written. `whole` is the place of all of it."""

    op: str
    span: Span
    whole: Span
    attributes: Value | None
    body: "Section | None" = None

    def get(self, key: str) -> Value | None:
        """An attribute."""
        data = self.attributes.data if self.attributes else None
        return data.get(key) if isinstance(data, dict) else None

    @property
    def given_name(self) -> Value | None:
        """The explicit name."""
        name = self.get("name")
        return name if name is not None and isinstance(name.data, str) else None


@dataclass(eq=False)
class Section:
    """A list of nodes with the names that it defines: a whole file, a block, a group or an `each`.

    `value` is its mapping, `path` its keys from the top of the file. A file has `blocks`, and the names that it `uses`.
    """

    kind: str
    name: str
    path: tuple[str | int, ...]
    value: Value
    around: "Section | None" = None
    params: dict[str, Span] = field(default_factory=dict)
    inputs: dict[str, Span] = field(default_factory=dict)
    entries: list[WrittenNode] = field(default_factory=list)
    blocks: dict[str, "Section"] = field(default_factory=dict)

    @property
    def owner(self) -> "Section":
        """The section whose names the nodes see: an `each` without a name adds none of its own."""
        nameless = self.kind == "each" and "name" not in mapping(self.value)
        return self.around.owner if nameless and self.around else self

    def param(self, name: str) -> "Section | None":
        """The section, this one or one around it, that defines a parameter."""
        if name in self.params:
            return self
        return self.around.param(name) if self.around else None

    @cached_property
    def names(self) -> dict[str, WrittenNode]:
        """The entries by name. Default names are those of a network in which every node is present."""
        entries = list(self.own_entries())
        given = {str(each.given_name.data): each for each in entries if each.given_name}
        found, counts = dict(given), dict[str, int]()
        for entry in entries:
            for op in (entry.op if "name" not in mapping(entry.attributes) else None, _act(entry)):
                while op:
                    counts[op] = counts.get(op, 0) + 1
                    name = op if counts[op] == 1 else f"{op}_{counts[op]}"
                    if name not in found:
                        found[name] = entry
                        break
        return found

    @cached_property
    def names_of(self) -> dict[int, list[str]]:
        """The names of each entry, by its id: its own, and that of the activation after it."""
        found: dict[int, list[str]] = {}
        for name, entry in self.names.items():
            found.setdefault(id(entry), []).append(name)
        return found

    def own_entries(self) -> Iterator[WrittenNode]:
        for entry in self.entries:
            if entry.op == "each" and entry.body and entry.body.owner is not entry.body:
                yield from entry.body.own_entries()
            else:
                yield entry

    def all_entries(self) -> Iterator[WrittenNode]:
        """Yield the entries of this section and of all in it."""
        for each in self.walk():
            yield from each.entries

    def walk(self) -> Iterator["Section"]:
        """Yield this section and all in it."""
        yield self
        for inner in (*self.blocks.values(), *(entry.body for entry in self.entries if entry.body)):
            yield from inner.walk()


def mapping(value: Value | None) -> Mapping[str, Value]:
    """The data of a mapping; empty for anything else."""
    return value.data if value is not None and isinstance(value.data, dict) else {}


def _act(entry: WrittenNode) -> str | None:
    act = entry.get("act") if registry.takes_act(entry.op) else None
    return act.data if act is not None and isinstance(act.data, str) else None


def read_file(root: Value) -> Section:
    """The section of a whole file."""
    section = _section("file", "", (), root, None)
    for key in ("input", "inputs"):
        section.inputs |= root.at(key).keys if key in mapping(root) else {}
    blocks = mapping(root).get("blocks")
    for name, body in mapping(blocks).items():
        section.blocks[name] = _section("block", name, ("blocks", name), body, None)
    return section


def _section(kind: str, name: str, path: tuple[str | int, ...], value: Value, around: Section | None) -> Section:
    section = Section(kind, name, path, value, around)
    keys = mapping(value)
    for key in ("params", "over"):
        section.params |= keys[key].keys if key in keys else {}
    if kind != "file":
        inputs = keys.get("inputs")
        listed = inputs.data if inputs is not None and isinstance(inputs.data, tuple) else ()
        section.inputs = {str(each.data): each.span for each in listed if isinstance(each.data, str)}
        if not section.inputs and section.owner is section:
            section.inputs = {"input": value.span}
    nodes = keys.get("nodes")
    for index, each in enumerate(nodes.data if nodes is not None and isinstance(nodes.data, tuple) else ()):
        entry = _entry(each, (*path, "nodes", index), section)
        if entry is not None:
            section.entries.append(entry)
    return section


def _entry(value: Value, path: tuple[str | int, ...], section: Section) -> WrittenNode | None:
    if isinstance(value.data, str):
        return WrittenNode(value.data, value.span, value.span, None)
    op = next(iter(mapping(value)), None)
    if op is None:
        return None
    attributes = mapping(value)[op]
    entry = WrittenNode(op, value.keys[op], value.span, attributes)
    if op in BODIES:
        entry.body = _section(op, op, (*path, op), attributes, section)
    return entry
