"""What the README shows is what happens. `UPDATE_README=1 pytest tests/test_readme.py` writes the outputs anew.

Those of the training are of real digits, and stay where only numbers are others; here it trains on drawn ones.
"""

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from cnnc.cli.app import answer

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
VARIES = [
    (r"\d+\.\d ms", "0.0 ms"),
    (r"(?m),cpu,[\d.]+,", ",cpu,0,"),
    (r"(within \S+ of|equal to) torch", "near torch"),
    (r"within \S+ of the ONNX file", "near the ONNX file"),
    (r"sensitivity [\d,]+", "sensitivity 0"),
    (r"\([\d.e+-]+ with its own weights", "(0 with its own weights"),
    (r" +[\d,.]+ [kMG]B", " 0 MB"),
    (r"[0-9a-f]{12}…", "0…"),
    (r"[\d,]+ bytes", "0 bytes"),
    (r"(torch|onnx|onnxruntime(?:-gpu)?) \d+\.\d+\.\d+(?:\+\w+)?", r"\1 0"),
    # how fast it is, on a machine that may be busy
    (r"(?m)^(model  .*  provider) .*\n.*$", r"\1"),
    (r"(?m)^(build/\S+  +cpu  ).*$", r"\1"),
    (r"[\d,]+ runs in \d rounds?", "0 runs"),
    (r"[\d,]+ GFLOP/s on", "0 GFLOP/s on"),
    (r"(?m)^note: (other programs|the machine was noisy).*\n", ""),
    (r"(?m)^(\S+|\(.*\)|total.*profiler)  +[\d.]+  +[\d.]+%.*$", r"\1 0 0%"),
    (r"[\d.]+ × (as fast|slower) \([\d.e-]+ ms, float32 [\d.e-]+ ms\)", "0 × as fast"),
    # how near int8 is to float32
    (r"[\d.]+ dB, [\d.]+% same class", "0 dB"),
    (r"accuracy [\d.]+% \(float32 [\d.]+%\)", "accuracy 0"),
    # what is learnt, and how fast
    (r"(loss|acc|accuracy|macro-F1) [\d.]+", r"\1 0"),
    (r"[\d,]+ examples", "0 examples"),
    (r"  [\d.]+ s\b", "  0 s"),
    (r"  \d+:\d\d left", "  0 s left"),
    (r"in epoch \d+", "in epoch 0"),
    (r"(?m)^(\d) +[01]\.\d{4} +[01]\.\d{4} +\d+$", r"\1 0 0 0"),
    (r"(?m)^  (\d)\. (class )?\d +[\d.]+%$", r"  \1. \g<2>0"),
]


def commands(block):
    """The commands of a console block: a line that begins with `$ `, and what a here-document holds."""
    lines = iter(block.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            continue
        command = [line[2:]]
        if "<<'EOF'" in line:
            for more in lines:
                command.append(more)
                if more == "EOF":
                    break
        yield "\n".join(command)


def run(command, folder):
    """What a command prints; those of cnnc that need no shell run in this process, which has imported torch already."""
    if command.startswith("cnnc bench ") and not os.environ.get("UPDATE_README"):
        command += " --seconds 0.05 --rounds 1"  # instead of 1 second in each of 5: the figures are not compared
    if command.startswith("cnnc ") and not {*command} & {*"|&;<>$\n"}:
        said = StringIO()
        with chdir(folder), redirect_stdout(said), redirect_stderr(said):
            answer(shlex.split(command)[1:])
        return said.getvalue()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour")
    shutil.copytree(ROOT / "specs", folder / "specs")
    (folder / "tests").mkdir()
    shutil.copytree(ROOT / "tests/data", folder / "tests/data")
    save_digits(folder / "digits")
    return folder


def save_digits(folder):
    """MNIST's four files, with stripes in the place of digits: the more of them, the higher the class."""
    folder.mkdir()
    for part, count in (("train", 640), ("t10k", 100)):
        labels = np.arange(count, dtype=np.uint8) % 10
        rows = np.arange(28) % (11 - labels[:, None]) == 0
        images = np.repeat(rows[:, :, None], 28, axis=2).astype(np.uint8) * 255
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(head + array.tobytes()))


def plain(text):
    for pattern, same in VARIES:
        text = re.sub(pattern, same, text)
    return text


def test_the_tour_shows_what_the_commands_print(folder):
    text = README.read_text(encoding="utf-8")

    def shown(match):
        block = "```console\n" + "".join(f"$ {each}\n{run(each, folder)}" for each in commands(match[1])) + "```"
        return match[0] if plain(block) == plain(match[0]) else block

    found = CONSOLE.sub(shown, text)
    if os.environ.get("UPDATE_README"):
        README.write_text(found, encoding="utf-8")
    assert plain(found) == plain(text)


def test_the_python_of_the_tour_runs(folder):
    (code,) = PYTHON.findall(README.read_text(encoding="utf-8"))
    printed = run(f"python - <<'EOF'\n{code}\nEOF", folder)
    assert "def forward(self, image)" in printed
    assert "conv.weight" in printed
    assert "E303 conv: a kernel of 9 does not fit" in printed
    assert (folder / "build/lenet/lenet.onnx").exists()
    assert printed.count("{'image': 'tests/data/") == 2


def test_the_tour_names_files_that_are_there():
    for link in re.findall(r"\]\((?!https:)([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (ROOT / link).exists(), link
