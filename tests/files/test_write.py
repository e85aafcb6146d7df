"""The writer: whole files or none, whatever is in the way."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from cnnc.diagnostics import CnncError, Code
from cnnc.files.write import _alone, publish, reported, stage_file, staging, write_file


def refused(call, *arguments):
    with pytest.raises(CnncError) as caught:
        call(*arguments)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.NOT_WRITTEN
    return diagnostic.message


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_bytes_and_writers_are_written_and_nothing_else_stays(tmp_path):
    write_file(tmp_path / "a", b"one")
    write_file(tmp_path / "b", lambda file: file.write(b"two"))
    write_file(tmp_path / "a", b"three")
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"three", b"two"]


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("there/real")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "real").read_bytes() == b"new"


def test_links_that_lead_nowhere_folders_and_devices_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    assert "leads back to itself" in refused(write_file, tmp_path / "loop", b"")
    assert "it is a folder" in refused(write_file, tmp_path / "folder", b"")
    assert "folder does not exist" in refused(write_file, tmp_path / "none" / "a", b"")
    assert "too long" in refused(write_file, tmp_path / ("a" * 300), b"")
    os.mkfifo(tmp_path / "pipe")
    assert "it is a named pipe" in refused(write_file, tmp_path / "pipe", b"")
    (tmp_path / "file").write_bytes(b"")
    assert "not a folder" in refused(write_file, tmp_path / "file" / "a", b"")


def test_a_full_disk_says_so_and_leaves_the_old_file(tmp_path):
    def fill(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    def hide(file):
        try:
            fill(file)
        except OSError as error:
            raise RuntimeError("unexpected pos 64 vs 0") from error  # as torch.save does

    write_file(tmp_path / "a", b"old")
    for writer in (fill, hide):
        assert "the disk is full" in refused(write_file, tmp_path / "a", writer)
        assert (tmp_path / "a").read_bytes() == b"old"
        assert names(tmp_path) == ["a"]


def test_a_bug_in_a_writer_is_no_diagnostic_and_leaves_the_old_file(tmp_path):
    write_file(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError):
        write_file(tmp_path / "a", lambda file: file.write(bytes(1 // 0)))
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    assert "no permission" in refused(write_file, tmp_path / "a", b"")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_folder_in_which_nothing_can_be_created_is_refused():
    assert "no permission to write to the folder /proc" in refused(write_file, Path("/proc/net.yaml"), b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and locks of POSIX")
def test_what_a_killed_writer_left_is_swept_but_not_what_a_living_one_holds(tmp_path):
    script = """
        import sys, time
        from pathlib import Path
        from cnnc.files.write import write_file
        def slow(file):
            file.write(b"half"); file.flush()
            print("writing", flush=True)
            time.sleep(60)
        write_file(Path(sys.argv[1]), slow)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        write_file(tmp_path / "b", b"")
        assert len(names(tmp_path)) == 2  # b, and the staging folder of the living
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "a").exists()
    write_file(tmp_path / "b", b"")
    assert names(tmp_path) == ["b"]


def build(folder, word):
    with staging(folder) as stage:
        for name in ("one", "two", "manifest"):
            stage_file(stage / name, word)
        publish(folder, {name: stage / name for name in ("one", "two", "manifest")})


def test_a_build_is_published_whole(tmp_path):
    folder = tmp_path / "deep" / "build"
    build(folder, b"1")
    build(folder, b"2")
    assert names(folder) == ["manifest", "one", "two"]
    assert {(folder / name).read_bytes() for name in names(folder)} == {b"2"}


