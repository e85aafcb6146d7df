"""Adds notes on possible causes elsewhere to an error: a value that the caller set, an input with its channels last.

Takes an error, and the parameters and inputs of the spec; passes on the error with a note for each possible cause.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cnnc.diagnostics import Code, Diagnostic, Note, Report
from cnnc.graph.graph import Input
from cnnc.language.validate import show
from cnnc.ops.types import CHANNELS, TensorType
from cnnc.text.value import Value

FEW_CHANNELS = 8  # a map with more channels, and as few columns as a picture has channels, likely has its channels last
OF_SHAPES = frozenset({Code.UNEQUAL_SHAPES, Code.WINDOW_MISFIT, Code.INDIVISIBLE})


class Hints:
    """Adds notes to diagnostics and passes them to `report`. `overrides` are the caller's values for `params`.

    `inputs` are those that have been read; None stands for one that is wrong.
    """

    def __init__(
        self,
        report: Report,
        params: Mapping[str, Value],
        overrides: Mapping[str, Value],
        inputs: Iterable[Input | None] = (),
    ) -> None:
        self.report, self.params, self.overrides, self.inputs = report, params, overrides, inputs

    def with_inputs(self, inputs: Iterable[Input | None]) -> "Hints":
        """The same hints, of a spec with these inputs."""
        return Hints(self.report, self.params, self.overrides, inputs)

    def __call__(self, fault: Diagnostic) -> None:
        notes = (*self._set(fault), *self._channels_last(fault))
        own = {note.span for note in notes}
        self.report(replace(fault, notes=(*(n for n in fault.notes if n.span not in own), *notes)) if notes else fault)

    def _set(self, fault: Diagnostic) -> Iterator[Note]:
        """Notes on the caller's values that the line of the error, or of one of its notes, uses."""
        spans = [span for span in (fault.span, *(note.span for note in fault.notes)) if span]
        read = [span.source.line(span.line).partition("$")[2] for span in spans] if self.overrides else []
        for name, value in self.overrides.items():
            if name in self.params and any(re.search(rf"\b{re.escape(name)}\b", text) for text in read):
                message = f"`--set {name}={show(value.plain())}` (in Python `set=`) replaces this value"
                yield Note(message, self.params[name].span)

    def _channels_last(self, fault: Diagnostic) -> Iterator[Note]:
        for each in self.inputs if fault.code in OF_SHAPES else ():
            if each and (meant := channels_first(each.type)):
                message = f"`{each.name}` is {each.type}, channels × height × width: did you mean `{meant}`?"
                yield Note(message, each.span)


def channels_first(given: TensorType) -> str | None:
    """The corrected shape of an input whose channels seem to be last; None for other inputs."""
    if not given.is_map or not given.known or given.channels <= FEW_CHANNELS:
        return None
    height, width, channels = given.shape
    return f"[{channels}, {height}, {width}]" if channels in (*CHANNELS.values(), 4) and channels != width else None
