"""`cnnc eval` of the model of a run: the data of the run, and the part of them that it held out.

A run of `cnnc train` writes its recipe to `run.json`. With `--run FOLDER`, or with weights that are in the folder of a
run, eval tests on the same examples as the run did.
"""

import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.cli.options import note
from cnnc.cli.parser import WrongCall

if TYPE_CHECKING:
    from cnnc.data.dataset import Data


@dataclass(frozen=True)
class ScoredData:
    """The arguments of `cnnc.data.load.load`, and the run that they come from with the hash of its data."""

    data: str
    masks: str | None
    limit: int | None
    val_split: float | None
    seed: int
    skip_unreadable: bool
    run: Path | None = None
    fingerprint: str | None = None

    def load(self, kind: str, names: tuple[str, ...] | None) -> "Data":
        """Load the data, with labels for an output of that kind; a note says if they are not those of the run."""
        from cnnc.data.dataset import Labelling
        from cnnc.data.load import load

        masks = Path(self.masks) if self.masks else None
        found = load(
            self.data,
            limit=self.limit,
            val_split=self.val_split,
            seed=self.seed,
            skip_unreadable=self.skip_unreadable,
            target=Labelling(kind, names=names, masks=masks),
        )
        if self.fingerprint not in (None, found.fingerprint):
            changed = f"{self.data} has changed since the run in {self.run} began"
            note(f"{changed}: the run may have trained on pictures that are now tested")
        return found


def scored_data(given: Namespace) -> ScoredData:
    """Return the data to score: that of the command line, completed by the run; raises WrongCall without data."""
    run = _run(given)
    recipe: dict[str, Any] = run[1]["recipe"] if run else {}
    data = given.data or recipe.get("data")
    if data is None:
        raise WrongCall("--data is required, unless --run, or the folder of --weights, is a run of `cnnc train`")
    own = ScoredData(data, given.masks, given.limit, given.val_split, given.seed, given.skip_unreadable)
    if run is None or own.val_split is not None or not _same(data, recipe.get("data")):
        return own
    folder, about = run
    if recipe.get("val_split"):
        note(f"testing on the part of {data} that the run in {folder} held out: {recipe['val_split']:.0%}")
    return ScoredData(
        data,
        given.masks or recipe.get("masks"),
        recipe.get("limit") if recipe.get("val_split") else given.limit,
        recipe.get("val_split"),
        recipe.get("seed") or 0,
        bool(given.skip_unreadable or recipe.get("skip_unreadable")),
        folder,
        about["fingerprint"] if recipe.get("val_split") else None,
    )


def _run(given: Namespace) -> tuple[Path, dict[str, Any]] | None:
    """Return the folder of the run and its summary; None without a run. Raises E512 if the summary is not usable."""
    from cnnc.diagnostics import CnncError, Code
    from cnnc.train.run_file import RUN, RunChanged, read_run

    folder = given.run or (given.weights and os.path.dirname(given.weights))
    if folder is None:
        return None
    path = Path(folder) / RUN
    try:
        about = read_run(path)
        reason = "no such file"
        if about is not None and not (isinstance(about.get("recipe"), dict) and "fingerprint" in about):
            about, reason = None, "it is not one of `cnnc train`"  # another tool's
    except (OSError, RunChanged) as error:
        about, reason = None, getattr(error, "strerror", None) or str(error)
    if about is None and given.run is not None:
        help = f"--run is the folder of a run of `cnnc train`, with {RUN}"
        raise CnncError.of(Code.CANNOT_RESUME, f"cannot read the run {path}: {reason.lower()}", help=help)
    return None if about is None else (Path(folder), about)


def _same(one: str, other: str | None) -> bool:
    return one == other or (other is not None and os.path.realpath(one) == os.path.realpath(other))
