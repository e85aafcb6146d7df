"""Verify exported files against the torch module, before they are published.

Takes the graph, its torch module and the written files; returns how far each file's outputs are from the module's. The
checks use random inputs in batches of 1 and 3, and of several sizes, among them the smallest, if heights and widths are
open:

1. the names of inputs and outputs, if the file has any, and the outputs' number, shapes and dtype match the spec;
2. the file holds the module's weights, bit for bit, or the result of the passes on them;
3. its outputs equal the module's, and are finite;
4. its outputs equal the module's with live weights in both (see `live_weights`): with its own weights a network's
   outputs may hardly depend on the input, and then check 3 does not test its layers;
5. in an ONNX file, the value of each node equals the module's relative to its own magnitude, also with live weights.
   Files of other targets do not expose these values: if their outputs hardly depend on the input with any weights, the
   writer writes another file that does.

Equality is defined in `compare`. If an output is zero apart from rounding (such as the mean of a map normalised over
the same positions), the tolerance cannot be relative to it. So before a file is refused, the module also runs in
float64. The distance of its float32 outputs from that, or of outputs with random rounding errors (see `rounding`), is
the rounding error, and 300 times that is then allowed as well. Other summation orders of 50,000 numbers were measured
to give 40 times as much; for an output of ordinary size, 300 times is 1e-4 or less. The distance that was found then
lowers the sensitivity: of outputs that are noise, agreement proves nothing.

If a file is refused, E404 names the first node of the spec whose value differs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError
from cnnc.files.mapped_weights import InFile, park
from cnnc.targets import sample_inputs
from cnnc.targets.choices import Target
from cnnc.targets.loaded_module import prepared
from cnnc.targets.loaded_onnx import LoadedOnnx
from cnnc.targets.registry import TABLE, Made
from cnnc.targets.torch_module import lower_blank
from cnnc.verification.compare import NONE, Distance, Noise, compare, identical, worst
from cnnc.verification.live_weights import enliven
from cnnc.verification.memory_needed import batches_that_fit
from cnnc.verification.node_values import require_values, require_values_of_writer
from cnnc.verification.promises import (
    LEAST_SENSITIVITY,
    differs,
    require_finite,
    require_names,
    require_sensitive,
    require_shapes,
    wrong,
)
from cnnc.verification.torch_answers import Answers

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.targets.loaded_module import Array, Loaded, Runner

GAINS = (1.5, 4, 16)  # of live weights


@dataclass(frozen=True, slots=True)
class Agreement:
    """A target's distance from torch: the largest difference, absolute and relative to the output's largest value.

    `sensitivity` is how much the outputs change from one input to another, in units of the tolerance, with the live
    weights used for verification; `own_sensitivity`, with the file's own weights.
    """

    target: str
    largest_absolute: float
    largest_relative: float
    sensitivity: float
    own_sensitivity: float

    def __str__(self) -> str:
        """The numbers as shown to the user; a difference means little without the size of the output."""
        shown = f"within {self.largest_relative:.1e} of torch, sensitivity {self.sensitivity:,.0f}"
        if self.own_sensitivity >= LEAST_SENSITIVITY:
            return shown
        own = f"{self.own_sensitivity:.0f}" if self.own_sensitivity >= 1 else f"{self.own_sensitivity:.1g}"
        return f"{shown} ({own} with its own weights: outputs barely react to the input)"


@dataclass(frozen=True, eq=False)
class Reference:
    """torch's results: with the weights of the network, and with live ones."""

    own: Answers
    live: Answers


def verify(
    made: Made,
    files: Mapping[str, Path],
    seed: int = 0,
    *,
    rewritten: bool = False,
    before_run: Callable[[], None] = lambda: None,
) -> tuple[Agreement, ...]:
    """Compare the file of each target (`onnx`, `torchscript` …) with the module that it was made from; raises E404.

    Inputs are drawn from `seed`; for `rewritten` see `Verification.judge`. The module's mode is restored.
    `before_run` is called after torch's answers are known, before the first file is loaded.
    """
    with prepared(made.module):
        verification = Verification(made, seed)
        reference = verification.reference()
        before_run()
        return tuple(verification.judge(*file, reference, rewritten=rewritten) for file in files.items())


