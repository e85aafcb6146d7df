"""Files of results that grow, are cut off anywhere, and are continued: each picture is in them once."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from cnnc.diagnostics import CnncError, Code
from cnnc.inference.result_file import ResultFile
from cnnc.inference.results import Failed, Prediction, Result
from cnnc.inference.rows import Csv, JsonLines, TableLines, Text, table_columns
from tests.command import run_command
from tests.onnx_files import contract, linear
from tests.thorough import thorough

ROOT = Path(__file__).parents[2]
COLUMNS = table_columns(2)
ROWS = {"json": JsonLines, "csv": lambda: Csv(COLUMNS), "table": lambda: TableLines(COLUMNS)}
STRANGE = 'a "quoted", name\nof two\r\nlines.png'
PICTURES = ["a.png", STRANGE, "broken.png", "猫.png", os.fsdecode(b"\xff.png"), "a.png"]


def results():
    """A result of each picture; one failed, and one comes twice."""
    for name in PICTURES:
        if name == "broken.png":
            yield Failed(name, CnncError.of(Code.PICTURE_UNREADABLE, f'cannot read "{name}": it is\nempty'))
        else:
            best = (Prediction(1, "boot, left", 0.1), Prediction(0, None, 1 / 3))
            yield Result(name, best, "cpu", 1.25, ("a note", "another"))


def write(path, kind, **how):
    """Write the results that are missing; return the pictures of these."""
    by_name = {each.image: each for each in results()}
    with ResultFile(path, ROWS[kind](), **how) as file:
        missing = [*file.missing(PICTURES)]
        for name in missing:
            file.write(by_name[name])
    return missing


@pytest.fixture(params=ROWS)
def whole(request, tmp_path):
    """A complete file of each kind: its kind and its bytes."""
    write(tmp_path / "whole", request.param)
    return request.param, (tmp_path / "whole").read_bytes()


def test_a_file_that_is_cut_off_anywhere_is_continued_to_the_same_bytes(whole, tmp_path):
    kind, complete = whole
    path = tmp_path / "part"
    seen = set()
    for size in (*range(0, len(complete), 3), len(complete)):
        path.write_bytes(complete[:size])
        missing = write(path, kind, resume=True)
        assert sorted(path.read_bytes().splitlines()) == sorted(complete.splitlines())
        assert len(missing) <= len(PICTURES)
        seen.add(len(missing))
    assert seen == {*range(len(PICTURES) + 1)}


def test_what_the_file_held_is_counted(whole, tmp_path):
    kind, complete = whole
    (tmp_path / "part").write_bytes(complete)
    with ResultFile(tmp_path / "part", ROWS[kind](), resume=True) as file:
        assert (file.held, file.failed) == (6, 1)
        assert [*file.missing([*PICTURES, "a.png", "new.png"])] == ["a.png", "new.png"]


def test_a_table_is_what_csv_reads(tmp_path):
    write(tmp_path / "r.csv", "csv")
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["image"] for row in rows] == [*PICTURES[:4], "\\udcff.png", "a.png"]
    assert [*rows[0]][:4] == ["image", "index_1", "label_1", "score_1"]
    first, broken = rows[0], rows[2]
    assert (first["label_1"], float(first["score_1"]), first["label_2"]) == ("boot, left", 0.1, "")
    assert (first["notes"], first["error"]) == ("a note; another", "")
    assert broken["error"] == 'E503: cannot read "broken.png": it is\nempty'
    assert (broken["index_1"], broken["provider"]) == ("", "")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", b"my notes, without a line end"),
        ("json", b"my notes\n"),
        ("json", b'{"image": 3}\n'),
        ("json", b"[" * 100_000 + b"\n"),
        ("csv", b"image,other\n"),
        ("csv", b"my notes"),
        ("csv", Csv(table_columns(3)).header.encode()),
        ("csv", Csv(COLUMNS).header.encode() + b"a,b\n"),
        ("csv", Csv(COLUMNS).header.encode() + b'"a"b,\n'),
        ("table", b"\xff\x00\n"),
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(tmp_path, kind, text):
    path = tmp_path / "r"
    path.write_bytes(text)
    with pytest.raises(CnncError, match="cannot continue") as caught:
        ResultFile(path, ROWS[kind](), resume=True)
    assert caught.value.diagnostics[0].code == Code.NOT_WRITTEN
    with pytest.raises(CnncError, match="the file exists"):
        ResultFile(path, ROWS[kind]())
    assert path.read_bytes() == text


def test_overwriting_starts_anew(whole, tmp_path):
    kind, complete = whole
    (tmp_path / "r").write_bytes(b"my notes, long ago" * 1000)
    assert write(tmp_path / "r", kind, overwrite=True) == PICTURES
    assert (tmp_path / "r").read_bytes() == complete


def test_text_leaves_out_what_failed():
    text = "".join(map(Text().write, results()))
    assert text.count("(cpu, 1.2 ms)") == 5
    assert "broken" not in text


@pytest.mark.parametrize("place", ["folder", "missing/r.json"])
def test_places_where_no_file_can_be(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(CnncError) as caught:
        ResultFile(tmp_path / place, JsonLines())
    assert caught.value.diagnostics[0].code == Code.NOT_WRITTEN


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_processes_do_not_write_one_file(tmp_path):
    with ResultFile(tmp_path / "r", JsonLines()), pytest.raises(CnncError, match="another process"):
        ResultFile(tmp_path / "r", JsonLines(), resume=True)
    ResultFile(tmp_path / "r", JsonLines(), resume=True).__exit__()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_a_diagnostic(tmp_path):
    with ResultFile(tmp_path / "r", JsonLines()) as file, open("/dev/full", "wb", buffering=0) as full:
        whole, file._file = file._file, full
        with pytest.raises(CnncError, match="the disk is full"):
            file.write(next(results()))
        file._file = whole


# What the command does with it


@pytest.fixture
def many(tmp_path):
    """A folder with 300 pictures, two of them broken, and a model."""
    folder = tmp_path / "many"
    folder.mkdir()
    Image.new("L", (2, 2), 9).save(folder / "000.png")
    for number in range(1, 300):
        os.link(folder / "000.png", folder / f"{number:03}.png")
    for name in ("120.png", "121.png"):
        (folder / name).unlink()
        (folder / name).write_bytes(b"no picture")
    return folder


OPTIONS = ("--provider", "cpu", "--workers", "2")


def resumed(*words):
    return run_command("infer", *words, *OPTIONS)


def started(*words):
    command = [sys.executable, "-m", "cnnc", "infer", *map(str, words), *OPTIONS]
    folders = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": folders}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_rows(path, process, rows):
    """Wait until the file holds so many rows; return whether the process was still running then."""
    while process.poll() is None:
        if os.path.exists(path) and path.read_bytes().count(b"\n") >= rows:
            return True
        time.sleep(0.0005)
    return False


def images(path):
    if path.suffix == ".json":
        return [json.loads(line)["image"] for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [row["image"] for row in csv.DictReader(file)]
    from pyarrow import parquet

    return parquet.read_table(path).column("image").to_pylist()


@pytest.mark.parametrize("suffix", ["csv", *(pytest.param(suffix, marks=thorough) for suffix in ("json", "parquet"))])
def test_a_killed_run_is_continued_and_no_picture_is_written_twice(save, many, tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"r.{suffix}"
    growing = path if suffix != "parquet" else path.with_name("r.parquet.rows")
    words = (save(linear(), contract()), many, "-o", path, "--resume")
    for rows in (1, 40, 119, 230):
        process = started(*words)
        wait_for_rows(growing, process, rows)
        process.kill()
        process.communicate()
    last = resumed(*words)
    assert images(path) == [str(each) for each in sorted(many.iterdir())]
    assert last.exit_code == 1
    assert last.stderr.splitlines()[-1].endswith(f"r.{suffix}: 300 pictures, 2 failed")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.onnx", "many", path.name]
    again = resumed(*words)
    assert again.stderr.count("error") == 0
    assert (again.exit_code, len(images(path))) == (1, 300)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_leaves_whole_rows(save, many, tmp_path):
    path = tmp_path / "r.json"
    words = (save(linear(), contract()), many, "-o", path)
    process = started(*words)
    assert wait_for_rows(path, process, 5)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    held = images(path)
    assert 5 <= len(held) < 300
    assert resumed(*words, "--resume").exit_code == 1
    assert images(path) == [str(each) for each in sorted(many.iterdir())]


def test_the_suffix_names_the_format(save, picture, tmp_path):
    for name, start in (("r.json", '{"image": '), ("r.JSONL", '{"image": '), ("r.csv", "image,"), ("r.txt", "/")):
        done = run_command("infer", save(linear(), contract()), picture(), "-o", tmp_path / name, "--provider", "cpu")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == f"{tmp_path / name}: 1 picture\n"
        assert (tmp_path / name).read_text().startswith(start)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--resume"], "--resume needs --output FILE"),
        (["--overwrite"], "--overwrite needs --save FOLDER or --output FILE"),
        (["--format", "parquet"], "needs --output FILE"),
        (["-o", "r.json", "--resume", "--overwrite"], "only one of them"),
        (["-o", "r.txt", "--resume"], "text cannot be resumed"),
        (["-o", ""], "got an empty name"),
        (["-o", "r.jsn"], "no format is known for .jsn"),
    ],
)
def test_options_that_do_not_fit_together(save, picture, options, says):
    done = run_command("infer", save(linear(), contract()), picture(), *options)
    assert done.exit_code == 2
    assert says in done.stderr


def test_csv_on_standard_output(save, picture):
    done = run_command("infer", save(linear(), contract()), picture(), "--format", "csv", "--top", 9)
    header, row = done.stdout.splitlines()
    assert header.count("label_") == 3
    assert row.startswith(f"{picture()},2,coat,")
