"""Every export is run against the torch module before it is named.

In go the graph, its torch module and written files; out comes how far each file's outputs are from the module's. What
is looked at, on fresh inputs in batches of 1 and 3 and, where heights and widths are open, of several sizes:

1. the names of inputs and outputs where the file has any, and the outputs' number, shapes and type are those that the
   spec promises;
2. the file holds the module's weights, to the bit, or what the passes make of them;
3. its outputs are the module's, and finite;
4. its outputs are the module's with live weights in both (see `live`): with its own weights a network may be deaf, and
   then 3 says nothing of what goes on inside;
5. of an ONNX file, the value of each node is the module's at its own magnitude, with live weights as well. Files of
   other targets do not show these values: where their outputs hardly depend on the input, whatever the weights, the
   writer is asked for a file that does.

What counts as equal is in `compare`. Where all of an output is zero but for rounding (the mean of what was normalised
over the same positions), it cannot be held to its own magnitude. So before a file is refused, the module is run in
float64 too: how far its float32 outputs are from that, or outputs with rounding errors drawn at random (see
`rounding`), is what rounding does here, and 300 times that much is then allowed as well. Other orders of summing 50,000
numbers were seen to give 40 times as much; of an output of ordinary size it is 1e-4 and less.

Where a file is refused, E404 names the first node of the spec whose value differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError
from cnnc.files.mapped_weights import InFile, park
from cnnc.passes.network import Network
from cnnc.targets import sample_inputs
from cnnc.targets.choices import Target
from cnnc.targets.loaded_module import prepared
from cnnc.targets.loaded_onnx import LoadedOnnx
from cnnc.targets.registry import TABLE, Made
from cnnc.targets.torch_module import lower
from cnnc.verification.compare import NONE, Distance, Noise, compare, identical, worst
from cnnc.verification.live_weights import enliven
from cnnc.verification.memory_needed import batches_that_fit
from cnnc.verification.promises import (
    LEAST_SENSITIVITY,
    differs,
    require_finite,
    require_names,
    require_sensitive,
    require_shapes,
    wrong,
)
from cnnc.verification.torch_answers import Answers, every_value, refs, tensors

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from cnnc.targets.loaded_module import Array, Loaded, Runner

GAINS = (1.5, 4, 16)  # of live weights


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a target is from torch: the largest difference, absolute and as a part of its output's largest value.

    `sensitivity` tells how far the outputs move from one input to another, in units of the tolerance, with the live
    weights that the target was verified with; `own_sensitivity`, with those that it holds.
    """

    target: str
    largest_absolute: float
    largest_relative: float
    sensitivity: float
    own_sensitivity: float

    def __str__(self) -> str:
        """The figures in words."""
        told = f"within {self.largest_absolute:.1e} of torch, sensitivity {self.sensitivity:,.0f}"
        if self.own_sensitivity >= LEAST_SENSITIVITY:
            return told
        return f"{told} ({self.own_sensitivity:.1g} with its own weights, which barely react to the input)"


@dataclass(frozen=True, eq=False)
class Reference:
    """What torch gives: with the weights of the network, and with live ones."""

    own: Answers
    live: Answers


def verify(made: Made, files: Mapping[str, Path], seed: int = 0, *, rewritten: bool = False) -> tuple[Agreement, ...]:
    """Run the file of each target (`onnx`, `torchscript` …) against the module that it was made from; raises E404.

    `seed` draws the inputs; `rewritten` is that of `Verification.judge`. The module's mode stays.
    """
    with prepared(made.module):
        verification = Verification(made, seed)
        reference = verification.reference()
        return tuple(verification.judge(*file, reference, rewritten=rewritten) for file in files.items())


