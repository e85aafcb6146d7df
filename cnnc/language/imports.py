"""Reads the files that `use` names, from the spec's folder and below.

Takes the spec's source and its list of paths; returns all blocks that these files define or use in turn. A used file
has blocks and no nodes. Paths are relative to the file that names them.
"""

from collections.abc import Mapping
from dataclasses import replace
from os.path import realpath
from pathlib import Path

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Report, Source, Span
from cnnc.language.allow import read_allow
from cnnc.language.model import Block, Library
from cnnc.language.nodes import given_twice, read_blocks
from cnnc.language.validate import salvage, show
from cnnc.language.version import check_version
from cnnc.text.reader import parse_text
from cnnc.text.source import LIMIT, Read, read
from cnnc.text.value import Value

MAX_FILES = 100


def used_blocks(source: Source, use: Value, report: Report, read: Read = read) -> dict[str, Block]:
    """The blocks of the files that `use` names, and of those that they use; `read` reads a file."""
    home = Path(source.name).parent
    if source.name.startswith("<"):
        report(
            _refusal(
                f"a spec from {source.name} has no folder, so `use` finds no files",
                use.span,
                "write the spec to a file",
            )
        )
        return {}
    return _Loader(_real(home), report, read).load(home, use, {_real(Path(source.name)): None})


def _real(path: Path) -> Path:
    """The path with links resolved; keeps a circular link, for which `Path.resolve` would raise."""
    return Path(realpath(path))


class _Loader:
    """Reads each file once; `trail` holds the files that led to it, each with the span of its entry in `use`."""

    def __init__(self, root: Path, report: Report, read: Read) -> None:
        self.root, self.report, self.read = root, report, read
        self.blocks: dict[str, Block] = {}
        self.done: set[Path] = set()
        self.length = 0  # of all files read, in characters

    def load(self, folder: Path, use: Value, trail: Mapping[Path, Span | None]) -> dict[str, Block]:
        if not isinstance(use.data, tuple):
            self.report(_refusal("`use` must be a list of paths", use.span, "write `use: [blocks/resnet.yaml]`"))
            return {}
        for item in use.data:
            path = self._resolve(folder, item)
            if path is None:
                continue
            real = _real(path)
            if real in trail:
                notes = tuple(Note("used here", span) for span in trail.values() if span)
                self.report(
                    Diagnostic(
                        Code.BAD_USE,
                        f"`use` forms a cycle: {path} uses itself",
                        item.span,
                        notes=notes,
                        help="move the shared blocks to a third file",
                    )
                )
            elif real not in self.done:
                self.done.add(real)
                if len(self.done) > MAX_FILES:
                    message = f"the spec uses more than {MAX_FILES} files"
                    self.report(_refusal(message, item.span, "merge some of the files"))
                    break
                self._read(path, item.span, {**trail, real: item.span})
        return self.blocks

    def _resolve(self, folder: Path, item: Value) -> Path | None:
        """The file that an entry names; None, after reporting, if it may not be read."""
        if not isinstance(item.data, str) or not item.data or "\0" in item.data:
            message = f"an entry of `use` must be a path, got {show(item.plain())}"
            self.report(_refusal(message, item.span, "for example `blocks/resnet.yaml`"))
            return None
        path = folder / item.data
        parts = Path(item.data).parts
        inside = _real(path).is_relative_to(self.root)
        if Path(item.data).is_absolute() or ".." in parts or not inside:
            plain = Path(item.data).is_absolute() or ".." in parts
            message = f"`{item.data}` is not below the folder of the spec"
            if not plain:
                message = f"`{item.data}` is a link to a file outside the folder of the spec"
            way_out = "move the file to the folder of the spec or below it, and write its relative path"
            self.report(_refusal(message, item.span, way_out))
            return None
        return path

    def _within_bounds(self, source: Source) -> Source:
        """The file; raises E102 if the total size of all used files exceeds the limit of one file."""
        self.length += len(source.text)
        if self.length > LIMIT:
            message = f"the files that this spec uses are larger than {LIMIT:,} bytes in total"
            raise CnncError.of(Code.TOO_LARGE, message, help="use only the files whose blocks the spec needs")
        return source

    def _read(self, path: Path, span: Span, trail: Mapping[Path, Span | None]) -> None:
        try:
            source = self._within_bounds(self.read(path))
            root = parse_text(source)
        except CnncError as error:
            for each in error.diagnostics:
                notes = (*each.notes, Note("the file is used here", span)) if each.span else each.notes
                self.report(replace(each, span=each.span or span, notes=notes))
            return
        library = salvage(Library, root, "a file of blocks", self.report)
        if library is None or not check_version(library.cnnc, root, self.report):
            return
        allow = read_allow(library.allow, self.report)
        for name, block in read_blocks(library.blocks, self.report).items():
            if name in self.blocks:
                other = self.blocks[name].span
                self.report(given_twice(name, block.span, other))
            self.blocks[name] = block._replace(allow=(*block.allow, *allow)) if allow else block
        if library.use:
            self.load(path.parent, library.use, trail)


def _refusal(message: str, span: Span, help: str) -> Diagnostic:
    return Diagnostic(Code.BAD_USE, message, span, help=help)
