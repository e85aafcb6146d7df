"""Find a learning rate: `cnnc train --find-lr` (the range test of Smith, 2017).

Trains for some steps with a rate that rises exponentially, and proposes a tenth of the rate at which the smoothed loss
is lowest. The weights are thrown away.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.files.write import make_folder, write_file
from cnnc.graph.graph import Graph
from cnnc.train.devices import assemble, settings
from cnnc.train.learner import NotFinite
from cnnc.train.not_finite import not_finite
from cnnc.train.recipe import merged_recipe
from cnnc.train.setup import Setup, set_up
from cnnc.train.share import Share

if TYPE_CHECKING:
    from torch import Tensor

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
SMOOTHING = 0.9  # the part of the smoothed loss that stays in a step
DIVERGED = 4.0  # times the lowest smoothed loss, which ends the search


@dataclass(frozen=True)
class Curve:
    """The smoothed loss after a step with each rate, and the proposal."""

    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def proposal(self) -> float:
        """A tenth of the rate with the lowest loss, with one digit."""
        lowest = min(range(len(self.losses)), key=self.losses.__getitem__)
        return float(f"{self.rates[lowest] / 10:.0e}")

    def as_json(self) -> dict[str, Any]:
        return {"proposal": self.proposal, "rates": [*self.rates], "losses": [*self.losses]}

    def as_text(self, rows: int = 12) -> str:
        """Return a table of some of the rates, and the proposal."""
        step = max(1, len(self.rates) // rows)
        pairs = [*zip(self.rates, self.losses, strict=True)][::step]
        lines = [f"{rate:<10.2g}{loss:>10.4f}" for rate, loss in pairs]
        return "\n".join(["rate            loss", *lines, f"proposal: --lr {self.proposal:g}"])


def find_rate(
    graph: Graph,
    given: Mapping[str, Any],
    *,
    weights: "Mapping[str, Tensor] | None" = None,
    device: str = "auto",
    say: Callable[[str], None] = lambda text: None,
    on_step: Callable[[], None] = lambda: None,
) -> Curve:
    """Return the curve of the losses of a graph, from `weights` or drawn ones, with the fields of a recipe `given`.

    `say` is called with notes for the user, and `on_step` after each of at most STEPS steps.
    """
    recipe = merged_recipe(graph.train, given)
    with settings(recipe):
        team = assemble(recipe, device, unused=sum(not each.train_only for each in graph.outputs) > 1)
        return search(set_up(graph, recipe, team, weights, say), recipe.seed or 0, on_step)


def search(setup: Setup, seed: int, on_step: Callable[[], None]) -> Curve:
    """Train with a rising rate until the loss has diverged, or until HIGHEST."""
    learner, smooth, before = setup.learner, 0.0, 0.0
    rates: list[float] = []
    losses: list[float] = []
    learner.begin()
    for step, (batches, size) in enumerate(islice(_steps(setup, seed), STEPS)):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
        try:
            learner.step(batches, size, rate)
        except NotFinite:
            break
        on_step()
        total = float(learner.totals[0])
        smooth = SMOOTHING * smooth + (1 - SMOOTHING) * (total - before) / size
        before, unbiased = total, smooth / (1 - SMOOTHING ** (step + 1))
        if not isfinite(unbiased):
            break
        rates.append(rate)
        losses.append(unbiased)
        if unbiased > DIVERGED * min(losses):
            break
    if not rates:
        raise not_finite(1, 1, "it is so before the weights have changed")
    return Curve(rates, losses)


def _steps(setup: Setup, seed: int) -> "Iterator[tuple[list[tuple[Tensor, Tensor, Share]], int]]":
    """Yield the batches of each step, and their number of examples, epoch after epoch."""
    for epoch in count():
        steps = [*setup.plan.from_step(0)]
        ranges = [batch for step in steps for batch in step]
        found = setup.train.batches(setup.order(seed, epoch), ranges)
        for step in steps:
            pairs = zip(islice(found, len(step)), step, strict=True)
            yield [(*pair, Share(seed, epoch, batch, batch)) for pair, batch in pairs], sum(map(len, step))


def write(curve: Curve, folder: Path, name: str) -> list[Path]:
    """Write `NAME.lr.json` and the picture `NAME.lr.png`, and return their paths; raises E405."""
    make_folder(folder)
    paths = [folder / f"{name}.lr.json", folder / f"{name}.lr.png"]
    write_file(paths[0], (json.dumps(curve.as_json()) + "\n").encode())
    write_file(paths[1], draw(curve))
    return paths


def draw(curve: Curve) -> bytes:
    """Draw the losses over the rates, with a line at the proposal, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((6, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.semilogx(curve.rates, curve.losses)
    axes.axvline(curve.proposal, color="C1", linestyle="--", label=f"proposal: {curve.proposal:g}")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("smoothed loss")
    axes.grid()
    axes.legend()
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
