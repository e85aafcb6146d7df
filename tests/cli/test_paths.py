"""Paths that no file can have, in the place of every path that a command takes: each is told, and nothing is left."""

import os
import subprocess
import sys

import pytest
from PIL import Image

import cnnc
from cnnc.cli.app import answer
from cnnc.diagnostics import CnncError
from cnnc.inference.predict import load_model
from tests.test_readme import save_digits

SPEC = "cnnc: 1\nname: tiny\ninput: {image: [1, 28, 28]}\nnodes:\n  - flatten\n  - linear: {out: 10}\n"
ONNX, WEIGHTS, MAP = "build/tiny/tiny.onnx", "build/tiny/tiny.safetensors", "map.yaml"

COMMANDS = [
    "check PATH",
    "fmt PATH",
    "build PATH",
    "build tiny.yaml --weights PATH",
    f"build tiny.yaml --weights {WEIGHTS} --map PATH",
    "build tiny.yaml -o PATH",
    "infer PATH p.png",
    f"infer {ONNX} PATH",
    f"eval PATH --data digits --weights {WEIGHTS}",
    "eval PATH.onnx --data digits",
    "eval PATH.pt --data digits",
    "eval tiny.yaml --data digits --weights PATH",
    f"eval {ONNX} --data PATH",
    f"eval {ONNX} --data digits --device cpu --limit 1 -o PATH",
    f"weights PATH {WEIGHTS}",
    "weights tiny.yaml PATH",
    f"weights tiny.yaml {WEIGHTS} -o PATH",
    "diff PATH tiny.yaml",
    "diff tiny.yaml PATH",
    "train PATH --data digits",
    "train tiny.yaml --data PATH",
    "train tiny.yaml --data digits --weights PATH",
    "train tiny.yaml --data digits --epochs 1 --limit 10 -o PATH",
]
NAMES = {
    "long": "n" * 300,
    "deep": "/".join(["d" * 200] * 30),
    "revision": f"HEAD:{'n' * 300}",
    "here at a revision": f"HEAD:./{'n' * 5000}",
    "index": f":{'n' * 300}",
    "below a file": "tiny.yaml/x",
    "in a circle": "loop/x",
    "nothing": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths")
    (folder / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "loop").symlink_to("loop")
    cnnc.build(folder / "tiny.yaml", out=folder / "build")
    save_digits(folder / "digits")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "tiny.yaml"], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *author, "commit", "-q", "-m", "x"], check=True)
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """A command: its exit code and what it says on stderr."""
    monkeypatch.chdir(folder)
    return lambda *words: (answer(words), capsys.readouterr().err)


def everything(folder):
    return sorted(os.fspath(path) for path in folder.rglob("*") if ".git" not in path.parts)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_no_file_can_have_is_told(run, folder, command, name):
    before = everything(folder)
    code, told = run(*(word.replace("PATH", name) for word in command.split()))
    assert code in (1, 2), told
    assert "error" in told.lower()
    assert "internal error" not in told
    assert everything(folder) == before


@pytest.mark.parametrize("command", ["build tiny.yaml", "train tiny.yaml --data digits --limit 10"])
def test_the_folders_around_a_name_that_is_too_long_go_again(run, folder, command):
    code, told = run(*command.split(), "-o", f"new/and/{'n' * 300}")
    assert code == 1
    assert "the name is too long" in told
    assert not (folder / "new").exists()


NO_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("check PATH/tiny.yaml", 0),
        ("diff PATH/tiny.yaml tiny.yaml", 0),
        ("infer build/tiny/tiny.onnx PATH/p.png --provider cpu", 0),
        ("infer PATH/tiny.onnx PATH/p.png", 1),
        ("build PATH/tiny.yaml -o fine --target python", 0),
        ("build tiny.yaml --weights build/tiny/tiny.safetensors --map PATH/map.yaml -o fine --target onnx", 0),
        ("build tiny.yaml --weights PATH/tiny.safetensors", 1),
        ("build tiny.yaml -o PATH", 1),
        ("eval PATH/tiny.onnx --data digits", 1),
        ("eval PATH/tiny.pt --data digits", 1),
        ("eval build/tiny/tiny.onnx --data PATH/digits --device cpu", 0),
        ("train tiny.yaml --data PATH/digits", 2),
        ("train tiny.yaml --data digits --epochs 1 --limit 10 -o PATH/runs", 1),
    ],
)
def test_names_that_are_not_utf_8(run, folder, command, code):
    place = folder / NO_UTF8
    if not place.exists():
        place.mkdir()
        (place / "tiny.yaml").symlink_to(folder / "tiny.yaml")
        (place / "digits").symlink_to(folder / "digits")
        for suffix in ("onnx", "pt", "safetensors"):
            (place / f"tiny.{suffix}").symlink_to(folder / f"build/tiny/tiny.{suffix}")
        (place / "map.yaml").write_text(
            "weights: {linear.weight: linear.weight, linear.bias: linear.bias}\n", encoding="utf-8"
        )
        Image.new("L", (28, 28)).save(place / "p.png")
    found, told = run(*(word.replace("PATH", NO_UTF8) for word in command.split()))
    assert found == code, told
    if code:
        assert "not valid UTF-8" in told


@pytest.mark.parametrize(
    "call",
    [
        cnnc.load,
        lambda path: cnnc.build("tiny.yaml", out=path),
        lambda path: cnnc.build("tiny.yaml", weights=path),
        lambda path: cnnc.compile("tiny.yaml", weights=WEIGHTS, map=path),
        load_model,
    ],
)
def test_from_python_a_path_may_hold_a_nul(folder, monkeypatch, call):
    monkeypatch.chdir(folder)
    with pytest.raises(CnncError):
        call("a\0b")
