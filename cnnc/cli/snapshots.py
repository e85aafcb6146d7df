"""`cnnc check --snapshot FILE` and `--against FILE`: write what the networks of specs are, or compare them with it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cnnc.analysis.snapshot import NetworkEntry, Snapshot, entry, read_snapshot
from cnnc.cli.parser import WrongCall
from cnnc.compiler import Checked
from cnnc.diagnostics import counted
from cnnc.diagnostics.render import visible
from cnnc.files.write import write_file
from cnnc.text.source import ReadSpec

Check = Callable[[ReadSpec], Checked]


class Snapshots:
    """The snapshot that is written, and the one that the networks are compared with.

    Raises WrongCall for standard input, which has no path, and E413 if the other snapshot cannot be read.
    """

    def __init__(self, to_write: str | None, against: str | None, paths: Sequence[str]) -> None:
        if to_write and against:
            raise WrongCall("--snapshot and --against cannot be used together")
        if "-" in paths:
            raise WrongCall("a snapshot has the paths of specs: standard input (-) has none")
        self._to_write = Path(to_write) if to_write else None
        self._against = read_snapshot(Path(against)) if against else None
        self._entries: dict[str, NetworkEntry] = {}
        self._wrong = 0

    def vanished(self) -> dict[str, Check]:
        """Return the results for specs that are in the snapshot, but whose files are gone."""
        found = self._against.vanished() if self._against else ()
        return {path: partial(_given, Checked(path, None, (fault,))) for path, fault in found}

    def compared(self, check: Check) -> Check:
        """Return a check that adds what differs from the snapshot to its result."""
        return lambda read: self._seen(check(read))

    def _seen(self, checked: Checked) -> Checked:
        self._wrong += not checked.ok
        if not checked.ok:
            return checked
        if self._to_write and checked.graph:
            name = Snapshot(self._to_write, {}).name_of(checked.path)
            self._entries[name] = entry(checked.graph)
        difference = None
        if self._against:
            graph = checked.graph
            difference = self._against.difference(checked.path, graph) if graph else self._against.emptied(checked.path)
        return replace(checked, diagnostics=(*checked.diagnostics, difference)) if difference else checked

    def write(self) -> None:
        """Write the snapshot, unless a spec is wrong; raises E405."""
        if self._to_write is None:
            return
        path = visible(str(self._to_write))
        if self._wrong:
            print(f"{path} is not written: {counted(self._wrong, 'spec')} cannot be in it", file=sys.stderr)
            return
        write_file(self._to_write, Snapshot(self._to_write, self._entries).text().encode())
        print(f"wrote {path}: {counted(len(self._entries), 'network')}", file=sys.stderr)


def _given(checked: Checked, _: ReadSpec) -> Checked:
    return checked
