import io
import os
import sys

import pytest

from cnnc.diagnostics import CnncError, Code
from cnnc.text.source import LIMIT, read


def refused(path):
    with pytest.raises(CnncError) as caught:
        read(path)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def refused_bytes(tmp_path, data):
    path = tmp_path / "net.yaml"
    path.write_bytes(data)
    return refused(path)


def test_text_is_read_as_it_stands(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes("name: é\r\nb: 日本\r\n".encode())
    source = read(path)
    assert source.name == str(path)
    assert source.text == "name: é\r\nb: 日本\r\n"
    assert source.line(2) == "b: 日本"


def test_bom_is_dropped(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a")
    assert read(str(path)).text == "name: a"


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1")))
    source = read("-")
    assert (source.name, source.text) == ("<stdin>", "a: 1")


def test_no_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert refused("-").code == Code.UNREADABLE


def test_missing_proposes_a_neighbour(tmp_path):
    (tmp_path / "resnet.yaml").write_text("")
    diagnostic = refused(tmp_path / "resnet.yml")
    assert diagnostic.code == Code.UNREADABLE
    assert "there is no file" in diagnostic.message
    assert diagnostic.help == f"did you mean {tmp_path / 'resnet.yaml'}?"


@pytest.mark.parametrize("name", ["zz.yaml", "notes.md", "alexnet.yaml"])
def test_missing_proposes_nothing_that_is_no_spec_or_goes_by_another_name(tmp_path, name):
    for other in ("notes.txt", "set.yaml", "vgg.yaml"):
        (tmp_path / other).write_text("")
    assert refused(tmp_path / name).help == "check the path and the working directory"


def test_missing_folder(tmp_path):
    assert refused(tmp_path / "no" / "net.yaml").message.endswith(f"there is no folder {tmp_path / 'no'}")


def test_a_pattern_that_no_file_fits(tmp_path):
    (tmp_path / "net.yaml").write_text("")
    found = refused(tmp_path / "q*.yaml")
    assert found.message == f"no file matches {tmp_path / 'q*.yaml'}"
    assert "did you mean" not in found.help


def test_folder(tmp_path):
    diagnostic = refused(tmp_path)
    assert diagnostic.code == Code.UNREADABLE
    assert "is a folder" in diagnostic.message


def test_file_as_folder(tmp_path):
    (tmp_path / "a").write_text("")
    assert "is a file, not a folder" in refused(tmp_path / "a" / "b").message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    diagnostic = refused(tmp_path / "pipe")
    assert "is a named pipe" in diagnostic.message
    assert "`-`" in diagnostic.help


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs devices")
def test_device():
    assert "is a device" in refused("/dev/zero").message


def test_symlink_loop(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "leads back to itself" in refused(tmp_path / "a").message


def test_dangling_symlink(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "gone")
    diagnostic = refused(tmp_path / "a")
    assert "link to a file that is not there" in diagnostic.message
    assert "gone" in diagnostic.help


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    assert "no permission" in refused(path).message


def test_refused_by_the_system(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "net.yaml").write_text("a: 1")
    monkeypatch.setattr("pathlib.Path.open", refuse)
    diagnostic = refused(tmp_path / "net.yaml")
    assert diagnostic.code == Code.UNREADABLE
    assert "no permission" in diagnostic.message


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_impossible_names(name):
    diagnostic = refused(name)
    assert diagnostic.code == Code.UNREADABLE
    assert diagnostic.help


def test_largest(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(b"#" * LIMIT)
    assert len(read(path).text) == LIMIT


def test_too_large_is_not_read(tmp_path):
    path = tmp_path / "net.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000_000)  # sparse: reading all of it would fail
    diagnostic = refused(path)
    assert diagnostic.code == Code.TOO_LARGE
    assert "1,048,576" in diagnostic.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_encodings(tmp_path, encoding):
    diagnostic = refused_bytes(tmp_path, "cnnc: 1\nname: x\n".encode(encoding))
    assert diagnostic.code == Code.NOT_TEXT
    assert encoding[:6].upper() in diagnostic.message
    assert diagnostic.span.line == diagnostic.span.column == 1
    assert diagnostic.span.source.line(1) == "cnnc: 1"


def test_latin_1(tmp_path):
    diagnostic = refused_bytes(tmp_path, "a: 1\r\nb: 日é".encode() + "é".encode("latin-1") + b" x\n")
    assert diagnostic.code == Code.NOT_TEXT
    assert "byte 14 (0xe9), on line 2" in diagnostic.message
    assert (diagnostic.span.line, diagnostic.span.column) == (2, 6)
    assert "WINDOWS-1252" in diagnostic.help


def test_nul(tmp_path):
    diagnostic = refused_bytes(tmp_path, b"a: 1\nb: \0\n")
    assert diagnostic.code == Code.NOT_TEXT
    assert "byte 8 is a NUL" in diagnostic.message
    assert (diagnostic.span.line, diagnostic.span.column) == (2, 4)


def test_binary(tmp_path):
    diagnostic = refused_bytes(tmp_path, b"\x89PNG\r\n\x1a\n\x01\x02")
    assert diagnostic.code == Code.NOT_TEXT
    assert "binary" in diagnostic.help
