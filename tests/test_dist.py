"""`make dist` fails if an archive lacks a file, or a command fails."""

import os
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests import dist


def archives(folder, left_out=""):
    """A wheel and an sdist with cnnc's files, but for one in the archive that `left_out` begins with."""
    with ZipFile(folder / dist.WHEEL, "w") as wheel, tarfile.open(folder / dist.SDIST, "w:gz") as sdist:
        for path in sorted((dist.ROOT / "cnnc").rglob("*")):
            name = path.relative_to(dist.ROOT).as_posix()
            if path.is_file() and "__pycache__" not in name:
                if left_out != f"wheel {name}":
                    wheel.write(path, name)
                if left_out != f"sdist {name}":
                    sdist.add(path, f"cnnc-1/{name}")


@pytest.mark.parametrize("missing", ["wheel cnnc/py.typed", "sdist cnnc/diagnostics/pages/E301.md"])
def test_archives_have_all_files(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(dist, "DIST", tmp_path)
    archives(tmp_path)
    dist.require_files()
    archives(tmp_path, missing)
    with pytest.raises(SystemExit, match=f"lacks {missing.split()[1]}$"):
        dist.require_files()


def test_a_command_that_fails_or_prints_something_else_is_an_error(tmp_path):
    environment = object.__new__(dist.Environment)  # this one, in place of a new one
    environment.scripts, environment.variables = Path(sys.executable).parent, {**os.environ}
    environment.expect(tmp_path, "--version", "0.")
    with pytest.raises(SystemExit, match="exit code 0, expected 1"):
        environment.expect(tmp_path, "--version", "0.", code=1)
    with pytest.raises(SystemExit, match="exit code 2, expected 0"):
        environment.expect(tmp_path, "--no-such-option", "")
    with pytest.raises(SystemExit, match="expected '9999'"):
        environment.expect(tmp_path, "--version", "9999")
