"""The command line in the process of a test, which stays as it is."""

import sys

import pytest

from cnnc.__main__ import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command line; returns its exit code, and what it prints on standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["cnnc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    monkeypatch.setattr("os._exit", sys.exit)  # with which commands end
    monkeypatch.setattr("gc.disable", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.reconfigure", lambda **_: None, raising=False)
    return run
