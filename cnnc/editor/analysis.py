"""The result of a check of one version of a file, shared by all features.

The shapes come first: `Analysis` infers the network, also of a text with errors as far as it can be read. The search
for the causes of errors, which takes longer, waits until the diagnostics are requested.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from cnnc.checking import Proved, complete, prove_values
from cnnc.diagnostics import CnncError, Diagnostic, Source
from cnnc.diagnostics.collector import Collector, Enough
from cnnc.diagnostics.levels import Levels
from cnnc.editor.documents import Documents, real
from cnnc.editor.tolerant import read_tolerantly
from cnnc.graph.graph import Graph
from cnnc.text.find_specs import has_spec_keys
from cnnc.text.reader import parse_text
from cnnc.text.source import Read, decode
from cnnc.text.value import Value

NOTHING = Proved(None, None, {})


class Analysis:
    """A file in one version, its network as far as it is known, and its diagnostics."""

    def __init__(self, source: Source, read: Read, levels: Levels) -> None:
        self.source = source
        self.read: dict[str, str | None] = {}  # the texts of the files that it uses; None if one cannot be read
        self.is_spec = has_spec_keys(source.text)
        self._collector = Collector(levels)
        self._strict = True

        def noting(path: Path) -> Source:
            self.read[real(path)] = None
            found = read(path)
            self.read[real(path)] = found.text
            return found

        self._proved = self._prove(noting) if self.is_spec else NOTHING

    def _prove(self, read: Read) -> Proved:
        try:
            root = parse_text(decode(self.source.name, self.source.text.encode("utf-8", "replace")))
        except CnncError as error:
            self._collector.add_all(error.diagnostics)
            self._strict = False
            found = read_tolerantly(self.source)
            return NOTHING if found is None else _proved(self.source, found, Collector(Levels()), read)
        return _proved(self.source, root, self._collector, read)

    @property
    def graph(self) -> Graph | None:
        """The network, without the nodes that could not be proved."""
        return self._proved.graph

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All diagnostics, with causes; also those about the files that it uses."""
        if self._strict:
            with suppress(Enough):
                complete(self._proved, self._collector)
        return self._collector.in_order(self.source.name)


def _proved(source: Source, root: Value, collector: Collector, read: Read) -> Proved:
    try:
        return prove_values(source, root, {}, collector, read)
    except CnncError as error:
        collector.add_all(error.diagnostics)
    except Enough:
        pass
    return NOTHING


class Analyses:
    """The analyses of all files, each kept until the file or one that it uses changes."""

    def __init__(self, documents: Documents, levels_of: Callable[[str], Levels]) -> None:
        self.documents, self._levels_of = documents, levels_of
        self._known: dict[str, Analysis] = {}

    def of(self, key: str) -> Analysis:
        """The analysis of a file."""
        try:
            source = self.documents.source(key)
        except CnncError:
            source = Source(key, "")
        known = self._known.get(key)
        if known is None or known.source is not source or self._outdated(known):
            known = self._known[key] = Analysis(source, self.documents.read, self._levels_of(source.name))
        return known

    def _outdated(self, known: Analysis) -> bool:
        return any(self._text(key) != text for key, text in known.read.items())

    def _text(self, key: str) -> str | None:
        try:
            return self.documents.source(key).text
        except CnncError:
            return None

    def forget(self, key: str) -> None:
        """Forget a closed file."""
        self._known.pop(key, None)
