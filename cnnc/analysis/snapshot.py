"""Snapshots of networks: the shapes, parameters and MACs of several specs in one file, to see in a review what changed.

A snapshot is JSON with one line per node, input and output, so that git merges it and shows changes by lines; JSON
because it needs no limits and no rules of quoting, and other programs read it. Paths of specs are relative to the
folder of the snapshot. Files with only blocks have no entry.
"""

import json
import os
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from cnnc.analysis.cost import totals
from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, counted
from cnnc.diagnostics.render import visible
from cnnc.graph.graph import Graph

VERSION = 1
LIMIT = 1 << 28  # bytes
MOST = 40  # lines of a difference
Shape = list[int | None]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NodeEntry(_Part):
    """A node; MACs and sizes are None if they are unknown until run time."""

    op: str
    shapes: list[Shape]
    params: int
    macs: int | None


class NetworkEntry(_Part):
    """A network."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    params: int
    macs: int | None
    nodes: dict[str, NodeEntry]

    def lines(self) -> list[str]:
        """The network as lines for people."""
        inputs = [f"input {name}: {_shape(shape)}" for name, shape in self.inputs.items()]
        nodes = [
            f"{name}: {node.op}, {', '.join(map(_shape, node.shapes))}{_costs(node.params, node.macs)}"
            for name, node in self.nodes.items()
        ]
        outputs = [f"output {name}: {_shape(shape)}" for name, shape in self.outputs.items()]
        return [*inputs, *nodes, *outputs, f"total{_costs(self.params, self.macs)}"]


class _File(_Part):
    cnnc_snapshot: Literal[1]
    specs: dict[str, NetworkEntry]


class Snapshot(NamedTuple):
    """A snapshot file and its networks, by the paths of their specs relative to its folder."""

    path: Path
    specs: Mapping[str, NetworkEntry]

    def name_of(self, spec: str) -> str:
        """The path of a spec as the snapshot has it; an absolute one if it is on another drive."""
        try:
            return Path(os.path.relpath(spec, self.path.parent)).as_posix()
        except ValueError:
            return Path(spec).absolute().as_posix()

    def text(self) -> str:
        """The content of the file."""
        specs = ",\n".join(f"  {json.dumps(name)}: {_json(self.specs[name])}" for name in sorted(self.specs))
        return f'{{\n "cnnc_snapshot": {VERSION},\n "specs": {{\n{specs}\n }}\n}}\n'

    def difference(self, spec: str, graph: Graph) -> Diagnostic | None:
        """E412 if the network of a spec is not the one of the snapshot."""
        old, new = self.specs.get(self.name_of(spec)), entry(graph)
        if old == new:
            return None
        first = graph.nodes[0]
        notes: tuple[Note, ...] = ()
        if old is None:
            message = f"{visible(spec)} is not in {self.path}"
        else:
            message, notes = f"the network is not the one in {self.path}", _changes(old, new)
            first = next((node for node in graph.nodes if old.nodes.get(node.path) != new.nodes[node.path]), first)
        return Diagnostic(Code.SNAPSHOT_DIFFERS, message, first.span, notes=notes, help=self._way_out)

    def vanished(self) -> Iterator[tuple[str, Diagnostic]]:
        """Yield the specs of the snapshot whose files are gone, each with E412."""
        for name in self.specs:
            path = str(self.path.parent / name)
            if not os.path.exists(path):
                message = f"{visible(name)} is in {self.path}, but there is no such file"
                yield path, Diagnostic(Code.SNAPSHOT_DIFFERS, message, help=self._way_out)

    def emptied(self, spec: str) -> Diagnostic | None:
        """E412 if the snapshot has a network of a file that has none now."""
        if self.name_of(spec) not in self.specs:
            return None
        message = f"{visible(spec)} has a network in {self.path}, but has only blocks now"
        return Diagnostic(Code.SNAPSHOT_DIFFERS, message, help=self._way_out)

    @property
    def _way_out(self) -> str:
        return f"if this is intended, write the snapshot again: `cnnc check … --snapshot {self.path}`"


def entry(graph: Graph) -> NetworkEntry:
    """Return the entry of a network."""
    sums = totals(graph)
    return NetworkEntry(
        inputs={each.name: list(each.type.shape) for each in graph.inputs},
        outputs={each.name: list(graph.type_of(each.ref).shape) for each in graph.outputs},
        params=sums.params,
        macs=sums.macs,
        nodes={
            node.path: NodeEntry(
                op=node.op.name,
                shapes=[list(each.shape) for each in node.outputs],
                params=node.cost.params,
                macs=node.cost.macs,
            )
            for node in graph.nodes
        },
    )


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot; raises CnncError (E413) if the file is none, or of another version."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(LIMIT))
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}", "check the path") from None
    except (ValueError, RecursionError):
        raise _refused(f"{path} is not JSON, so it is no snapshot") from None
    version = data.get("cnnc_snapshot") if isinstance(data, dict) else None
    if version != VERSION:
        message = f"{path} has no `cnnc_snapshot: {VERSION}`, got {json.dumps(version)}"
        raise _refused(message if isinstance(version, int | None) else f"{path} is no snapshot")
    try:
        return Snapshot(path, _File.model_validate(data).specs)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise _refused(f"{path} is damaged at {visible(place)}: {error.errors()[0]['msg']}") from None


def _refused(message: str, help: str = "write it again with `cnnc check … --snapshot FILE`") -> CnncError:
    return CnncError.of(Code.BAD_SNAPSHOT, message, help=help)


def _json(of: NetworkEntry) -> str:
    """Return an entry as JSON, one line per part."""
    parts = []
    for key, value in of.model_dump().items():
        if isinstance(value, dict):
            written = [f"    {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items()]
            parts.append("\n".join([f'   "{key}": {{', ",\n".join(written), "   }"]))
        else:
            parts.append(f'   "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n  }"


def _changes(old: NetworkEntry, new: NetworkEntry) -> tuple[Note, ...]:
    """Return the lines that differ, as in a diff."""
    lines = list(unified_diff(old.lines(), new.lines(), n=0, lineterm=""))[2:]
    lines = [visible(f"{line[0]} {line[1:]}") for line in lines if not line.startswith("@@")]
    more = [f"and {counted(len(lines) - MOST, 'more line')}"] if len(lines) > MOST else []
    return tuple(Note(line) for line in [*lines[:MOST], *more])


def _shape(shape: Shape) -> str:
    return "×".join("?" if size is None else str(size) for size in shape)


def _costs(params: int, macs: int | None) -> str:
    known = "" if macs == 0 else f", {'?' if macs is None else f'{macs:,}'} MACs"
    return (f", {counted(params, 'parameter')}" if params else "") + known
