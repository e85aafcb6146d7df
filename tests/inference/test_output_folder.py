"""Where `--save` writes: a name for each picture, and nothing is lost."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from cnnc.diagnostics import CnncError
from cnnc.inference.output_folder import file_names, open_folder
from tests.command import run_command
from tests.onnx_files import RELU, model_of


@pytest.fixture
def masks(save):
    return save(model_of(RELU, image=("N", 3, "H", "W"), output=("N", 3, "H", "W")))


def test_pictures_of_one_name_in_two_folders_have_two_masks(masks, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours = {"a": (255, 0, 0), "b": (0, 255, 0)}
    for folder, colour in colours.items():
        (tmp_path / folder).mkdir()
        picture(colour, (4, 3), "RGB", f"{folder}/x.png")
        Image.new("RGB", (4, 3), (0, 0, 255)).save(tmp_path / folder / "x.jpg")
    done = run_command(
        "infer", masks, "a", "b", "../" + tmp_path.name + "/a/x.png", "--save", "out", "--format", "json"
    )
    assert done.exit_code == 0, done.stderr
    files = [json.loads(line)["outputs"]["y"]["file"] for line in done.stdout.splitlines()]
    names = ["a/x.jpg", "a/x.png", "b/x.jpg", "b/x.png", f"__/{tmp_path.name}/a/x.png"]
    assert files == [os.path.join("out", *name.split("/")) + ".y.png" for name in names]
    assert [np.asarray(Image.open(each)).max() for each in files] == [2, 0, 2, 1, 0]
    assert not [each for each in os.listdir("out") if each.startswith(".cnnc")]


def test_an_existing_file_is_not_replaced_unless_asked(masks, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture((0, 255, 0), name="p.png", mode="RGB")
    first = run_command("infer", masks, "p.png", "--save", ".")
    assert first.exit_code == 0
    assert "p.png.y.png" in first.stdout
    (tmp_path / "p.png.y.png").write_text("mine")
    again = run_command("infer", masks, "p.png", "--save", ".", "--format", "json")
    assert again.exit_code == 1
    assert "error[E405]: cannot write p.png.y.png: it exists already" in again.stderr
    assert json.loads(again.stdout)["diagnostics"][0]["code"] == "E405"
    assert (tmp_path / "p.png.y.png").read_text() == "mine"
    assert run_command("infer", masks, "p.png", "--save", ".", "--overwrite").exit_code == 0
    assert (tmp_path / "p.png.y.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "p.png", "p.png.y.png"]


def test_several_workers_write_what_one_writes(masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("in")
    for at in range(12):
        pixels = np.random.default_rng(at).integers(0, 256, (5 + at % 2, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"in/{at}.png")
    for folder, options in (("one", []), ("many", ["--workers", 3]), ("batches", ["--workers", 2, "--batch", 4])):
        done = run_command("infer", masks, "in", "--provider", "cpu", "--save", folder, *options)
        assert done.exit_code == 0, done.stderr
    names = sorted(os.listdir("one/in"))
    assert names == sorted(f"{at}.png.y.png" for at in range(12))
    for folder in ("many", "batches"):
        assert [(tmp_path / folder / "in" / name).read_bytes() for name in sorted(os.listdir(f"{folder}/in"))] == [
            (tmp_path / "one" / "in" / name).read_bytes() for name in names
        ]


def test_a_folder_that_cannot_be_written_is_a_diagnostic(masks, picture, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_command("infer", masks, picture((9, 0, 0), mode="RGB"), "--save", tmp_path / "file")
    assert (done.exit_code, "error[E405]: cannot write" in done.stderr) == (1, True)


def test_paths_of_every_form_lead_into_the_folder(tmp_path):
    with open_folder(tmp_path / "out") as folder:
        for picture in ("/x.png", "x.png", "../x.png", "./a/../x.png", "a//b.png"):
            try:
                found = folder.write(picture, ".y.png", b"data")
            except CnncError:
                assert picture == "x.png"  # the name of /x.png
            else:
                assert (tmp_path / "out") in (tmp_path / found).resolve().parents


def test_outputs_names_become_parts_of_file_names():
    assert file_names(("a", "b.1", "c-2")) == {"a": "a", "b.1": "b.1", "c-2": "c-2"}
    found = file_names(("x/y:0", "x/y/0", "../up", "n" * 300))
    assert len(set(found.values())) == 4
    assert all(len(each) < 90 and "/" not in each for each in found.values())


def test_a_table_has_the_outputs_as_json_and_a_resumed_run_replaces_files_without_a_row(
    masks, picture, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    picture((0, 255, 0), (4, 3), "RGB", "p.png")
    words = ("infer", masks, "p.png", "--save", "out", "-o", "r.csv")
    for options in ((), ("--resume",)):
        assert run_command(*words, *options).exit_code == 0
        with open("r.csv", newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert json.loads(row["outputs"])["y"]["file"] == os.path.join("out", "p.png.y.png")
        assert row["error"] == ""
        header = (tmp_path / "r.csv").read_text().partition("\n")[0]
        (tmp_path / "r.csv").write_text(header + "\np.p")
