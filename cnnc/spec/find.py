"""Which files a command line means: paths as they are, folders with the specs in them, globs."""

from collections.abc import Iterable
from glob import glob, has_magic
from os.path import exists, isdir  # of a name that no file can have these say no, where pathlib raises
from pathlib import Path

from cnnc.spec.source import SUFFIXES


def find_specs(given: Iterable[str]) -> list[str]:
    """The specs that are meant, each once. What does not exist is kept: reading it says so."""
    found: dict[str, None] = {}
    for each in given:
        paths = sorted(glob(each, recursive=True)) if has_magic(each) and not exists(each) else [each]
        for path in paths or [each]:
            found.update(dict.fromkeys(_inside(Path(path)) if path != "-" and isdir(path) else [path]))
    return list(found)


def _inside(folder: Path) -> list[str]:
    """The specs in a folder, at any depth; of the JSON files only those that say that they are specs."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    specs = [str(path) for path in files if path.suffix != ".json" or _is_spec(path)]
    return specs or [str(folder)]


def _is_spec(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b'"cnnc"' in file.read(4096)
    except OSError:
        return True  # reading it says what is wrong
