"""Downloads from a server on this computer: whatever it does, the cache holds whole files or none."""

import errno
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cnnc.data import download
from cnnc.data.download import shown
from cnnc.data.load import load
from cnnc.data.named_sets import KNOWN, NamedSet, Remote
from cnnc.diagnostics import Code
from tests.data import server as behaviour
from tests.data.layouts import write_idx

ROOT = Path(__file__).parents[2]
NAMES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]
FIRST = NAMES[0]


@pytest.fixture
def server(monkeypatch):
    for name in ("CNNC_MIRROR", "CNNC_CACHE", "XDG_CACHE_HOME", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with behaviour.serving() as running:
        yield running


@pytest.fixture
def tiny(server, tmp_path):
    """A set of four small files that the server has; its name goes with those of real ones."""
    folder = write_idx(tmp_path / "published")
    contents = {name: (folder / name).read_bytes() for name in NAMES}
    files = tuple(Remote(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items())
    server.files = {f"/tiny/{name}": data for name, data in contents.items()}
    return NamedSet("tiny", (f"{server.url}/tiny/",), files, tuple("abcdefghij"))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files_in(cache):
    """What the cache holds, but for the lock."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != ".lock")


def test_the_files_are_fetched_once(tiny, server, cache):
    folder = download.fetch(tiny, cache)
    assert files_in(cache) == sorted(NAMES)
    assert {f"/tiny/{name}": (folder / name).read_bytes() for name in NAMES} == server.files
    assert download.fetch(tiny, cache) == folder
    assert len(server.asked) == 4


def test_a_name_gives_its_pictures_and_classes(tiny, server, cache, monkeypatch):
    monkeypatch.setitem(KNOWN, "tiny", tiny)
    monkeypatch.setattr("cnnc.data.load.by_name", KNOWN.get)
    data = load("tiny", cache=cache)
    assert (data.name, len(data.train), len(data.test)) == ("tiny", 20, 10)
    assert data.classes == tiny.classes
    assert data.source == str(cache / "tiny")


def test_progress_is_told(tiny, cache):
    seen = []
    download.fetch(tiny, cache, lambda *step: seen.append(step))
    assert [step[0] for step in seen if step[1] == 0] == NAMES
    for file in tiny.files:
        assert (file.name, file.size, file.size) in seen


def test_a_line_a_file_is_shown_off_a_terminal(tiny, cache, capsys):
    with shown() as progress:
        download.fetch(tiny, cache, progress)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"downloading {file.name} ({file.size:,} bytes)" for file in tiny.files]


def test_a_bar_a_file_is_shown_on_a_terminal(tiny, cache, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with shown() as progress:
        download.fetch(tiny, cache, progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert all(name in err for name in NAMES)
    assert "100%" in err or "━" in err
    assert "downloading" not in err


def half(file):
    return f"the download ended after {file.size // 2:,} of {file.size:,} bytes"


MISBEHAVIOUR = {
    "truncated": (behaviour.truncated, half),
    "short": (behaviour.short, lambda file: f"the download ended after {file.size - 1:,} of {file.size:,} bytes"),
    "longer": (behaviour.longer, lambda file: f"larger than the published one, which has {file.size:,} bytes"),
    "altered": (behaviour.altered, lambda file: f"expected the SHA-256 {file.sha256}, got "),
    "reset": (behaviour.reset, lambda _: "connection reset by peer"),
    "silent": (behaviour.silent, lambda _: "the server was silent for 0.2 s"),
    "hanging": (behaviour.hanging, lambda _: "the server was silent for 0.2 s"),
    "trickling": (behaviour.trickling, lambda _: "the server is too slow: "),
    "babbling": (behaviour.babbling, lambda _: "the server's answer is not valid HTTP: "),
    "failing": (behaviour.failing, lambda _: "the server answered 503 Service Unavailable"),
    "moved": (behaviour.moved, lambda _: "the server answered 302 "),
}
SLOW = (behaviour.silent, behaviour.hanging, behaviour.trickling)


@pytest.mark.parametrize(("behave", "words"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_a_failed_download_is_told_and_leaves_nothing(tiny, server, cache, refused, behave, words):
    server.behave[f"/tiny/{FIRST}"] = behave
    # a server that answers gets the time to, on a busy machine too
    diagnostic = refused(download.fetch, tiny, cache, timeout=0.2 if behave in SLOW else 10)
    assert diagnostic.code is Code.DOWNLOAD_FAILED
    assert diagnostic.message == f"cannot download {FIRST} of tiny"
    (note,) = diagnostic.notes
    assert note.message.startswith(f"{server.url}/tiny/{FIRST}: ")
    assert words(tiny.files[0]) in note.message
    assert str(cache / "tiny") in diagnostic.help
    assert files_in(cache) == []
    del server.behave[f"/tiny/{FIRST}"]
    download.fetch(tiny, cache)
    assert files_in(cache) == sorted(NAMES)


def test_a_file_that_the_server_lacks_is_named(tiny, server, cache, refused):
    del server.files[f"/tiny/{NAMES[2]}"]
    diagnostic = refused(download.fetch, tiny, cache)
    assert diagnostic.message == f"cannot download {NAMES[2]} of tiny"
    assert diagnostic.notes[0].message.endswith("the server answered 404 Not Found")
    assert files_in(cache) == sorted(NAMES[:2]), "what came whole is kept"


def test_without_a_server_every_address_is_told(tiny, cache, refused, monkeypatch):
    look_up = socket.getaddrinfo

    def known_hosts(host, *arguments, **keywords):
        if host == "unknown.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **keywords)

    monkeypatch.setattr("socket.getaddrinfo", known_hosts)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    known = NamedSet(tiny.name, (nobody, "http://unknown.test/", "file:///etc/"), tiny.files, tiny.classes)
    diagnostic = refused(download.fetch, known, cache)
    assert [note.message.partition(": ")[2] for note in diagnostic.notes] == [
        "connection refused",
        "cannot resolve the server's name: there is no network, or no such server",
        "the address must begin with http:// or https://",
    ]


def test_the_next_address_is_tried(tiny, server, cache):
    server.files |= {f"/second/{name}": server.files[f"/tiny/{name}"] for name in NAMES}
    server.behave = dict.fromkeys([f"/tiny/{name}" for name in NAMES], behaviour.altered)
    known = NamedSet(tiny.name, (*tiny.bases, f"{server.url}/second/"), tiny.files, tiny.classes)
    download.fetch(known, cache)
    assert files_in(cache) == sorted(NAMES)


def test_a_mirror_replaces_the_published_addresses(tiny, server, cache, monkeypatch):
    monkeypatch.setenv("CNNC_MIRROR", f"{server.url}/")
    download.fetch(NamedSet("tiny", ("http://127.0.0.1:9/",), tiny.files, tiny.classes), cache)
    assert server.asked[0] == f"/tiny/{FIRST}"


def test_an_untrusted_connection_is_told(tiny, server, cache, refused):
    known = NamedSet("tiny", (server.url.replace("http", "https") + "/tiny/",), tiny.files, tiny.classes)
    assert "the connection cannot be trusted: " in refused(download.fetch, known, cache, timeout=1).notes[0].message


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"x"], ids=["size", "content"])
def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(tiny, server, cache, damage):
    path = download.fetch(tiny, cache) / FIRST
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    download.fetch(tiny, cache)
    assert path.read_bytes() == whole
    assert server.asked[4:] == [f"/tiny/{FIRST}"]


def test_a_damaged_file_stays_where_no_whole_one_can_be_had(tiny, server, cache, refused):
    path = download.fetch(tiny, cache) / FIRST
    path.write_bytes(b"damaged")
    server.behave[f"/tiny/{FIRST}"] = behaviour.truncated
    refused(download.fetch, tiny, cache)
    assert path.read_bytes() == b"damaged"


def test_a_full_disk_is_told(tiny, cache, refused, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cnnc.files.write.os.fsync", full)
    diagnostic = refused(download.fetch, tiny, cache)
    assert diagnostic.code is Code.DOWNLOAD_FAILED
    assert diagnostic.message == f"cannot write {cache / 'tiny' / FIRST}: the disk is full"
    assert "CNNC_CACHE" in diagnostic.help
    assert files_in(cache) == []


def test_a_cache_that_cannot_be_is_told(tiny, tmp_path, refused):
    (tmp_path / "file").touch()
    diagnostic = refused(download.fetch, tiny, tmp_path / "file")
    assert diagnostic.code is Code.DOWNLOAD_FAILED
    assert "cannot write to the cache " in diagnostic.message
    assert "CNNC_CACHE" in diagnostic.help


def test_where_the_cache_is(monkeypatch, tmp_path, refused):
    monkeypatch.setenv("CNNC_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert download.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("CNNC_CACHE")
    assert download.cache_folder() == tmp_path / "xdg" / "cnnc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert download.cache_folder() == tmp_path / "home" / ".cache" / "cnnc"
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    diagnostic = refused(download.cache_folder)
    assert diagnostic.message == "this user has no home folder for downloads"
    assert "CNNC_CACHE" in diagnostic.help


def test_of_two_that_want_the_same_one_fetches(tiny, server, cache):
    slow = [f"/tiny/{FIRST}"]
    server.behave = dict.fromkeys(slow, lambda handler, data: (time.sleep(0.2), behaviour.whole(handler, data)))
    threads = [threading.Thread(target=download.fetch, args=(tiny, cache)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 4
    assert files_in(cache) == sorted(NAMES)


FETCH = """
import json, sys
from pathlib import Path
from cnnc.data.download import fetch
from cnnc.data.named_sets import NamedSet, Remote
name, base, files = json.loads(sys.argv[1])
fetch(NamedSet(name, (base,), tuple(Remote(*file) for file in files), ()), Path(sys.argv[2]))
"""


def start_fetching(known, cache):
    files = [[file.name, file.size, file.sha256] for file in known.files]
    arguments = [json.dumps([known.name, known.bases[0], files]), str(cache)]
    return subprocess.Popen([sys.executable, "-c", FETCH, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_two_processes_at_once_fill_one_cache(tiny, server, cache):
    both = [start_fetching(tiny, cache) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(server.asked) == 4
    assert files_in(cache) == sorted(NAMES)


def test_a_killed_download_leaves_nothing_that_stays(tiny, server, cache):
    held = threading.Event()

    def hold(handler, data):
        behaviour.truncated(handler, data)
        handler.wfile.flush()
        held.set()
        time.sleep(5)

    server.behave[f"/tiny/{FIRST}"] = hold
    process = start_fetching(tiny, cache)
    assert held.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert FIRST not in [path.name for path in (cache / "tiny").iterdir()]
    server.behave.clear()
    download.fetch(tiny, cache)
    assert sorted(path.name for path in (cache / "tiny").iterdir() if path.name != ".lock") == sorted(NAMES)


def test_the_published_files_are_those_of_their_layouts():
    for known in KNOWN.values():
        assert all(base.startswith("http") and base.endswith("/") for base in known.bases)
        assert all(len(bytes.fromhex(file.sha256)) == 32 and file.size > 4000 for file in known.files)
        assert len(set(known.classes)) == 10
    assert [file.name for file in KNOWN["mnist"].files] == NAMES
