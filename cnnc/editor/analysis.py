"""The result of a check of one version of a file, shared by all features.

The shapes come first: `Analysis` infers the network, also of a text with errors as far as it can be read. The search
for the causes of errors, which takes longer, waits until the diagnostics are requested.
"""

from contextlib import suppress
from functools import cached_property
from pathlib import Path

from cnnc.checking import Proved, complete, prove_values
from cnnc.diagnostics import CnncError, Diagnostic, Source
from cnnc.diagnostics.collector import Collector, Enough
from cnnc.diagnostics.levels import Levels
from cnnc.editor.documents import Contents, Documents, project, real
from cnnc.graph.graph import Graph
from cnnc.text.find_specs import has_spec_keys
from cnnc.text.source import Read

NOTHING = Proved(None, None, {})


class Analysis:
    """A file in one version, its network as far as it is known, and its diagnostics."""

    def __init__(self, contents: Contents, read: Read, levels: Levels) -> None:
        self.contents, self.levels = contents, levels
        self.read: dict[str, str | None] = {}  # the texts of the files that it uses; None if one cannot be read
        self._collector = Collector(levels)
        self._proved = NOTHING

        def noting(path: Path) -> Source:
            self.read[real(path)] = None
            found = read(path)
            self.read[real(path)] = found.text
            return found

        if has_spec_keys(contents.source.text):
            self._collector.add_all(contents.faults)
            self._proved = self._prove(noting)

    def _prove(self, read: Read) -> Proved:
        """Infer the network; errors that may follow from those of the text are not reported."""
        source, root, _, faults = self.contents
        collector = Collector(Levels()) if faults else self._collector
        try:
            return NOTHING if root is None else prove_values(source, root, {}, collector, read)
        except CnncError as error:
            collector.add_all(error.diagnostics)
        except Enough:  # as many errors are reported as one run reports
            pass
        return NOTHING

    @property
    def graph(self) -> Graph | None:
        """The network, without the nodes that could not be proved."""
        return self._proved.graph

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All diagnostics, with causes; also those about the files that it uses."""
        if not self.contents.faults:
            with suppress(Enough):
                complete(self._proved, self._collector)
        return self._collector.in_order(self.contents.source.name)


class Analyses:
    """The analyses of all files, each kept until the file, one that it uses, or the project changes."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self._known: dict[str, Analysis] = {}

    def of(self, key: str) -> Analysis:
        """The analysis of a file."""
        contents, known = self.documents.contents(key), self._known.get(key)
        levels = project(contents.source.name).levels
        if known is None or known.contents is not contents or known.levels != levels or self._outdated(known):
            known = self._known[key] = Analysis(contents, self.documents.read, levels)
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
