"""Keep the folder of an earlier run or sweep under another name."""

from os.path import exists
from pathlib import Path


def set_aside(folder: Path) -> Path:
    """Rename the folder to the first free of `NAME.1`, `NAME.2` …, and return its new path; raises E405."""
    from cnnc.files.write import reported

    number = 1
    while exists(aside := folder.with_name(f"{folder.name}.{number}")):
        number += 1
    with reported(folder):
        folder.rename(aside)
    return aside