class Verification:
    """Judges files by what torch gives for the same inputs. The module is in eval mode all the while.

    `judge` may be called in several threads, once there is a reference. Where the network's weights lie in a file, no
    others stay in memory between its steps: live ones lie in the `folder`.
    """

    def __init__(self, made: Made, seed: int, folder: Path | None = None) -> None:
        self.made, self.graph, self.seed, self.folder = made, made.graph, seed, folder
        self.spaces = sample_inputs.spaces(self.graph)
        batches = batches_that_fit(self.graph, self.spaces)
        self.largest_batch = max(batches)
        sizes = [(batch, space) for space in self.spaces for batch in batches]
        self.inputs = [sample_inputs.draw(self.graph, *size, seed + at) for at, size in enumerate(sizes)]

    def reference(self) -> Reference:
        """What torch gives; raises E404 where that is not finite."""
        own = self._answers(self.made.module)
        require_finite(own)
        kept = self.made.network.weights
        if isinstance(kept, InFile):
            own.wait(kept.only(own.weights))
        live = self._live()
        if self.folder:
            live.wait(park(self.folder / "live", live.weights))
        else:
            live.values  # noqa: B018 - here, where nothing else waits for them
        return Reference(own, live)

    def _live(self) -> Answers:
        """Answers with live weights, of as much gain as makes them sensitive enough, or else of the best."""
        module, found = lower(self.graph, seed=self.seed).eval(), dict[float, float]()
        for gain in GAINS:
            answers = self._with_gain(module, gain)
            if answers.sensitivity >= LEAST_SENSITIVITY:
                return answers
            found.setdefault(answers.sensitivity, gain)
        return self._with_gain(module, found[max(found)])

    def _with_gain(self, module: "GraphModule", gain: float) -> Answers:
        samples = self.largest_batch + 1  # no more than there is room for: torch is alone here
        enliven(module, sample_inputs.draw(self.graph, samples, self.spaces[0], self.seed), self.seed, gain)
        return self._answers(module)

    def _answers(self, module: "GraphModule") -> Answers:
        return Answers(self.graph, module, arrays(module.state_dict()), self.inputs)

    def judge(self, target: str, path: Path, torch: Reference, *, rewritten: bool = False) -> Agreement:
        """How far a target's file is from torch; raises E404, naming the node where it can, where that is too far.

        One that another tool has `rewritten` may hold its weights in another form, but then it must be sensitive with
        these weights: no others can be put in their place.
        """
        try:
            return self._judge(target, TABLE[target].load(path, self.made.module), torch, rewritten)
        except (CnncError, ImportError):  # a package that is not there is told by name
            raise
        except Exception as error:  # what reads and runs files raises what it likes
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise wrong(target, f"it cannot be run: {reason}") from error

    def _judge(self, target: str, loaded: "Loaded", torch: Reference, rewritten: bool) -> Agreement:
        require_names(self.graph, target, loaded)
        other = self._other_weight(target, loaded, torch.own)
        if other and not rewritten:
            raise wrong(target, f"`{other}` is not what the module holds", self.graph.node[other.rpartition(".")[0]])
        if other:
            require_sensitive(target, torch.own.sensitivity)
            self._require_values(loaded, {}, torch.own)
            found, sensitivity = self._outputs(target, loaded.run, torch.own), torch.own.sensitivity
        else:
            live = self._live_weights(target, torch.live)
            self._require_values(loaded, live, torch.live)
            if self.folder:
                torch.live.forget_values()
            own = self._outputs(target, loaded.run, torch.own)
            found = worst([own, self._outputs(target, loaded.with_weights(live), torch.live)])
            sensitivity = torch.live.sensitivity
            if not own.ok:
                self._require_values(loaded, self._weights_in(target, torch.own), torch.own)
        deaf = max(torch.own.sensitivity, torch.live.sensitivity) < LEAST_SENSITIVITY
        if not isinstance(loaded, LoadedOnnx) and (not found.ok or (deaf and not rewritten)):
            require_values_of_writer(self.made, target, torch.live)
        if not found.ok:
            raise differs(target, found, None)
        return Agreement(target, found.absolute, found.relative, sensitivity, torch.own.sensitivity)

    def _outputs(self, target: str, run: "Runner", torch: Answers) -> Distance:
        """How far a file's outputs are from torch's; raises E404 where they are others in number or shape."""
        given = [run(each) for each in self.inputs]
        for ours, theirs in zip(torch.outputs, given, strict=True):
            require_shapes(self.graph, target, theirs, ours)
        return _distance(given, torch)

    def _weights_in(self, target: str, torch: Answers) -> "Mapping[str, Array]":
        """What a target's file holds where these are the module's weights."""
        return TABLE[target].weights(self.made, torch.weights)

    def _live_weights(self, target: str, live: Answers) -> "Mapping[str, Array]":
        found = self._weights_in(target, live)
        return park(self.folder / f"live.{target}", found) if self.folder and not isinstance(found, InFile) else found

    def _other_weight(self, target: str, loaded: "Loaded", own: Answers) -> str | None:
        """The first weight that a file lacks, or holds other numbers for; None where it holds the module's."""
        held, wanted = loaded.weights(), self._weights_in(target, own)
        return next((key for key, array in wanted.items() if key not in held or not identical(held[key], array)), None)

    def _require_values(self, loaded: "Loaded", weights: "Mapping[str, Array]", torch: Answers) -> None:
        """Raise E404 for the first node whose value in an ONNX file, with these weights, is not torch's."""
        if isinstance(loaded, LoadedOnnx):
            require_values(self.made, loaded, weights, torch)