class Verification:
    """Compares files with torch's results for the same inputs. The module must stay in eval mode.

    The inputs after the first `samples` have the smallest sizes that the network accepts. Their outputs depend on
    little of it, so they do not count for the sensitivity. `judge` may be called from several threads after
    `reference`. If the network's weights are in a file, no weights stay in memory between the steps: live ones are
    stored in `folder`.
    """

    def __init__(self, made: Made, seed: int, folder: Path | None = None) -> None:
        self.made, self.graph, self.seed, self.folder = made, made.graph, seed, folder
        self.spaces = sample_inputs.spaces(self.graph)
        batches = batches_that_fit(self.graph, self.spaces)
        self.largest_batch = max(batches)
        sizes = [(batch, space) for space in self.spaces for batch in batches]
        self.samples = len(sizes)
        sizes += [(1, space) for space in sample_inputs.extremes(self.graph) if space not in self.spaces]
        self.pixels = [self._draw_pixels(*size, seed + at) for at, size in enumerate(sizes)] if made.pixels else []
        self.inputs = [self._draw(*size, seed + at) for at, size in enumerate(sizes)]

    def reference(self) -> Reference:
        """Return torch's results; raises E404 if they are not finite."""
        own = self._answers(self.made.module)
        require_finite(own)
        kept = self.made.network.weights
        if isinstance(kept, InFile):
            own.wait(kept.only(own.weights))
        live = self._live()
        if self.folder:
            live.wait(park(self.folder / "live", live.weights))
        else:
            live.values  # noqa: B018 - computed now, while nothing else waits for them
        return Reference(own, live)

    def _live(self) -> Answers:
        """Return results with live weights of the lowest gain that makes them sensitive enough, or else the best."""
        module, found = lower_blank(self.graph).eval(), dict[float, float]()
        for gain in GAINS:
            answers = self._with_gain(module, gain)
            if answers.sensitivity >= LEAST_SENSITIVITY:
                return answers
            found.setdefault(answers.sensitivity, gain)
        return self._with_gain(module, found[max(found)])

    def _with_gain(self, module: "GraphModule", gain: float) -> Answers:
        samples = self.largest_batch + 1  # fits in memory, because torch runs alone here
        largest = max(self.spaces, key=prod)  # at a small size, padding may hide most of a kernel
        enliven(module, self._draw(samples, largest, self.seed), self.seed, gain)
        return self._answers(module)

    def _draw(self, batch: int, space: sample_inputs.Space, seed: int) -> "tuple[Tensor, ...]":
        """Return inputs of the module: those that an ONNX file computes from pixels if it takes pixels."""
        if not self.made.pixels:
            return sample_inputs.draw(self.graph, batch, space, seed)
        return sample_inputs.normalised(self.made.pixels, self._draw_pixels(batch, space, seed))

    def _draw_pixels(self, batch: int, space: sample_inputs.Space, seed: int) -> "tuple[Tensor]":
        return sample_inputs.draw_pixels(self.graph, batch, space, seed)

    def _inputs_of(self, target: str) -> "Sequence[Sequence[Tensor]]":
        """Return the inputs of a target's file, which may be the pixels of the module's inputs."""
        return self.pixels if self.made.pixels and target in (Target.ONNX, Target.TRITON) else self.inputs

    def _answers(self, module: "GraphModule") -> Answers:
        return Answers(self.graph, module, arrays(module.state_dict()), self.inputs, self.samples)

    def judge(self, target: str, path: Path, torch: Reference, *, rewritten: bool = False) -> Agreement:
        """Return a file's distance from torch; raises E404 if it is too large, naming the node if it can.

        A file that another tool has `rewritten` may hold its weights in another form. Then the network must be
        sensitive with these weights, because they cannot be replaced by others.
        """
        try:
            return self._judge(target, TABLE[target].load(path, self.made.module), torch, rewritten)
        except (CnncError, ImportError):  # a missing package has its own diagnostic
            raise
        except (Exception, SystemExit) as error:  # the libraries that read and run files raise any type
            said = "" if isinstance(error, SystemExit) else str(error).strip()
            reason = (said or type(error).__name__).splitlines()[0]
            raise wrong(target, f"it cannot be run: {reason}") from error

    def _judge(self, target: str, loaded: "Loaded", torch: Reference, rewritten: bool) -> Agreement:
        require_names(self.graph, target, loaded)
        other = self._other_weight(target, loaded, torch.own)
        if other and not rewritten:
            raise wrong(
                target,
                f"`{other}` is missing or differs from the module's",
                self.graph.node[self.graph.owner(other) or ""],
            )
        if other:
            own, own_sensitivity = self._outputs(target, loaded.run, torch.own)
            require_sensitive(target, own_sensitivity)
            self._require_values(loaded, {}, torch.own)
            found, sensitivity = own, own_sensitivity
        else:
            live = self._live_weights(target, torch.live)
            self._require_values(loaded, live, torch.live)
            if self.folder:  # of a large network, whose values take memory and are not needed again
                torch.live.forget_values()
            own, own_sensitivity = self._outputs(target, loaded.run, torch.own)
            found, sensitivity = self._outputs(target, loaded.with_weights(live), torch.live)
            if not own.ok:
                self._require_values(loaded, self._weights_in(target, torch.own), torch.own)
            found = worst([own, found])
        insensitive = max(own_sensitivity, sensitivity) < LEAST_SENSITIVITY
        if not isinstance(loaded, LoadedOnnx) and (not found.ok or (insensitive and not rewritten)):
            require_values_of_writer(self.made, target, torch.live)
        if not found.ok:
            raise differs(target, found, None)
        return Agreement(target, found.absolute, found.relative, sensitivity, own_sensitivity)

    def _outputs(self, target: str, run: "Runner", torch: Answers) -> tuple[Distance, float]:
        """Return the distance of a file's outputs from torch's, and the sensitivity of outputs at this distance.

        Raises E404 if the number or shapes of the outputs differ.
        """
        given = [run(each) for each in self._inputs_of(target)]
        for ours, theirs in zip(torch.outputs, given, strict=True):
            require_shapes(self.graph, target, theirs, ours)
        return _distance(given, torch)

    def _weights_in(self, target: str, torch: Answers) -> "Mapping[str, Array]":
        """Return the weights that a target's file holds if these are the module's."""
        return TABLE[target].weights(self.made, torch.weights)

    def _live_weights(self, target: str, live: Answers) -> "Mapping[str, Array]":
        found = self._weights_in(target, live)
        return park(self.folder / f"live.{target}", found) if self.folder and not isinstance(found, InFile) else found

    def _other_weight(self, target: str, loaded: "Loaded", own: Answers) -> str | None:
        """Return the first weight that is missing from a file or differs from the module's; None if there is none."""
        held, wanted = loaded.weights(), self._weights_in(target, own)
        return next((key for key, array in wanted.items() if key not in held or not identical(held[key], array)), None)

    def _require_values(self, loaded: "Loaded", weights: "Mapping[str, Array]", torch: Answers) -> None:
        """Raise E404 for the first node whose value in an ONNX file, with these weights, differs from torch's."""
        if isinstance(loaded, LoadedOnnx):
            require_values(self.made, loaded, weights, torch, self._inputs_of(Target.ONNX)[0])


def _distance(given: "Sequence[Sequence[Array]]", torch: Answers) -> tuple[Distance, float]:
    """Return the distance of outputs from torch's, and the sensitivity of outputs at this distance.

    The rounding error is measured, and then allowed, only if the distance is too large without it.
    """

    def apart(noise: Sequence[Noise]) -> list[Distance]:
        batches = [list(zip(*each, strict=True)) for each in zip(given, torch.outputs, strict=True)]
        outputs = zip(zip(*batches, strict=True), noise, strict=True)
        return [worst([compare(a, b, rounding) for a, b in pairs]) for pairs, rounding in outputs]

    found = apart([NONE] * len(torch.graph.outputs))
    if all(each.ok for each in found):
        return worst(found), torch.sensitivity
    found = apart(torch.noise)
    return worst(found), torch.sensitivity_at([each.mean for each in found])


def arrays(weights: "Mapping[str, Tensor]") -> "dict[str, Array]":
    """Return the weights as NumPy arrays."""
    return {key: tensor.detach().numpy() for key, tensor in weights.items()}
