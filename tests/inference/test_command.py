"""`cnnc infer` on many pictures: where they come from, what is printed, and the exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnnc.inference import session
from cnnc.inference.providers import fall_back
from tests.command import run_command
from tests.onnx_files import contract, linear

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """Six good pictures, two of them in a subfolder."""
    (tmp_path / "f" / "sub").mkdir(parents=True)
    for number, name in enumerate(("1.png", "2.png", "3.png", "4.png", "sub/5.png", "sub/6.png")):
        Image.new("L", (2, 2), number * 50).save(tmp_path / "f" / name)
    return tmp_path / "f"


def infer(*words, stdin=b"", cwd=None):
    command = [sys.executable, "-m", "cnnc", "infer", *map(str, words), "--provider", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, input=stdin, cwd=cwd, env=environment, capture_output=True, check=False)


def names(text):
    return [os.path.basename(json.loads(line)["image"]) for line in text.splitlines()]


def test_subfolders_are_searched_if_asked(save, folder):
    path = save(linear(), contract())
    assert len(names(run_command("infer", path, folder, "--format", "json").stdout)) == 4
    found = run_command("infer", path, folder, "--format", "json", "--recursive")
    assert names(found.stdout) == [f"{number}.png" for number in range(1, 7)]
    assert (found.exit_code, "failed" in found.stderr) == (0, False)


def test_the_reason_for_a_provider_is_a_note(save, folder, monkeypatch):
    monkeypatch.setattr(session, "choose", lambda wanted: fall_back("no driver"))
    done = run_command("infer", save(linear(), contract()), folder / "1.png")
    assert done.stderr == "note: provider cpu: no driver\n"


@pytest.mark.parametrize(("end", "options"), [(b"\n", ()), (b"\0", ("--null",)), (b"\0", ("-0",))])
def test_a_list_on_standard_input_takes_its_place_among_the_arguments(save, folder, end, options):
    listed = end.join([b"3.png", b"sub", b"2.png"])
    done = infer(
        save(linear(), contract()), "4.png", "-", "1.png", *options, "--format", "json", stdin=listed, cwd=folder
    )
    assert names(done.stdout) == ["4.png", "3.png", "5.png", "6.png", "2.png", "1.png"]
    assert done.returncode == 0


def test_an_empty_list_is_no_picture(save):
    done = infer(save(linear(), contract()), "-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"error[E503]: standard input lists no pictures" in done.stderr


def test_null_needs_a_list(save, picture):
    done = run_command("infer", save(linear(), contract()), picture(), "--null")
    assert done.exit_code == 2
    assert "standard input" in done.stderr


@pytest.mark.parametrize("options", [(), ("--workers", 1), ("--workers", 3, "--batch", 2, "--threads", 2)])
def test_broken_pictures_are_counted_at_the_end(save, folder, options):
    (folder / "2.png").write_bytes(b"no picture")
    (folder / "3.png").write_bytes(b"")
    done = run_command("infer", save(linear(), contract()), folder, *options)
    assert done.exit_code == 1
    assert done.stdout.count("(cpu, ") == 2
    assert done.stderr.endswith("2 of 4 pictures failed\n")


def test_one_broken_picture_alone_is_not_counted(save, tmp_path):
    done = run_command("infer", save(linear(), contract()), tmp_path / "missing.png")
    assert done.exit_code == 1
    assert "pictures failed" not in done.stderr


def test_a_batch_that_the_model_cannot_take_is_a_note(save, folder):
    from onnx import helper

    from tests.onnx_files import WEIGHTS, model_of

    nodes = [helper.make_node("Flatten", ["image"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)]
    path = save(model_of(*nodes, weights={"w": WEIGHTS}, image=(1, 1, 2, 2), output=(1, 3)), contract())
    done = run_command("infer", path, folder, "--batch", 4)
    assert done.exit_code == 0
    assert "takes one picture at a time" in done.stderr