def _distance(given: "Sequence[Sequence[Array]]", torch: Answers) -> Distance:
    """How far outputs are from torch's, of which rounding is measured where they seem too far."""

    def apart(noise: Sequence[Noise]) -> Distance:
        pairs = zip(given, torch.outputs, strict=True)
        return worst([compare(*each) for theirs, ours in pairs for each in zip(theirs, ours, noise, strict=True)])

    found = apart([NONE] * len(torch.graph.outputs))
    return found if found.ok else apart(torch.noise)


def require_values(made: Made, loaded: LoadedOnnx, weights: "Mapping[str, Array]", torch: Answers) -> None:
    """Raise E404 for the first node whose value in the file, with these weights, is not torch's."""
    exported = {name: ref for ref, name in made.emitted.names.items() if name in loaded.values()}
    if not exported:  # nothing but identities, which the file does without
        return
    given = dict(zip(exported, loaded.run_values(weights, exported)(torch.inputs[0]), strict=True))
    for name, ref in exported.items():
        origin = made.exported.origin(ref)
        wanted = torch.values[origin]
        if given[name].shape != wanted.shape:
            shapes = f"`{name}` is {given[name].shape}, and not {wanted.shape}"
            raise wrong(Target.ONNX, shapes, made.graph.node[ref.node])
        distance = compare(given[name], wanted)
        if not distance.ok:
            distance = compare(given[name], wanted, torch.noise_of_values[origin])
        if not distance.ok:
            folded = "" if origin == ref else f", with all up to `{origin.node}` folded into it,"
            raise differs(Target.ONNX, distance, made.graph.node[ref.node], folded)


def require_values_of_writer(made: Made, target: str, torch: Answers) -> None:
    """Raise E404 for the first node whose value is not torch's in a file that is written with every value as an output.

    The values in a file of these targets cannot be seen. What its writer makes of the same nodes can.
    """
    whole = every_value(made.graph)
    module = lower(whole, tensors(torch.weights)).eval()
    with TemporaryDirectory() as folder:
        path = Path(folder) / target
        TABLE[target].write(Made(Network(whole, torch.weights), whole, module), path)
        given = TABLE[target].load(path, module).run(torch.inputs[0])
    for ref, value in zip(refs(made.graph), given, strict=True):
        distance = compare(value, torch.values[ref])
        if not distance.ok:
            distance = compare(value, torch.values[ref], torch.noise_of_values[ref])
        if not distance.ok:
            raise differs(target, distance, made.graph.node[ref.node])


def arrays(weights: "Mapping[str, Tensor]") -> "dict[str, Array]":
    """The same numbers as NumPy's arrays."""
    return {key: tensor.detach().numpy() for key, tensor in weights.items()}
