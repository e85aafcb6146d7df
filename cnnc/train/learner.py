"""The training step: a module, its optimizer, forward and backward pass, and the test pass.

Takes uint8 pictures and targets on the device. Loss and metrics are summed on the device, so nothing waits for it. Only
on the CPU, where that costs nothing, each loss is checked before the backward pass.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

from cnnc.data.preprocess import Preprocess
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.train.answers import ClassAnswers
from cnnc.train.augment import Augment
from cnnc.train.average import Average
from cnnc.train.compiled import compiled, compiling
from cnnc.train.devices import Team
from cnnc.train.erasing import erase
from cnnc.train.loss import Objective
from cnnc.train.memory_format import channels_last
from cnnc.train.mixing import Mixing
from cnnc.train.monitor.metrics import LOSS
from cnnc.train.not_finite import first_not_finite
from cnnc.train.optimizer import optimizer, options
from cnnc.train.selection import Selection
from cnnc.train.share import Share
from cnnc.train.tasks import prediction, width

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class NotFinite(Exception):
    """A loss is NaN or infinite; the message describes its source."""


class Learner:
    """Trains `module`, the module of the graph, on one rank."""

    def __init__(
        self,
        team: Team,
        graph: Graph,
        module: "torch.nn.Module",
        recipe: Train,
        selection: Selection,
        weights: Sequence[float] | None = None,
    ) -> None:
        """Prepare the training; `weights` are those of the classes in the loss."""
        import torch

        self._selection = selection
        self._team, self._graph, self._recipe = team, graph, recipe
        self.module, self.preprocess = module, Preprocess(graph.inputs[0])
        self._augment = Augment(recipe, self.preprocess)
        self._learning = Objective(graph, recipe.label_smoothing, recipe.aux_weight, recipe.loss, weights)
        self._testing = Objective(graph, loss=recipe.loss)
        self._task = self._testing.task
        self._sums = self._task.size(classes := width(graph, prediction(graph)))
        mixes = recipe.mixup or recipe.cutmix
        self._mixing = Mixing(recipe.mixup, recipe.cutmix, classes) if mixes else None
        precision = team.fabric.strategy.precision.precision
        last = channels_last(recipe, graph, team.device.type, precision)
        self._format = torch.channels_last if last else torch.contiguous_format
        module.to(memory_format=self._format)  # type: ignore[call-overload]
        groups = selection.groups(module)
        self._scales = [scale for scale, _ in groups]
        made = optimizer(module, recipe, [parameters for _, parameters in groups])
        self._model, self._optimizer = team.fabric.setup(compiled(module) if recipe.compile else module, made)
        self._average = Average(module, recipe.ema) if recipe.ema is not None else None
        self.watchful = team.device.type == "cpu"
        self.totals = self._zeros()
        self.answers = ClassAnswers()

    def begin(self) -> None:
        """Start an epoch: training mode, totals at zero."""
        self.module.train()
        self._selection.evaluate(self.module)
        self.totals = self._zeros()

    def step(self, batches: Iterable[tuple["Tensor", "Tensor", Share]], size: int, rate: float) -> None:
        """Run one optimizer step over this rank's shares of batches; `size` is the number of examples on all ranks.

        A batch whose Share has no examples of its own does not count. Raises E516, and NotFinite for a loss that is not
        finite, if `watchful`.
        """
        with compiling() if self._recipe.compile else nullcontext():
            self._step(batches, size, rate)

    def _step(self, batches: Iterable[tuple["Tensor", "Tensor", Share]], size: int, rate: float) -> None:
        for group, scale in zip(self._optimizer.param_groups, self._scales, strict=True):
            group["lr"] = rate * scale
        self._optimizer.zero_grad()
        for last, (images, targets, share) in _mark_last(batches):
            held = self._team.world > 1 and not last
            with self._team.fabric.no_backward_sync(self._model) if held else nullcontext():
                self._learn(images, targets, share, self._team.world / size if share.counts else 0.0)
        if self._recipe.clip:
            self._team.fabric.clip_gradients(
                self._model, self._optimizer, max_norm=self._recipe.clip, error_if_nonfinite=False
            )
        self._optimizer.step()
        if self._average:
            self._average.update()

    def _learn(self, images: "Tensor", targets: "Tensor", share: Share, weight: float) -> None:
        inputs, targets = self.prepare(images, targets, share)
        before = self.generators() if self.watchful else {}
        total, loss, scores, truth = self._learning(self._model(inputs), targets)
        if self.watchful and not isfinite(total.item()):
            self.set_generators(before)
            raise NotFinite(self.fault_source(inputs))
        self._team.fabric.backward(total * weight)
        if weight:
            self._count(loss, scores, truth)

    def fault_source(self, inputs: "Tensor") -> str:
        """Describe the source of a loss that is not finite."""
        import torch

        with torch.no_grad(), self._team.fabric.autocast():
            return first_not_finite(self._graph, self.module.state_dict(), inputs, self._selection.evaluate)

    def test(self, batches: Iterable[tuple["Tensor", "Tensor"]]) -> None:
        """Sum loss and metrics over test batches, and collect the answers."""
        import torch

        self.module.eval()
        self.totals, self.answers = self._zeros(), ClassAnswers()
        with torch.inference_mode(), self._team.fabric.autocast():
            for images, targets in batches:
                inputs, prepared = self.prepare(images, targets)
                _, loss, scores, truth = self._testing(self._tested(inputs), prepared)
                self._count(loss, scores, truth)
                self.answers.add(scores, truth)

    def scores(self, totals: Sequence[float], examples: int) -> dict[str, float]:
        """Return the loss and the metrics, by name, of `totals` over that many examples."""
        return {LOSS: totals[0] / examples, **self._task.metrics(totals[1:], examples)}

    def _tested(self, inputs: "Tensor") -> Any:
        """Return the outputs of the network with the weights that the run writes."""
        if self._average is None:
            return self.module(inputs)
        from torch.func import functional_call

        return functional_call(self.module, self._average.values, (inputs,))

    def prepare(self, images: "Tensor", targets: "Tensor", share: Share | None = None) -> "tuple[Tensor, Tensor]":
        """Preprocess pictures to the network's float32 input, and masks in the same way.

        The pictures of a `share` are for the training: they are augmented, erased and mixed, by the recipe.
        """
        masks = targets if self._task.masks else None
        change = self._augment.resize if share is None else partial(self._augment, share=share)
        images, masks = change(images, masks)
        targets = targets if masks is None else masks
        inputs = self.preprocess.normalise(images)
        if share and self._recipe.erasing:
            inputs = erase(inputs, self._recipe.erasing, share)
        if share and self._mixing:
            inputs, targets = self._mixing(inputs, targets, share)
        inputs = inputs.contiguous(memory_format=self._format)
        if inputs.is_contiguous():  # one channel may have the strides of either format, by which torch chooses kernels
            inputs = inputs.view(-1).view(inputs.shape)
        return inputs, targets

    def weights(self) -> "dict[str, Tensor]":
        """Return a copy of the current weights, on the CPU, keyed by the spec's paths."""
        return {
            key: value.detach().to("cpu", copy=True).contiguous() for key, value in self.module.state_dict().items()
        }

    def buffers(self) -> "list[Tensor]":
        """Return the running statistics, which differ from rank to rank."""
        return [*self.module.buffers(), *(self._average.buffers if self._average else ())]

    def state(self) -> "dict[str, Any]":
        """Return the state for a checkpoint, without the generators."""
        precision = self._team.fabric.strategy.precision.state_dict()
        state = {"weights": self.weights(), "optimizer": self._optimizer.state_dict(), "precision": precision}
        return {**state, "average": self._average.state()} if self._average else state

    def restore(self, state: "dict[str, Any]") -> None:
        """Restore `state`, except for the optimizer's options, which the recipe sets."""
        self.module.load_state_dict(state["weights"])
        self._optimizer.optimizer.load_state_dict(state["optimizer"])
        for group in self._optimizer.param_groups:
            group.update(options(self._recipe))
        self._team.fabric.strategy.precision.load_state_dict(state["precision"])
        if self._average:
            self._average.restore(state["average"])

    def generators(self) -> "dict[str, Tensor]":
        """Return the states of the generators that dropout and augmentation use."""
        import torch

        states = {"cpu": torch.get_rng_state()}
        if self._team.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._team.device)
        return states

    def set_generators(self, states: "dict[str, Tensor]") -> None:
        """Restore the generators."""
        import torch

        torch.set_rng_state(states["cpu"])
        if self._team.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self._team.device)

    def _zeros(self) -> "Tensor":
        import torch

        kind = torch.float32 if self._team.device.type == "mps" else torch.float64
        return torch.zeros(1 + self._sums, dtype=kind, device=self._team.device)

    def _count(self, loss: "Tensor", scores: "Tensor", targets: "Tensor") -> None:
        import torch

        sums = self._task.sums(scores.detach(), targets)
        self.totals += torch.cat((loss.detach()[None].to(self.totals.dtype), sums.to(self.totals.dtype)))


def result(state: "dict[str, Any]") -> "dict[str, Tensor]":
    """Return the weights that a run with this `Learner.state` writes: the averaged ones, if there are any."""
    weights: dict[str, Tensor] = state["average"]["values"] if "average" in state else state["weights"]
    return {key: value.contiguous() for key, value in weights.items()}


def _mark_last(batches: Iterable[Any]) -> Iterator[tuple[bool, Any]]:
    """Yield each item with whether it is the last."""
    items = iter(batches)
    item = next(items, None)
    while item is not None:
        following = next(items, None)
        yield following is None, item
        item = following
