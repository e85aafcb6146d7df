"""`python -m tests.bench.quality [digits] [fashion] [scenes] [--folder F]`: how good the recipes of the reference are.

Trains each recipe with five seeds (`scenes` with three), and with three of them without each of its ingredients. A
score is that of the last epoch on the test part of the data, with which nothing was chosen. F (default:
`build/quality`) gets the data, which is downloaded, and `results.json`, from which a second call continues. The tables
of the reference show the figures of `tests/bench/quality.json`.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

from cnnc import compiler
from cnnc.files.write import write_file
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.train.memory import keep_memory
from cnnc.train.monitor.metrics import METRICS
from cnnc.train.run import train
from tests import digits_on_textures, subsets
from tests.bench.measure import ROOT
from tests.train.conftest import Quiet

MEASURED = Path(__file__).with_suffix(".json")
FEWER = 3  # seeds without an ingredient
GIVEN = ("batch", "epochs", "optimizer", "lr", "weight_decay", "init", "seed")  # not left out


@dataclass(frozen=True)
class Measure:
    """A recipe: its spec, and the metric of its task, which is shown in per cent."""

    spec: str
    metric: str = "accuracy"
    seeds: int = 5
    ablated: bool = True

    def graph(self) -> Graph:
        return compiler.load(ROOT / "specs" / f"{self.spec}.yaml")

    def about(self) -> dict[str, Any]:
        """What its results depend on: the recipe, and how large the network is."""
        graph = self.graph()
        assert graph.train is not None  # the specs have recipes
        return {
            "recipe": graph.train.model_dump(exclude_unset=True),
            "parameters": sum(node.cost.params for node in graph.nodes),
        }


MEASURES = {
    "digits": Measure("resnet_digits"),
    "fashion": Measure("resnet_fashion"),
    "scenes": Measure("unet_digits", "mean_iou", seeds=3, ablated=False),
}


def without(recipe: Train) -> dict[str, dict[str, Any]]:
    """The fields that leave out each ingredient of a recipe, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in recipe.model_dump(exclude_unset=True).items():
        if name == "augment":
            found |= {f"`{each}`": {name: [other for other in value if other != each]} for each in value}
        elif name not in GIVEN:
            found[f"`{name}: {value}`"] = {name: None}
    return found


def data(name: str, folder: Path) -> str:
    """The path of the data of a measure, which is made or downloaded if it is missing."""
    path = folder / name
    if not path.exists():
        unfinished = folder / f"{name}-unfinished"
        if name == "scenes":
            digits_on_textures.write(data("digits", folder), unfinished)
        else:
            subsets.write(subsets.SUBSETS[name], unfinished)
        unfinished.rename(path)
    return str(path)


def score(measure: Measure, given: Mapping[str, Any]) -> dict[str, float]:
    """Train, and return the score of the last epoch in per cent, with the seconds that it took."""
    wall, cpu = perf_counter(), process_time()
    with TemporaryDirectory() as folder, patch("cnnc.train.run.Watcher", Quiet):
        trained = train(measure.graph(), given, Path(folder), device="cpu")
    if trained.signal:
        sys.exit(128 + trained.signal)
    last = trained.records[-1]
    assert last.test is not None
    seconds = {"cpu_seconds": round(process_time() - cpu, 1), "seconds": round(perf_counter() - wall, 1)}
    return {"score": round(100 * last.test[measure.metric], 3), **seconds}


def measure(name: str, folder: Path, results: dict[str, Any]) -> Iterator[str]:
    """Add to `results` the runs of a measure that are missing, and yield a line for each."""
    measure = MEASURES[name]
    about = measure.about()
    if results.get(name, {}).get("about") != about:
        results[name] = {"about": about, "runs": {}}
    for variant, seed, fields in runs(measure):
        done = results[name]["runs"].setdefault(variant, {})
        if str(seed) not in done:
            done[str(seed)] = score(measure, {"data": data(name, folder), "seed": seed, **fields})
            yield f"{name}, without {variant or 'nothing'}, seed {seed}: {done[str(seed)]}"


def runs(measure: Measure) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The runs of a measure: the ingredient that is left out, the seed, and the fields that leave it out."""
    recipe = measure.graph().train
    assert recipe is not None  # `about` has it
    yield from (("", seed, {}) for seed in range(measure.seeds))
    for seed in range(FEWER if measure.ablated else 0):
        yield from ((variant, seed, fields) for variant, fields in without(recipe).items())


def spread(scores: Sequence[float]) -> str:
    """The mean and the standard deviation, which one run alone does not have."""
    return f"{mean(scores):.2f} ± {stdev(scores):.2f}" if len(scores) > 1 else f"{scores[0]:.2f}"


def recipes(results: Mapping[str, Any]) -> str:
    """The table of the recipes: network, epochs, CPU time, and the mean and standard deviation of the score."""
    lines = [
        "| data | recipe | parameters | epochs | time | seeds | score | |",
        "| --- | --- | --: | --: | --: | --: | --- | --- |",
    ]
    for name, found in results.items():
        about, done = found["about"], found["runs"][""].values()
        spec, metric = MEASURES[name].spec, METRICS[MEASURES[name].metric].label
        seconds = mean(each["cpu_seconds"] for each in done)
        cells = (
            name,
            f"[{spec}.yaml]({spec}.yaml)",
            f"{about['parameters']:,}",
            about["recipe"]["epochs"],
            f"{seconds:.0f} s",
            len(done),
            spread([each["score"] for each in done]),
            metric,
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def ablations(results: Mapping[str, Any]) -> str:
    """The table of the ingredients: the score without each, and the difference to the recipe with the same seeds."""
    found = {name: each["runs"] for name, each in results.items() if MEASURES[name].ablated}
    variants = dict.fromkeys(variant for done in found.values() for variant in done)
    lines = [f"| without | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for variant in variants:
        cells = [_cell(done, variant) for done in found.values()]
        lines.append(f"| {variant or '–'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(runs: Mapping[str, Any], variant: str) -> str:
    if variant not in runs:
        return ""
    scores = {seed: each["score"] for seed, each in runs[variant].items()}
    if not variant:
        return spread([*scores.values()])
    lost = mean(scores.values()) - mean(runs[""][seed]["score"] for seed in scores)
    return f"{spread([*scores.values()])} ({lost:+.2f})".replace("-", "−")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description="The scores of the recipes.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)} (default: all)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "quality", help="for the data and the results")
    given = parser.parse_args()
    if unknown := {*given.names} - {*MEASURES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    keep_memory()
    path = given.folder / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in given.names or MEASURES:
        for line in measure(name, given.folder, results):
            write_file(path, (json.dumps(results, indent=1) + "\n").encode())
            print(line, flush=True)
    print(f"\n{recipes(results)}\n\n{ablations(results)}")


if __name__ == "__main__":
    main()
