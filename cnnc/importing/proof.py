"""Prove an import: run the compiled spec and the ONNX file on the same random inputs.

Takes an `Imported` and the file; returns a `Proof`, or raises CnncError (E404) that names the first node whose value
differs. The file runs with onnxruntime in a process of its own, with a time limit, because it may crash or never end.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.compiler import load
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Ref
from cnnc.importing.flat_spec import Imported
from cnnc.inference.child import Child
from cnnc.inference.providers import TIMEOUT
from cnnc.targets import sample_inputs
from cnnc.verification.compare import Distance, compare
from cnnc.verification.promises import LEAST_SENSITIVITY
from cnnc.verification.torch_answers import Answers

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    Array = np.ndarray[Any, np.dtype[Any]]

BATCHES = (3, 1)  # at the first, the values of all nodes are compared
LARGEST_COPY = 2**30  # bytes of a file that is copied with the values of all nodes as outputs


@dataclass(frozen=True, slots=True)
class Proof:
    """How close the spec is to the file, at all heights and widths that were tried.

    `largest` is the largest difference of an output, relative to its largest value; `nodes` is the number of nodes
    whose values were compared as well. `sensitivity` is how much the outputs change from one input to another, in units
    of the tolerated difference. `skipped` are the sizes at which onnxruntime cannot run the file.
    """

    largest: float
    batches: tuple[int, ...]
    nodes: int
    sensitivity: float
    skipped: tuple[sample_inputs.Space, ...] = ()

    def __str__(self) -> str:
        many = "batch" if len(self.batches) == 1 else "batches"
        shown = " and ".join(map(str, self.batches))
        weak = f"; the outputs barely react to the input, but the values of {self.nodes:,} nodes agree as well"
        return (
            f"within {self.largest:.1e} of the ONNX file in onnxruntime, {many} {shown}"
            f"{weak if self.sensitivity < LEAST_SENSITIVITY else ''}{self._not_run}"
        )

    @property
    def _not_run(self) -> str:
        """The sizes that were not compared, in words."""
        if not self.skipped:
            return ""
        shown = ", ".join(f"{height}×{width}" for height, width in self.skipped)
        return f"; not compared at {shown}, where onnxruntime cannot run the file"


def prove(
    imported: Imported, path: Path, *, allow_external: bool = False, timeout: float = TIMEOUT, seed: int = 0
) -> Proof:
    """Compare the values of all nodes at the first batch, and the outputs at all batches, heights and widths.

    Raises CnncError: E404 if one differs or nothing can be compared, E502 or E507 if onnxruntime cannot run the file or
    takes too long.
    """
    graph = load(imported.spec)
    batches = BATCHES if imported.batch is None else (imported.batch,) * 2
    first_space, *others = _spaces(graph)
    trials = [(batch, first_space) for batch in batches] + [(batches[-1], space) for space in others]
    drawn = [sample_inputs.draw(graph, *trial, seed + k) for k, trial in enumerate(trials)]
    with _opened(path, allow_external, timeout) as file:
        given = [file.run(_feeds(imported, each), [*imported.outputs])[0] for each in drawn[: len(batches)]]
        more = [(each, _run_if_accepted(imported, file, each)) for each in drawn[len(batches) :]]
    inputs = [*drawn[: len(batches)], *(each for each, outputs in more if outputs is not None)]
    given += [outputs for _, outputs in more if outputs is not None]
    module = compiled(graph, imported.weights)
    answers = Answers(graph, module, imported.weights, inputs, samples=len(batches))
    distances = [_distance(imported, answers, outputs, at) for at, outputs in enumerate(given)]
    sources = _values(imported, graph)
    wrong = next((each for each in distances if not each.ok), None)
    first, compared = _first_difference(imported, answers, path, sources, allow_external, timeout)
    if wrong is not None or first is not None:
        raise _differs(imported, path, first, wrong)
    _require_finite(path, given[: len(batches)])
    if not compared and answers.sensitivity < LEAST_SENSITIVITY:
        raise _not_compared(path)
    largest = max(each.relative for each in distances)
    skipped = tuple(space for space, (_, outputs) in zip(others, more, strict=True) if outputs is None)
    return Proof(largest, tuple(sorted({*batches})), compared, answers.sensitivity, skipped)


def _spaces(graph: Graph) -> list[sample_inputs.Space]:
    """Return the heights and widths to compare; without an open one, a placeholder."""
    return [*dict.fromkeys((*sample_inputs.spaces(graph), *sample_inputs.extremes(graph)))]


def compiled(graph: Graph, weights: "Mapping[str, Array]") -> "GraphModule":
    """Return the torch module of the graph with these weights, in evaluation."""
    import torch

    from cnnc.targets import torch_module

    expected = torch_module.shapes(graph)
    given = {key: torch.from_numpy(each) for key, each in weights.items()}
    return torch_module.lower(graph, {key: given.get(key, torch.tensor(0)) for key in expected}).eval()


def _feeds(imported: Imported, inputs: "Sequence[Tensor]") -> "dict[str, Array]":
    arrays = zip(imported.inputs, (each.numpy() for each in inputs), strict=True)
    return {name: np.moveaxis(each, 1, -1) if name in imported.channels_last else each for name, each in arrays}


def _run_if_accepted(imported: Imported, file: Child, inputs: "Sequence[Tensor]") -> "dict[str, Array] | None":
    """Return the file's outputs; None if the file cannot run at this size, which the spec may accept nevertheless."""
    try:
        return file.run(_feeds(imported, inputs), [*imported.outputs])[0]
    except CnncError:
        return None


