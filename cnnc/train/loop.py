"""The training loop: train, test and save each epoch, until all are done or a signal stops the run.

The randomness of an epoch depends only on (seed, epoch); a checkpoint within an epoch also has the generators' states.
So a run that resumes from a checkpoint, at the end of an epoch or at any step, gives bit-identical results on the CPU.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from cnnc.language.recipe import Train
from cnnc.train import checkpoint
from cnnc.train.answers import record as answers_of_all
from cnnc.train.batches import BatchSource
from cnnc.train.checkpoint import Checkpoint, Progress, RunIdentity
from cnnc.train.devices import Team
from cnnc.train.epoch_order import Plan, Range, derive
from cnnc.train.interrupt import StopRequest
from cnnc.train.learner import Learner, NotFinite, result
from cnnc.train.monitor.metrics import LOSS, EpochRecord
from cnnc.train.monitor.tested import Tested
from cnnc.train.not_finite import LossCheck, not_finite
from cnnc.train.schedule import rate
from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

TEST_BATCH = 128  # the smallest test batch: without a backward pass, larger batches fit


class Listener(Protocol):
    """Receives the progress of a run: see `cnnc.train.monitor`."""

    def on_batch(self, step: int) -> None: ...

    def on_epoch(self, record: EpochRecord, tested: Tested | None) -> None: ...


class Stopped(Exception):
    """A signal stops the run."""

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass
class Loop:
    """A run on one rank. `progress` is updated while it runs; `order` takes a seed and an epoch."""

    team: Team
    learner: Learner
    recipe: Train
    plan: Plan
    order: "Callable[[int, int], Tensor]"
    train: BatchSource
    test: BatchSource | None
    folder: Path
    identity: RunIdentity
    progress: Progress
    watcher: Listener
    request: StopRequest
    tested: list[float] = field(default_factory=list)  # the task's sums of the last test

    @property
    def has_more(self) -> bool:
        """Whether an epoch is left to train."""
        return self.progress.epoch < self.recipe.epochs and not self.progress.is_stale(self.recipe.patience)

    def run(self, generators: "list[dict[str, Tensor]]") -> int:
        """Run until the last epoch, or until the patience ends; raises E405, E511.

        Returns the number of the signal that stopped the run, or 0.
        `generators` are the states of all ranks from a checkpoint within an epoch, else empty.
        """
        while self.has_more:
            try:
                self._epoch(generators)
            except Stopped as stopped:
                self._save_midway()
                return stopped.number
            generators = []
        return 0

    def _epoch(self, generators: "list[dict[str, Tensor]]") -> None:
        self._train(generators)
        self._stop_if_requested()
        # the sum over all ranks: if the run stops after the test, the checkpoint adds nothing more
        self.progress.totals = self.team.sum(self.learner.totals.clone()).tolist()
        scores = self.learner.scores(self.progress.totals, len(self.train))
        if not isfinite(scores[LOSS]):
            self._find_fault()
        tested = self._test() if self.test else None
        self._stop_if_requested()
        done, lr, seconds = self.progress, self._rate(self.plan.steps - 1), self.progress.seconds
        speed = len(self.train) / seconds
        record = EpochRecord(done.epoch + 1, scores, tested, lr, seconds, speed)
        self.progress = Progress(done.epoch + 1, records=[*done.records, record], by=done.by)
        self._save()
        self.watcher.on_epoch(record, self._tested() if self.progress.best is record else None)

    def _train(self, generators: "list[dict[str, Tensor]]") -> None:
        """Run the remaining steps of the epoch; raises Stopped and E511."""
        check = LossCheck(self.team.device)
        self._begin(generators)
        for batches, size in self._steps():
            start, step = perf_counter(), self.progress.step
            try:
                self.learner.step(batches, size, self._rate(step))
            except NotFinite as fault:
                raise not_finite(self.progress.epoch + 1, step + 1, str(fault)) from None
            self.progress.step += 1
            self.watcher.on_batch(self.progress.step)
            if check.failed(self.learner.totals, step):
                self._find_fault()
            if step + 1 == self.plan.steps:
                self.progress.totals = self.learner.totals.tolist()  # waits for the device, to measure all of the epoch
            self.progress.seconds += perf_counter() - start
            if self.recipe.save_steps and (step + 1) % self.recipe.save_steps == 0 and step + 1 < self.plan.steps:
                self._save_midway()
            self._stop_if_requested(step)

    def _begin(self, generators: "list[dict[str, Tensor]]") -> None:
        import torch

        self.learner.begin()
        if self.progress.step and self.team.rank == 0:
            totals = self.learner.totals
            totals += torch.tensor(self.progress.totals, dtype=totals.dtype, device=totals.device)
        torch.manual_seed(derive(self._seed, "epoch", self.progress.epoch, self.progress.step, self.team.rank))
        if len(generators) == self.team.world:
            self.learner.set_generators(generators[self.team.rank])

    def _steps(self) -> "Iterator[tuple[Iterable[tuple[Tensor, Tensor, Share]], int]]":
        """Yield this rank's batches of each remaining step, and the number of examples of all ranks in the step."""
        steps = list(self.plan.from_step(self.progress.step))
        shares = [self.plan.share(batch, self.team.rank) for step in steps for batch in step]
        # a rank without a share uses the epoch's first example instead: otherwise the others would wait for it
        ranges = [share if len(share) else Range(0, 1) for share in shares]
        found = self.train.batches(self.order(self._seed, self.progress.epoch), ranges)
        whole = (batch for step in steps for batch in step)
        batches = (
            (images, targets, Share(self._seed, self.progress.epoch, batch, share))
            for (images, targets), share, batch in zip(found, shares, whole, strict=True)
        )
        for step in steps:
            yield islice(batches, len(step)), sum(map(len, step))

    def _test(self) -> dict[str, float]:
        """Return loss and metrics on the test set, by name; each rank tests a part of it."""
        assert self.test is not None
        everything = Plan(len(self.test), len(self.test), world=self.team.world)
        part = everything.share(Range(0, len(self.test)), self.team.rank)
        size = max(TEST_BATCH, self.recipe.batch // self.team.world)
        ranges = [Range(start, min(start + size, part.stop)) for start in range(part.start, part.stop, size)]
        self.team.share(self.learner.buffers())
        self.learner.test(self._interruptible(self.test.batches(None, ranges)))
        totals = self.team.sum(self.learner.totals.clone()).tolist()
        self.tested = totals[1:]
        return self.learner.scores(totals, len(self.test))

    def _tested(self) -> Tested | None:
        """Return the record of the last test, on the first rank."""
        if self.test is None:
            return None
        answers = self.team.gather(self.learner.answers.rows())
        if self.team.rank:
            return None
        return answers_of_all(self.progress.epoch, answers, self.identity.labels, self.test, self.learner.preprocess)

    def _interruptible(self, batches: "Iterator[tuple[Tensor, Tensor]]") -> "Iterator[tuple[Tensor, Tensor]]":
        for batch in batches:
            if self.team.world == 1:
                self._stop_if_requested()
            yield batch

    def _stop_if_requested(self, step: int | None = None) -> None:
        """Raise Stopped if any rank has received a signal."""
        number = self.team.any_signal(self.request.signal, step)
        if number:
            raise Stopped(number)

    def _find_fault(self) -> None:
        """Raise E511: repeat the steps since the last checkpoint, and check every loss."""
        saved = checkpoint.read(self.folder)
        assert saved is not None  # a run starts with a checkpoint
        epoch, step = self.progress.epoch, self.progress.step
        self.learner.restore(saved.learner)
        self.learner.watchful = True
        self.progress = replace(saved.progress)
        self._train(saved.generators)
        raise not_finite(epoch + 1, step, "it stayed finite when the epoch was repeated")

    def _save(self) -> None:
        """Save the end of an epoch: the last weights, the best weights if they improved, and the state."""
        if self.team.rank == 0:
            state = self.learner.state()
            better = self.progress.best is self.progress.records[-1]
            names = [checkpoint.LAST, *([checkpoint.BEST] if better else [])]
            if self.recipe.save_every and self.progress.epoch % self.recipe.save_every == 0:
                names.append(checkpoint.KEPT_WEIGHTS.format(self.progress.epoch))
            checkpoint.write_weights([self.folder / each for each in names], result(state), self.identity.labels)
            checkpoint.write(self.folder, Checkpoint(self.identity, self.progress, state, []))

    def _save_midway(self) -> None:
        totals = self.team.sum(self.learner.totals.clone()) if self.learner.module.training else None
        if totals is not None:
            self.progress.totals = totals.tolist()
        generators = self.team.gather(self.learner.generators())
        if self.team.rank == 0:
            checkpoint.write(self.folder, Checkpoint(self.identity, self.progress, self.learner.state(), generators))

    def _rate(self, step: int) -> float:
        return rate(self.recipe, self.progress.epoch * self.plan.steps + step, self.plan.steps)

    @property
    def _seed(self) -> int:
        return self.recipe.seed or 0
