"""Build the wheel and the sdist, and try both outside the checkout, in fresh environments: `python -m tests.dist PINS`.

Takes a file of pins for pip and leaves both archives in dist/. Fails if an archive lacks a file or cannot be installed,
or if a command of the installed cnnc fails. Needs only the standard library; uv and the environments are temporary.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from cnnc.version import __version__

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
WHEEL = f"cnnc-{__version__}-py3-none-any.whl"
SDIST = f"cnnc-{__version__}.tar.gz"
COMMANDS = {
    "--version": f"{__version__}\n",
    "explain E301": "# E301",
    "explain share": "# `share`",
    "check specs/lenet.yaml": "61,706 parameters",
}


class Environment:
    """A virtual environment with one package, and commands that run in it, without PYTHONPATH."""

    def __init__(self, folder: Path, package: str, pins: str) -> None:
        """Create it; `pins` may be empty, for the newest packages."""
        venv.create(folder, with_pip=True)
        self.scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        self.variables = {**os.environ, "PIP_CONSTRAINT": pins, "PIP_BUILD_CONSTRAINT": pins, "PYTHONSAFEPATH": "1"}
        self.variables.pop("PYTHONPATH", None)
        self.run(folder, "python", "-m", "pip", "install", "--quiet", package)

    def run(self, folder: Path, program: str, *words: str, code: int = 0) -> str:
        """Return the output of a program of this environment that runs in `folder`; raises SystemExit if it fails."""
        print("$", program, *words, flush=True)
        command = [str(self.scripts / program), *words]
        done = subprocess.run(
            command, cwd=folder, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        text = done.stdout.decode(errors="replace").replace("\r\n", "\n")
        if done.returncode != code:
            raise SystemExit(f"{text}\nexit code {done.returncode}, expected {code}")
        return text

    def expect(self, folder: Path, words: str, expected: str, code: int = 0) -> None:
        """Run `cnnc WORDS` in `folder`, and raise SystemExit unless it prints `expected`."""
        text = self.run(folder, "cnnc", *words.split(), code=code)
        if expected not in text:
            raise SystemExit(f"{text}\nexpected {expected!r}")


def require_files() -> None:
    """Raise SystemExit if an archive lacks one of cnnc's files, such as py.typed or a page of `cnnc explain`."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cnnc").rglob("*") if path.is_file()}
    wanted = {path for path in files if "__pycache__" not in path}
    with ZipFile(DIST / WHEEL) as wheel, tarfile.open(DIST / SDIST) as sdist:
        found = {WHEEL: {*wheel.namelist()}, SDIST: {name.partition("/")[2] for name in sdist.getnames()}}
    for archive, names in found.items():
        if missing := wanted - names:
            raise SystemExit(f"{archive} lacks {', '.join(sorted(missing))}")


def main(pins: str = "") -> None:
    """Build both archives and try them; without `pins`, with the newest packages."""
    pins = str(Path(pins).resolve()) if pins else ""
    shutil.rmtree(DIST, ignore_errors=True)
    with TemporaryDirectory(prefix="cnnc-dist-") as name:
        home = Path(name)
        builder = Environment(home / "uv", "uv", "")
        options = ["--no-config", "--python", str(builder.scripts / "python"), "--out-dir", str(DIST)]
        options += ["--build-constraints", pins] if pins else []
        builder.run(ROOT, "uv", "build", "--quiet", *options)
        require_files()
        work = home / "work"
        (work / "specs").mkdir(parents=True)
        shutil.copy(ROOT / "specs/lenet.yaml", work / "specs")
        shutil.copy(ROOT / "tests/data/seven.png", work)
        light = Environment(home / "sdist", str(DIST / SDIST), pins)
        for words, expected in COMMANDS.items():
            light.expect(work, words, expected)
        light.expect(work, "build specs/lenet.yaml", "[build]", code=1)  # E513 names the extra
        full = Environment(home / "wheel", f"{DIST / WHEEL}[build]", pins)
        for words, expected in COMMANDS.items():
            full.expect(work, words, expected)
        full.expect(work, "build specs/lenet.yaml", "lenet.onnx")
        full.expect(work, "infer build/lenet/lenet.onnx seven.png --provider cpu", "seven.png (cpu, ")
    print(f"{DIST / WHEEL} and {SDIST} install and run")


if __name__ == "__main__":
    main(*sys.argv[1:])