@contextmanager
def _opened(path: Path, allow_external: bool, timeout: float) -> Iterator[Child]:
    with closing(Child(str(path), "cpu", allow_external=allow_external, timeout=timeout)) as child:
        yield child


def _distance(imported: Imported, answers: Answers, given: "Mapping[str, Array]", batch: int) -> Distance:
    """Return the largest distance of an output from the file's."""
    found = []
    for place, (source, ours) in enumerate(zip(imported.outputs, answers.outputs[batch], strict=True)):
        distance = compare(given[source], ours)
        found.append(distance if distance.ok else compare(given[source], ours, answers.noise[place]))
    return max(found, key=lambda each: (not each.ok, each.relative))


def _values(imported: Imported, graph: Graph) -> dict[str, Ref]:
    """Return the values of our nodes by the names of the file's values that they are, in order."""
    found = {}
    for node in graph.nodes:
        for port in range(len(node.outputs)):
            spelt = node.path if len(node.outputs) == 1 else f"{node.path}.{port}"
            if spelt in imported.values:
                found[imported.values[spelt]] = Ref(node.path, port)
    return found


def _first_difference(
    imported: Imported, answers: Answers, path: Path, sources: Mapping[str, Ref], allow_external: bool, timeout: float
) -> tuple[str | None, int]:
    """Return which node is the first whose value differs, in words, and the number of values that were compared."""
    if not sources or path.stat().st_size > LARGEST_COPY:
        return None, 0
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "values.onnx"
        try:
            if not _write_with_outputs(path, copy, [*sources], allow_external):
                return None, 0
            with _opened(copy, False, timeout) as file:
                given, _ = file.run(_feeds(imported, answers.inputs[0]), [*sources])
        except (CnncError, OSError):  # some files run only as they are, and the copy may not fit on the disk
            return None, 0
    for name, ref in sources.items():
        distance = compare(given[name], answers.values[ref])
        if not distance.ok:
            distance = compare(given[name], answers.values[ref], answers.noise_of_values[ref])
        if not distance.ok:
            return f"the first node whose value differs is `{ref.node}`, {name!r} in the file", len(sources)
    return None, len(sources)


def _write_with_outputs(path: Path, copy: Path, names: list[str], allow_external: bool) -> bool:
    """Write a copy of the file with more outputs, and with its weights inside; return whether it is small enough."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    model = onnx.load_model(path, load_external_data=False)
    if sum(4 * prod(each.dims) for each in model.graph.initializer) > LARGEST_COPY:
        return False
    if allow_external:
        load_external_data_for_model(model, str(path.parent))
    present = {each.name for each in model.graph.output}
    for name in names:
        if name not in present:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    del model.metadata_props[:]
    copy.write_bytes(model.SerializeToString())
    return True


def _differs(imported: Imported, path: Path, first: str | None, outputs: Distance | None) -> CnncError:
    """Return E404."""
    how = (
        f"outputs differ by {outputs.absolute:.2g}" if outputs is not None else "the outputs agree, but not all values"
    )
    where = first or "all values that both sides have agree"
    return CnncError.of(
        Code.NOT_VERIFIED,
        f"the spec does not compute what {path} does: {how}; {where}",
        help="nothing was written; this is a bug in cnnc's import, or an op that onnxruntime computes differently: "
        "please report it",
    )


def _not_compared(path: Path) -> CnncError:
    """Return E404 if the outputs barely react to the input, and no other values could be compared."""
    return CnncError.of(
        Code.NOT_VERIFIED,
        f"{path}: the outputs barely react to the input, and the values of its nodes cannot be compared, so nothing is "
        "proved",
        help="nothing was written; look for weights that are zero or very large",
    )


def _require_finite(path: Path, given: "Sequence[Mapping[str, Array]]") -> None:
    """Raise E404 if an output is not finite, which would agree with anything."""
    for outputs in given:
        for name, value in outputs.items():
            if not np.isfinite(value).all():
                raise CnncError.of(
                    Code.NOT_VERIFIED,
                    f"{path}: the output {name!r} is not finite for random inputs, so nothing can be compared",
                    help="nothing was written; look for NaN or very large numbers in the weights",
                )
