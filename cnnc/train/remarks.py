"""Notes on a run: before its first epoch on what it lacks, and at its end on results that a user should not trust.

A part that is not held out, or lacks a class, the default rate for pretrained weights, a loss that has exploded without
becoming NaN, all pictures predicted as one class: nothing of this stops a run, and a low number alone may not show it.
"""

from collections.abc import Iterator, Sequence
from math import log

from cnnc.data.dataset import Data
from cnnc.diagnostics import listed
from cnnc.language.recipe import Train
from cnnc.train.monitor.metrics import EpochRecord

EXPLODED = 4.0  # times the loss of a guess
GROWN = 10.0  # times the lowest loss of the run
SHOWN = 5  # names in a note


def before(recipe: Train, data: Data, *, tuned: bool) -> Iterator[str]:
    """Yield notes on a run that begins or continues; `tuned` if it begins from weights of another run."""
    if data.test is None:
        yield "no part of the data is held out: the scores are of pictures that are trained on; use `--val-split 0.1`"
    if tuned and "lr" not in recipe.model_fields_set:
        yield f"`lr` is the default, {recipe.lr:g}: fine-tuning usually takes less, and `--find-lr` proposes a rate"


def remarks(records: Sequence[EpochRecord], data: Data, kind: str, tested: Sequence[float]) -> Iterator[str]:
    """Yield notes on a complete run; `tested` are the task's sums of the last test, and empty without one."""
    yield from _exploded(records, data, kind)
    if data.test is not None and kind == "classes":
        yield from _one_class(data, tested)
        yield from _lacking(data)


def _exploded(records: Sequence[EpochRecord], data: Data, kind: str) -> Iterator[str]:
    losses = [each.train_loss for each in records]
    guess = log(data.num_classes) if kind == "classes" and data.num_classes > 1 else losses[0]
    last = losses[-1]
    if last > EXPLODED * guess or (last > guess and last > GROWN * min(losses)):
        than = f"a guess has {guess:.3g}" if kind == "classes" else f"it began with {guess:.3g}"
        yield f"the training has diverged: its last loss is {last:.3g}, and {than}; lower `lr` or add `warmup`"


def _one_class(data: Data, tested: Sequence[float]) -> Iterator[str]:
    size = len(tested) // 3  # for each class: right, true, predicted; see `cnnc.train.tasks`
    true, predicted = tested[size : 2 * size], tested[2 * size :]
    if sum(map(bool, predicted)) == 1 < sum(map(bool, true)):
        name = _name(data, next(index for index, count in enumerate(predicted) if count))
        yield f"the network predicts {name} for all pictures of the test part: it has not learned to tell them apart"


def _lacking(data: Data) -> Iterator[str]:
    assert data.test is not None  # the caller has checked it
    missing = sorted({*data.train.labels.tolist()} - {*data.test.labels.tolist()})
    if missing:
        names = [_name(data, each) for each in missing]
        shown = listed(names) if len(names) <= SHOWN else f"{', '.join(names[:SHOWN])} …"
        which = f"{len(names)} class{'es' * (len(names) > 1)}"
        yield f"the test part has no pictures of {which}, so the scores leave them out: {shown}"


def _name(data: Data, index: int) -> str:
    return f"`{data.classes[index]}`" if data.classes and index < len(data.classes) else f"class {index}"