def test_of_builds_at_once_one_is_there_whole(tmp_path):
    words = [str(index).encode() for index in range(8)]
    threads = [threading.Thread(target=build, args=(tmp_path, word)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(tmp_path / name).read_bytes() for name in ("one", "two", "manifest")}
    assert len(found) == 1
    assert found <= set(words)
    assert names(tmp_path) == ["manifest", "one", "two"]


def test_a_lock_is_one_though_its_file_goes_with_each_holder(tmp_path):
    inside, most = [], []

    def hold(turns):
        for _ in range(turns):
            with _alone(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=hold, args=(50,), daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert max(most) == 1
    assert len(most) == 300
    assert names(tmp_path) == []


def test_a_build_that_fails_leaves_the_old_one(tmp_path):
    build(tmp_path, b"1")

    def fail():
        with staging(tmp_path) as stage:
            stage_file(stage / "one", b"2")
            raise ValueError("verification")

    with pytest.raises(ValueError, match="verification"):
        fail()
    assert (tmp_path / "one").read_bytes() == b"1"
    assert names(tmp_path) == ["manifest", "one", "two"]


def build_named(folder, stop=None, **contents):
    """A build whose manifest names its files; with `stop`, the process ends when this file should get its name."""
    with staging(folder) as stage:
        files = {name: stage / name for name in (*contents, "manifest")}
        for name, content in contents.items():
            stage_file(files[name], content)
        hashes = {name: {"sha256": sha256(content).hexdigest()} for name, content in contents.items()}
        stage_file(files["manifest"], json.dumps({"files": hashes}).encode())
        if stop is None:
            publish(folder, files)
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cnnc.files.write._rename", stopping(files[stop]))
            with pytest.raises(KeyboardInterrupt):
                publish(folder, files)


def stopping(at):
    def rename(staged, place):
        if staged == at:
            raise KeyboardInterrupt
        staged.replace(place)

    return rename


def shown(folder):
    shown = [each for each in folder.iterdir() if each.name[0] != "." and each.name != "manifest"]
    return {each.name: each.read_bytes() for each in shown}


def test_what_an_earlier_build_wrote_does_not_stay_beside_another_ones_manifest(tmp_path):
    build_named(tmp_path, onnx=b"1", pt=b"1")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    build_named(tmp_path, onnx=b"2")
    assert shown(tmp_path) == {"onnx": b"2", "notes.txt": b"mine"}


def test_what_is_no_longer_the_builds_own_stays(tmp_path):
    build_named(tmp_path, onnx=b"1", pt=b"1", link=b"1", deep=b"1")
    (tmp_path / "pt").write_bytes(b"mine")
    for name in ("link", "deep"):
        (tmp_path / name).unlink()
    (tmp_path / "link").symlink_to("pt")
    (tmp_path / "deep").mkdir()
    build_named(tmp_path, onnx=b"2")
    assert {"pt", "link", "deep"} <= {each.name for each in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "text",
    ["", "7", "[" * 100_000, '{"files": []}', '{"files": {"one": 3}}', '{"files": {"../out": {"sha256": "HASH"}}}'],
)
def test_a_manifest_of_somebody_else_removes_nothing(tmp_path, text):
    (tmp_path / "out").write_bytes(b"mine")
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "manifest").write_text(text.replace("HASH", sha256(b"mine").hexdigest()), encoding="utf-8")
    build_named(folder, onnx=b"1")
    assert (tmp_path / "out").read_bytes() == b"mine"
    assert shown(folder) == {"onnx": b"1"}


@pytest.mark.parametrize("stop", ["onnx", "pt2", "manifest"])
def test_behind_a_build_that_was_killed_while_it_was_published_the_next_one_cleans_up(tmp_path, stop):
    build_named(tmp_path, onnx=b"1", pt=b"1")
    build_named(tmp_path, stop, onnx=b"2", pt2=b"2")
    assert not (tmp_path / "manifest").exists()
    build_named(tmp_path, onnx=b"3")
    assert shown(tmp_path) == {"onnx": b"3"}
    assert names(tmp_path) == ["manifest", "onnx"]


def test_a_folder_in_the_place_of_a_file_spoils_nothing(tmp_path):
    build(tmp_path, b"1")
    (tmp_path / "two").unlink()
    (tmp_path / "two").mkdir()
    assert f"cannot write {tmp_path / 'two'}: it is a folder" in refused(build, tmp_path, b"2")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "manifest").read_bytes() == b"1"


@pytest.mark.parametrize("name", [".cnnc-lock", ".cnnc-written"])
def test_a_folder_in_the_place_of_a_file_of_the_writers_own_is_named(tmp_path, name):
    (tmp_path / name / "inside").mkdir(parents=True)
    assert f"cannot write {tmp_path / name}: it is a folder" in refused(build, tmp_path, b"1")


@pytest.mark.parametrize("below", ["", "net", "deep/down/net"])
def test_what_is_no_folder_is_named(tmp_path, below):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CnncError) as caught, staging(tmp_path / "file" / below):
        pass
    assert caught.value.diagnostics[0].message.endswith(f": {tmp_path / 'file'} is not a folder")


def test_the_folder_that_may_not_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "new" / "net"):
        with pytest.raises(CnncError) as caught, reported(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        assert caught.value.diagnostics[0].message.endswith(f"no permission to write to the folder {tmp_path}")


def test_folders_that_were_made_for_nothing_are_gone(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(ZeroDivisionError), staging(tmp_path / "old/new/net"):
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["old"]
    assert names(tmp_path / "old") == []
    with staging(tmp_path / "old/new/net") as stage:
        stage_file(stage / "a", b"word")
        publish(tmp_path / "old/new/net", {"a": stage / "a"})
    assert "a" in names(tmp_path / "old/new/net")
