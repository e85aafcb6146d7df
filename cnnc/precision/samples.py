"""The pictures of a quantization: some to calibrate with, and others to compare the outputs on.

Takes a request for a data set that `train` and `eval` take, or a folder of pictures without classes. Calibration uses
the training part, the comparison the test part. Without a test part, it gets pictures of the training part that
calibration does not use: the network may have learned from them.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.artifacts.contract import InputContract
from cnnc.data import load as data_sets
from cnnc.data.dataset import DecodedSplit, Files, Part, unreadable
from cnnc.data.folder import decode, pictures_in
from cnnc.data.named_sets import by_name
from cnnc.diagnostics import CnncError, Code
from cnnc.inference.evaluation_batches import feed
from cnnc.precision.choices import HELD_OUT
from cnnc.precision.request import Request

if TYPE_CHECKING:
    Feed = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

AT_ONCE = 8  # pictures of a calibration batch, the values of whose nodes are all in memory
CALIBRATING = 0.75  # of a data set without a test part


@dataclass(frozen=True, eq=False)
class Samples:
    """The pictures to calibrate with, and those to compare the outputs on; `labelled` if their labels are classes.

    `tested` is whether the latter are of the test part of a data set.
    """

    calibration: Part
    held_out: Part
    labelled: bool
    tested: bool

    @property
    def labels(self) -> "np.ndarray[Any, np.dtype[np.int64]] | None":
        """The classes of the held-out pictures, if they have any."""
        return self.held_out.labels if self.labelled else None

    def calibration_feeds(self, to: InputContract, batch: int | None = None) -> "Iterator[Feed]":
        """Yield the calibration pictures in batches, by the name of the input; raises E503 to E505 and E510.

        `batch` is the size of all batches if the model accepts no other.
        """
        return _feeds(self.calibration, to, batch, 1 if None in to.shape else AT_ONCE)

    def held_out_feeds(self, to: InputContract, batch: int | None = None) -> "Iterator[Feed]":
        """Yield the other pictures in the same way."""
        return _feeds(self.held_out, to, batch, None)


def _feeds(part: Part, to: InputContract, fixed: int | None, usual: int | None) -> "Iterator[Feed]":
    if fixed is not None and len(part) < fixed:
        raise CnncError.of(
            Code.DATA_MISFIT,
            f"the model takes batches of {fixed}, but there are only {len(part)} pictures",
            help="use more pictures, or export the model with an open batch size",
        )
    for pictures in feed(part, to, fixed or usual):
        if fixed is None or len(pictures) == fixed:
            yield {to.name: pictures.numpy()}


def read(request: Request) -> Samples:
    """Return the samples of the data set of a request; raises the errors of `data.load`."""
    source, pictures = str(request.calibrate), request.pictures
    path = Path(source)
    if by_name(source) is None and os.path.isdir(path) and (found := pictures_in(path)):
        every = decode(path, Files(found, np.zeros(len(found), np.int64)))
        train, test, labelled = every, None, False
    else:
        data = data_sets.load(
            source,
            limit=request.limit,
            val_split=request.val_split,
            seed=request.seed,
            skip_unreadable=request.skip_unreadable,
        )
        train, test, labelled = data.train, data.test, True
    order = np.random.default_rng(0).permutation(len(train))
    if test is not None:
        others = np.random.default_rng(0).permutation(len(test))
        return Samples(_take(train, order[:pictures]), _take(test, others[:HELD_OUT]), labelled, tested=True)
    if len(train) < 2:
        raise unreadable(path, "it has 1 picture, but calibration and the comparison need different ones")
    count = min(pictures, max(1, int(CALIBRATING * len(train))))
    others = order[count : count + HELD_OUT]
    return Samples(_take(train, order[:count]), _take(train, others), labelled, tested=False)


def _take(part: Part, indices: "np.ndarray[Any, np.dtype[np.intp]]") -> DecodedSplit | Files:
    return part.take(np.sort(indices))
