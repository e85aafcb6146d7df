"""The texts that the server reads: open files as the editor shows them, all others from the disk.

A file is known by the real path of its URI, so that links and different spellings of a path are one file.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pygls.uris import from_fs_path, to_fs_path

from cnnc.diagnostics import CnncError, Diagnostic, Source
from cnnc.editor.sections import Section, mapping, read_file
from cnnc.editor.tolerant import read_tolerantly
from cnnc.files.stamp import Stamp
from cnnc.project.settings import Project, project_of
from cnnc.text.find_specs import files_in
from cnnc.text.reader import parse_text
from cnnc.text.source import decode, read
from cnnc.text.value import Value

MOST_FOLDERS = 5000
MOST_FILES = 2000
"""How many folders of the workspace, and specs in them, a search for the users of a file looks at."""


class Contents(NamedTuple):
    """A text, its values as far as they could be read, its structure, and the errors of the text."""

    source: Source
    root: Value | None
    section: Section | None
    faults: tuple[Diagnostic, ...] = ()

    @classmethod
    def of(cls, source: Source) -> "Contents":
        """Read a text."""
        faults: tuple[Diagnostic, ...] = ()
        try:
            root: Value | None = parse_text(decode(source.name, source.text.encode("utf-8", "replace")))
        except CnncError as error:
            root, faults = read_tolerantly(source), error.diagnostics
        return cls(source, root, read_file(root) if root else None, faults)

    @property
    def used(self) -> list[Value]:
        """The entries of `use`."""
        use = mapping(self.root).get("use")
        entries = use.data if use is not None and isinstance(use.data, tuple) else ()
        return [each for each in entries if isinstance(each.data, str) and each.data and "\0" not in each.data]


class Documents:
    """All files of a session. A `key` is a file's real path, or `<URI>` for a text that is no file yet."""

    def __init__(self) -> None:
        self.uris: dict[str, str] = {}  # of the open files
        self._in_folders: list[str] = []
        self._open: dict[str, Source] = {}
        self._read: dict[str, tuple[Stamp, Source]] = {}
        self._contents: dict[str, Contents] = {}

    def open(self, uri: str, text: str) -> str:
        """Set the text of an open file, and return its key."""
        key = key_of(uri)
        self.uris[key] = uri
        self._open[key] = Source(to_fs_path(uri) or key, text.removeprefix("\ufeff"))
        return key

    def close(self, uri: str) -> str:
        """Forget an open file, and return its key."""
        key = key_of(uri)
        self._open.pop(key, None)
        self.uris.pop(key, None)
        return key

    def is_open(self, key: str) -> bool:
        """Whether the editor has opened a file."""
        return key in self._open

    def uri(self, key: str) -> str:
        """The URI of a file, as the editor spells it."""
        return self.uris.get(key) or from_fs_path(key) or key

    def source(self, key: str) -> Source:
        """The current text of a file; the same object as long as it has not changed. Raises CnncError."""
        return self._open.get(key) or self.read(Path(key))

    def read(self, path: Path) -> Source:
        """The current text of a file under the name `path`. Raises CnncError."""
        key = real(path)
        if key in self._open:
            opened = self._open[key]
            return opened if opened.name == str(path) else Source(str(path), opened.text)
        stamp = Stamp.of(key)
        if stamp is None:
            return read(path)  # raises the error
        known = self._read.get(key)
        if known is None or known[0] != stamp:
            known = self._read[key] = stamp, read(path)
        return known[1]

    def contents(self, key: str) -> Contents:
        """The values and structure of a file; empty if it cannot be read."""
        try:
            source = self.source(key)
        except CnncError:
            return Contents(Source(key, ""), None, None)
        known = self._contents.get(key)
        if known is None or known.source is not source:
            known = self._contents[key] = Contents.of(source)
        return known

    def used_by(self, key: str) -> Iterator[str]:
        """Yield the files that a file uses, and those that they use in turn."""
        found, left = {key}, [key]
        while left:
            at = left.pop()
            for entry in self.contents(at).used:
                used = real(Path(at).parent / str(entry.data))
                if used not in found and os.path.isfile(used):
                    found.add(used)
                    left.append(used)
                    yield used

    def users_of(self, keys: Iterable[str]) -> set[str]:
        """The files, open or in the workspace, that use one of these files."""
        wanted = set(keys)
        return {each for each in self.all_files() if each not in wanted and not wanted.isdisjoint(self.used_by(each))}

    def all_files(self) -> Iterator[str]:
        """Yield the open files, and those of the workspace that may `use` others."""
        yield from self._open
        for key in self._in_folders:
            with suppress(CnncError):  # it has been deleted
                if key not in self._open and "use" in self.source(key).text:
                    yield key

    def block(self, key: str, name: str) -> "tuple[str, Section] | None":
        """The file that defines a block which a file sees, and the block."""
        for file in (key, *self.used_by(key)):
            section = self.contents(file).section
            if section and name in section.blocks:
                return file, section.blocks[name]
        return None

    def blocks(self, key: str) -> dict[str, Section]:
        """All blocks that a file sees."""
        sections = [self.contents(file).section for file in (key, *self.used_by(key))]
        return {name: block for section in reversed(sections) if section for name, block in section.blocks.items()}

    def search(self, folders: Iterable[str]) -> None:
        """Find the specs in the folders of the workspace, without those that a project excludes."""
        found = (each for folder in folders for each in files_in(folder, most_folders=MOST_FOLDERS))
        settings = cache(lambda folder: project(str(folder / "spec.yaml")))  # one look-up for all files of a folder
        kept = (real(each) for each in found if not settings(each.parent).leaves_out(str(each)))
        self._in_folders = list(islice(kept, MOST_FILES))


def project(path: str) -> Project:
    """The project of a file; the usual settings if its table is wrong, which a check on the command line reports."""
    try:
        return project_of(path)
    except CnncError:
        return Project()


def key_of(uri: str) -> str:
    """The key of a URI."""
    path = to_fs_path(uri)
    return real(Path(path)) if path else f"<{uri}>"


def real(path: Path) -> str:
    """A path with links resolved, in the spelling of the system."""
    try:
        return os.path.normcase(os.path.realpath(path))
    except (OSError, ValueError):
        return str(path)
