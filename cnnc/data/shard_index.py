"""The index of tar shards: where the picture and the mask of each example are, and its label.

Takes the archives and returns an `Example` for each key, in order; `label` turns the text of a label into numbers.
Archives are not trusted: what does not fit is E508 with the archive and the example.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.data.dataset import COPY_AGAIN, Labelling, reading, unreadable
from cnnc.data.masks import LOSSLESS
from cnnc.data.pictures import SUFFIXES
from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_file

SUFFIX_OF = {"classes": ".cls", "probabilities": ".json", "vector": ".json"}
LARGEST_LABEL = 1 << 20  # bytes of a member with labels
_MASKS = tuple(f".{name}{suffix}" for name in ("mask", "seg") for suffix in LOSSLESS)


@dataclass(slots=True)
class Example:
    """The places of an example's picture and mask (offset, size), and the text of its label."""

    shard: int
    path: Path
    key: str
    picture: tuple[int, int] | None = None
    mask: tuple[int, int] | None = None
    label: Any = None  # the text of `.cls`, or the value of `.json`

    def error(self, reason: str, help: str | None = None) -> CnncError:
        return unreadable(self.path, f"the example `{self.key}`: {reason}", help)


def indexed(archives: Sequence[Path], kind: str) -> list[Example]:
    """Return the examples of the archives, with labels of that kind; raises CnncError (E508)."""
    found = list[Example]()
    for shard, path in enumerate(archives):
        size = require_file(str(path), Code.DATA_UNREADABLE, "data")
        before = len(found)
        with reading(path):
            try:
                with tarfile.open(path, "r:") as archive:
                    for key, members in groupby(_members(archive, size), key=lambda each: split(each.name)[0]):
                        found.append(_example(archive, Example(shard, path, key), members, SUFFIX_OF.get(kind)))
            except tarfile.TarError as error:
                raise unreadable(path, f"it is not a tar archive, or damaged: {error}", COPY_AGAIN) from error
        if len(found) == before:
            raise unreadable(path, "the archive contains no examples")
    return found


def _members(archive: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """Yield the plain files; raises TarError if the archive ends within one."""
    for member in archive:
        if member.isreg() and member.offset_data + member.size > size:
            raise tarfile.ReadError(f"it ends within {member.name}")
        name = member.name.rpartition("/")[2]
        if member.isreg() and not member.issparse() and not name.startswith((".", "__")):
            yield member


def split(name: str) -> tuple[str, str]:
    """Return the key, which is the path up to the first dot of the name, and the suffix with its dot."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return folder + slash + stem, (dot + suffix).lower()


def _example(
    archive: tarfile.TarFile, example: Example, members: Iterator[tarfile.TarInfo], wanted: str | None
) -> Example:
    for member in members:
        suffix, place = split(member.name)[1], (member.offset_data, member.size)
        if suffix in _MASKS:
            example.mask = place
        elif suffix in SUFFIXES:
            if example.picture is not None:
                raise example.error("it has two pictures")
            example.picture = place
        elif suffix == wanted:
            example.label = _label(example, suffix, archive, member)
    if example.picture is None:
        raise example.error("it has no picture", f"pictures end in {', '.join(sorted(SUFFIXES))}")
    return example


def _label(example: Example, suffix: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    file = archive.extractfile(member)
    if member.size > LARGEST_LABEL or file is None:
        raise example.error(f"its `{suffix}` has {member.size:,} bytes; the limit is {LARGEST_LABEL:,}")
    try:
        text = file.read().decode()
        return json.loads(text) if suffix == ".json" else text.strip()
    except (ValueError, RecursionError) as error:
        raise example.error(f"its `{suffix}` cannot be read: {error}") from error


def names_of(examples: Sequence[Example]) -> tuple[str, ...] | None:
    """Return the names of the classes or labels that occur, sorted; None if they are numbers."""
    labels = [example.label for example in examples]
    each = (name for label in labels for name in (label if isinstance(label, list) else [label]))
    names = sorted({name for name in each if isinstance(name, str) and name})
    return tuple(names) if any(not name.isdigit() for name in names) else None


def label(example: Example, labelling: Labelling, known: dict[str, int]) -> NDArray[Any]:
    """Return the label of an example as numbers; `known` are the indices of the names. Raises CnncError (E508)."""
    if labelling.kind == "segmentation":
        if example.mask is None:
            raise example.error("it has no mask", f"masks end in {', '.join(_MASKS)}")
        return np.array(0, np.int64)
    suffix, value = SUFFIX_OF[labelling.kind], example.label
    if value is None:
        raise example.error(f"it has no `{suffix}`", "the label is a file beside the picture")
    if suffix == ".cls":
        return np.array(_index(example, value, known), np.int64)
    if not isinstance(value, list):
        raise example.error(f"its `.json` must be a list, got {json.dumps(value)[:40]}")
    if labelling.kind == "probabilities" and known and all(isinstance(each, str) for each in value):
        flags = np.zeros(len(known), np.float32)
        flags[[_index(example, each, known) for each in value]] = 1
        return flags
    wrong = [each for each in value if not _is_number(each, flag=labelling.kind == "probabilities")]
    if wrong:
        wanted = "0 and 1, or names" if labelling.kind == "probabilities" else "finite numbers"
        raise example.error(f"its `.json` must be a list of {wanted}, got {json.dumps(wrong[0])[:40]}")
    return np.array(value, np.float32)


def _is_number(value: Any, *, flag: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return flag and isinstance(value, bool)
    return value in (0, 1) if flag else abs(value) < 3e38


def _index(example: Example, name: str, known: dict[str, int]) -> int:
    if name in known:
        return known[name]
    if re.fullmatch(r"\d{1,9}", name) and (not known or int(name) < len(known)):
        return int(name)
    labels = ", ".join(list(known)[:10])
    raise example.error(f"unknown label {name!r}", f"the labels are {labels}" if known else "it must be a number")
