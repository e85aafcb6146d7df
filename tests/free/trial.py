"""One random spec, held to what the compiler promises of any.

What is wrong is refused with diagnostics, each of which can be shown in every way; what a check accepts is built for
every target, and each file has the outputs that the spec promises, by number, names, shapes and values. Raises
AssertionError, or whatever the compiler raised, where one of these is not so.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import onnxruntime
import pytest
import torch
import torch.fx
from safetensors.torch import save_file

import cnnc
from cnnc.artifacts.export import deployable
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.targets import sample_inputs
from cnnc.targets.choices import OPSETS
from cnnc.targets.registry import TABLE, Made
from cnnc.verification.memory_needed import batches_that_fit
from cnnc.verification.verify import Verification
from tests.agreement.whole import Arrays, Slack, call, near
from tests.free.specs import Drawn, laid_out, store
from tests.live import BATCH, enlivened
from tests.shown import show_every_way

SELDOM = {"torchscript": 4, "spec": 5, "pt2": 20}  # one network in so many: these take longest
OWN = 10  # one network in so many keeps the weights that it starts with, which may be far from 1
BATCHES = (1, 3)
MEMORY = 2**29  # bytes: what the machine is said to have
FREE_MEMORY = "cnnc.verification.memory_needed.free_memory"
PARTIAL = ("log", "sqrt", "div", "exp")  # ops that are not finite for some inputs


@dataclass(frozen=True)
class Tried:
    """What came of a spec: its graph, or None where it was refused, and the targets that were built."""

    graph: Graph | None
    targets: tuple[str, ...] = ()


def trial(of: Drawn, *, apart: bool = True) -> Tried:
    """Check a spec, show what is found, and build what is right; `apart`: in several files where it may be."""
    with TemporaryDirectory(prefix="cnnc-free-") as folder:
        path = store(laid_out(of) if apart else {"spec.json": of.spec}, Path(folder))
        checked = cnnc.check(path, set=of.settings)
        show_every_way(checked)
        if not checked.ok:
            assert any(each.code.severity == "error" for each in checked.diagnostics)
            refused(path, of)
            return Tried(None)
        graph = cnnc.load(path, set=of.settings)
        targets = tuple(each for each in TABLE if of.seed % SELDOM.get(each, 1) == 0)
        with patch(FREE_MEMORY, lambda: MEMORY):
            if not has_room(graph):
                refused(path, of, Code.NOT_EXPORTABLE)
                return Tried(graph)
            built_as_promised(graph, path, of, targets)
        return Tried(graph, targets)


def has_room(graph: Graph) -> bool:
    """Whether the machine has the memory to verify the network as it is deployed."""
    try:
        batches_that_fit(drop_train_only(Network(graph, {})).graph, sample_inputs.spaces(graph))
    except CnncError:
        return False
    return True


def refused(path: Path, of: Drawn, code: Code | None = None) -> None:
    """A build refuses the spec, by that code where one is given."""
    with pytest.raises(CnncError) as told:
        cnnc.build(path, set=of.settings, out=path.parent / "build")
    assert any(each.code.severity == "error" and code in (None, each.code) for each in told.value.diagnostics)


def built_as_promised(graph: Graph, path: Path, of: Drawn, targets: Sequence[str]) -> None:
    """Each target's file gives what the deployed outputs of the torch module are."""
    module = cnnc.compile(path, set=of.settings, seed=of.seed).eval()
    if of.seed % OWN:
        enlivened(module, sample_inputs.draw(graph, BATCH, sample_inputs.spaces(graph)[0], of.seed), of.seed)
    weights = path.parent / "weights.safetensors"
    save_file({key: value.contiguous().clone() for key, value in module.state_dict().items()}, weights)
    opset = OPSETS[of.seed % len(OPSETS)]
    deployed = [at for at, each in enumerate(graph.outputs) if not each.train_only]
    needed = graph.needed([graph.outputs[at] for at in deployed])
    taken = [at for at, each in enumerate(graph.inputs) if each.name in needed]
    names = [graph.outputs[at].name for at in deployed]
    shapes = [graph.type_of(graph.outputs[at].ref).shape for at in deployed]
    asked = list(questions(graph, module, deployed, of.seed))
    try:
        built = cnnc.build(
            path, set=of.settings, weights=weights, opset=opset, targets=targets, out=path.parent / "build"
        )
    except CnncError as error:
        not_finite = error.diagnostics[0].code in (Code.NOT_VERIFIED, Code.WEIGHTS_NOT_FINITE)
        partial = any(node.op.name in PARTIAL for node in graph.nodes)
        if not_finite and (partial or any(slack.overflows for *_, slack in asked) or overflows_verified(graph, module)):
            return  # what is infinite on the way is not the same everywhere, and for all inputs
        raise
    said = json.loads((built.folder / "manifest.json").read_text(encoding="utf-8"))
    assert list(said["outputs"].items()) == [(name, list(shape)) for name, shape in zip(names, shapes, strict=True)]
    _, whole = deployable(graph, module)
    for target in targets:
        file = built.folder / f"{graph.name}.{TABLE[target].ending}"
        if target == "onnx":
            signature_is(file, [graph.inputs[at].name for at in taken], names, shapes)
        loaded = TABLE[target].load(file, whole)
        assert loaded.names in (None, tuple(names)), f"{target} calls its outputs {loaded.names}"
        for inputs, answers, slack in asked:
            found = loaded.run([inputs[at] for at in taken])
            assert len(found) == len(deployed), f"{target} gives {len(found)} outputs, {len(deployed)} are deployed"
            near(target, found, answers, slack)


def questions(
    graph: Graph, module: torch.nn.Module, deployed: list[int], seed: int
) -> Iterator[tuple[Any, Arrays, Slack]]:
    """Inputs of several batches and sizes, and what the whole module says to each by its deployed outputs."""
    for at, space in enumerate(sample_inputs.spaces(graph)):
        batch = BATCHES[(seed + at) % len(BATCHES)]
        inputs = sample_inputs.draw(graph, batch, space, seed + at)
        answers = call(module, inputs)
        assert len(answers) == len(graph.outputs)
        for output, value in zip(graph.outputs, answers, strict=True):
            shape = graph.type_of(output.ref).shape
            fits = all(ours in (None, its) for ours, its in zip((batch, *shape), value.shape, strict=True))
            assert fits, f"{output.name}: inferred {shape}, torch gives {value.shape} for {space}"
        yield inputs, [answers[at] for at in deployed], Slack(module, list(inputs), deployed)


def overflows_verified(graph: Graph, module: torch.fx.GraphModule) -> bool:
    """Whether the deployed network overflows for the inputs that a build compares: they are more than those here."""
    shown, deployed = deployable(graph, module)
    made = Made(Network(shown, {}), shown, deployed)
    return any(Slack(deployed, list(inputs)).overflows for inputs in Verification(made, 0).inputs)


def signature_is(file: Path, taken: list[str], names: list[str], shapes: list[tuple[int | None, ...]]) -> None:
    """An ONNX file says of its inputs and outputs what the spec promises."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == taken
    found = session.get_outputs()
    assert [each.name for each in found] == names, f"onnx calls its outputs {[each.name for each in found]}"
    for each, shape in zip(found, shapes, strict=True):
        sizes = tuple(size if isinstance(size, int) else None for size in each.shape[1:])
        assert sizes == shape, f"onnx says {sizes} of {each.name}, which is {shape}"
