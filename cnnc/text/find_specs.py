"""Finds the spec files that a command line names: paths, folders, and globs.

In a folder, a file counts as a spec if one of `KEYS` is at its top level. A file named directly or by a glob always
counts.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from os import walk
from os.path import exists, isdir, isfile  # these return False for an invalid name, where pathlib raises
from pathlib import Path
from typing import NamedTuple

from cnnc.text.source import SUFFIXES

KEYS = ("cnnc", "nodes", "input", "blocks")  # not `inputs`, which GitHub actions and the manifests of builds have
HEAD = 1 << 16  # bytes of a file that are read

_KEY = rf"""(["']?)(?:{"|".join(KEYS)})\1[ \t]*:(?=\s|$)"""
_TOKEN = r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+'


class FoundSpecs(NamedTuple):
    """The specs, without duplicates, and the files in folders that do not look like specs.

    `emptied` are the folders whose specs are all left out.
    """

    specs: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


def find_specs(given: Iterable[str], left_out: Callable[[str], bool] = lambda path: False) -> FoundSpecs:
    """The specs that `given` names. A path that does not exist is kept, so that reading it reports the error.

    `left_out` decides for each file in a folder whether to skip it.
    """
    specs: dict[str, None] = {}
    passed_over: dict[str, None] = {}
    emptied: dict[str, None] = {}
    for each in given:
        for path in [each] if exists(each) else _matches(each):
            if path == "-" or not isdir(path):
                specs[path] = None
                continue
            inside = [str(file) for file in sorted(files_in(path))]
            files = [file for file in inside if not left_out(file)]
            found = [file for file in files if _looks_like_spec(Path(file))]
            if not found and any(_looks_like_spec(Path(file)) for file in inside if left_out(file)):
                emptied[path] = None
            else:
                specs |= dict.fromkeys(found or [path])
            passed_over |= dict.fromkeys(file for file in files if file not in found)
    return FoundSpecs(tuple(specs), tuple(each for each in passed_over if each not in specs), tuple(emptied))


def _matches(pattern: str) -> list[str]:
    """The files that a glob matches, or the pattern itself if there are none."""
    from glob import glob, has_magic  # slow to import; a path that exists does not need it

    return (sorted(glob(pattern, recursive=True)) if has_magic(pattern) else []) or [pattern]


def files_in(folder: str, most_folders: int | None = None) -> Iterator[Path]:
    """The files in a folder, at any depth, that may be specs; hidden folders and packages of npm are not searched."""
    for at, folders, files in islice(walk(folder), most_folders):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each != "node_modules")
        for name in sorted(files):
            path = Path(at, name)
            if path.suffix in SUFFIXES and not name.startswith(".") and isfile(path):
                yield path


def _looks_like_spec(path: Path) -> bool:
    """Whether a file looks like a spec; one that cannot be read does, so that reading it reports the error."""
    try:
        with path.open("rb") as file:
            data = file.read(HEAD)
    except OSError:
        return True
    return has_spec_keys(data.replace(b"\0", b"").decode(errors="ignore"))  # without NULs, UTF-16 is readable too


def has_spec_keys(text: str) -> bool:
    """Whether one of the keys is at the top level of a text, which may be invalid otherwise."""
    text = text.lstrip("\ufeff")
    lines = [line.removeprefix("---") for line in text.splitlines()]
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return False
    if lines[0].lstrip().startswith(("{", "[")):
        return _has_key(" ".join(lines))
    indent = len(lines[0]) - len(lines[0].lstrip())
    return any(re.match(_KEY, line[indent:]) for line in lines if not line[:indent].strip())


def _has_key(text: str) -> bool:
    """Whether one of the keys is in the outermost braces of a text."""
    depth = 0
    for token, behind in pairwise(re.findall(_TOKEN, text)):
        depth += (token in ("{", "[")) - (token in ("]", "}"))
        if depth == 1 and behind == ":" and token.strip("\"'") in KEYS:
            return True
    return False
