"""`cnnc train SPEC --sweep NAME=VALUE,VALUE ...`: a run for each combination of values, and a table of the results.

A name is a field of the recipe, or a parameter of the spec. `null` is the default of a field.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import note, parameters
from cnnc.cli.parser import WrongCall
from cnnc.cli.recipe_options import swept_fields

if TYPE_CHECKING:
    from cnnc.diagnostics import Diagnostic
    from cnnc.train.run import Trained


def parse(texts: list[str]) -> dict[str, list[Any]]:
    """Return the values by name, each of them parsed as in a spec; raises WrongCall."""
    from cnnc.text.python_data import parse_setting

    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not name or not values.strip() or name in found:
            raise WrongCall(f"--sweep: expected NAME=VALUE,VALUE with each name once, got {text!r}")
        try:
            found[name] = parse_setting(f"{name}=[{values}]")[1]
        except ValueError as error:
            raise WrongCall(f"--sweep: {error}") from None
        if wrong := [each for each in found[name] if isinstance(each, dict)]:
            raise WrongCall(f"--sweep: {name}: expected numbers, words, lists, true, false or null, got {wrong[0]!r}")
        if any(each in found[name][:index] for index, each in enumerate(found[name])):
            raise WrongCall(f"--sweep: {name}: each value may be given only once, got {values}")
    return found


@contextmanager
def _fields_proposed() -> Iterator[None]:
    """Let the help of E216, which is about the spec's parameters, also propose the fields of the recipe."""
    from cnnc.diagnostics import CnncError, Code
    from cnnc.diagnostics.suggestions import nearest

    def proposed(found: "Diagnostic") -> "Diagnostic":
        if found.code is not Code.UNKNOWN_PARAM or (found.help or "").startswith("did you mean"):
            return found
        field = nearest(found.message.split("`")[3], swept_fields())
        more = f"{found.help}, or a field of the recipe (see `cnnc train --help`)"
        return replace(found, help=f"did you mean the field `{field}` of the recipe?" if field else more)

    try:
        yield
    except CnncError as error:
        raise CnncError([proposed(each) for each in error.diagnostics]) from None


def run_sweep(given: Namespace, fields: dict[str, Any]) -> int:
    """Train all combinations that are not complete yet, print the table, and return the exit code."""
    from cnnc.compiler import load
    from cnnc.diagnostics.missing_packages import require
    from cnnc.language.recipe import Train
    from cnnc.train.checkpoint import files_of_run
    from cnnc.train.memory import keep_memory
    from cnnc.train.recipe import merged_recipe
    from cnnc.train.run import train
    from cnnc.train.set_aside import set_aside
    from cnnc.train.sweep import JOURNAL, Interrupted, Sweep, spelt, table

    values = parse(given.sweep)
    require(["optuna"], "--sweep")
    keep_memory()
    settings = parameters(given.set)
    of_recipe = {name for name in values if name.replace("-", "_") in Train.model_fields}
    with _fields_proposed():
        first = load(given.spec, set={**settings, **{k: v[0] for k, v in values.items() if k not in of_recipe}})
    best = merged_recipe(first.train, fields).best
    folder = Path(given.out) / f"{first.name}.sweep"
    if not given.resume and exists(folder / JOURNAL):
        note(f"the earlier sweep in {folder} is now in {set_aside(folder)}")
    sweep = Sweep(folder, values, best)

    def one(number: int, chosen: dict[str, Any]) -> "Trained":
        shown = " ".join(f"{name}={spelt(value)}" for name, value in chosen.items())
        print(f"run {sweep.done + 1} of {sweep.count}: {shown}", flush=True)
        graph = load(given.spec, set={**settings, **{k: v for k, v in chosen.items() if k not in of_recipe}})
        recipe = {**fields, **{k.replace("-", "_"): v for k, v in chosen.items() if k in of_recipe}}
        begun = bool(files_of_run(folder / str(number) / graph.name))
        return train(graph, recipe, folder / str(number), resume=begun, device=given.device, say=note)

    try:
        results = sweep.run(one)
    except Interrupted as stopped:
        print("stopped; the same command with `--resume` continues the sweep", file=sys.stderr)
        return 128 + stopped.number
    print(f"\n{table(results, best, folder)}")
    return 0
