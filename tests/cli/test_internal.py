"""Where cnnc itself fails: it is said as such, the other specs are looked at, and the exit code is 3."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.cli import internal

ROOT = Path(__file__).parents[2]
SPEC = "cnnc: 1\nname: {}\ninput: {{x: [4]}}\nnodes: [relu]\n"

# The command line, in a cnnc whose parser knows no network that is called `bad`, which shows its diagnostics, but whose
# table has no row for `odd`.
BROKEN = """
import sys
from cnnc import checking
from cnnc.analysis import check_table

def fail_on(name, real, name_of):
    def failing(*given, **more):
        if name_of(given[0]) == name:
            raise KeyError("no such thing")
        return real(*given, **more)
    return failing

checking.parse = fail_on("bad.yaml", checking.parse, lambda source: source.name)
check_table.table = fail_on("odd", check_table.table, lambda graph: graph.name)
sys.argv[0] = "cnnc"

from cnnc.__main__ import main
main()
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("bad", "odd", "good"):
        (tmp_path / f"{name}.yaml").write_text(SPEC.format(name), encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(SPEC.format("wrong").replace("relu", "rleu"), encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def broken_cnnc(*arguments, folder, **env):
    return subprocess.run(
        [sys.executable, "-c", BROKEN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_other_specs_are_checked_all_the_same(folder):
    done = broken_cnnc("check", "bad.yaml", "wrong.yaml", "good.yaml", folder=folder)
    assert done.returncode == 3
    assert done.stdout == "good.yaml: fine, 1 node, 0 parameters, 0 MACs\n"
    assert "internal error: cnnc failed on bad.yaml: KeyError: 'no such thing'" in done.stderr
    assert "wrong.yaml:4:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_traceback_is_in_one_file_that_is_named(folder):
    done = broken_cnnc("check", "bad.yaml", "odd.yaml", "--depth", "1", folder=folder)
    [file] = (folder / "tmp").iterdir()
    assert done.stderr.count(str(file)) == 2
    told = file.read_text(encoding="utf-8")
    assert "$ cnnc check bad.yaml odd.yaml --depth 1" in told
    assert told.count("KeyError: 'no such thing'") == 2
    assert "in failing" in told
    assert told.startswith("cnnc ")


def test_a_network_that_cannot_be_shown_is_an_internal_error_too(folder):
    done = broken_cnnc("check", "odd.yaml", folder=folder)
    assert (done.returncode, done.stdout) == (3, "")
    assert "internal error: cnnc failed on odd.yaml" in done.stderr


def test_programs_get_a_line_for_every_spec(folder):
    done = broken_cnnc("check", "bad.yaml", "good.yaml", "--format", "json", folder=folder)
    assert done.returncode == 3
    failed, fine = map(json.loads, done.stdout.splitlines())
    assert failed.pop("internal_error") == "KeyError: 'no such thing'"
    assert (failed["spec"], failed["ok"], failed["diagnostics"]) == ("bad.yaml", False, [])
    assert failed.keys() == fine.keys()
    assert fine["ok"]


def test_what_cnnc_fails_on_has_no_say_in_which_parameters_there_are(folder):
    (folder / "more.yaml").write_text(SPEC.format("more") + "params: {size: 1}\n", encoding="utf-8")
    done = broken_cnnc("check", "bad.yaml", "more.yaml", "--set", "size=2", folder=folder)
    assert (done.returncode, done.stdout) == (3, "more.yaml: fine, 1 node, 0 parameters, 0 MACs\n")


@pytest.mark.parametrize("command", ["build", "diff", "eval"])
def test_every_command_tells_an_internal_error(command, folder):
    more = {"build": [], "diff": ["good.yaml"], "eval": ["--data", "x", "--weights", "y"]}[command]
    done = broken_cnnc(command, "bad.yaml", *more, folder=folder)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("internal error: cnnc failed: KeyError: 'no such thing'\n")
    [file] = (folder / "tmp").iterdir()
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "build").exists()


def test_the_traceback_is_printed_where_that_is_asked_for(folder):
    for command in ("check", "build"):
        done = broken_cnnc(command, "bad.yaml", folder=folder, CNNC_DEBUG="1")
        assert done.returncode == 3
        assert "Traceback" in done.stderr
        assert not list((folder / "tmp").iterdir())


def test_without_room_for_a_file_the_traceback_is_printed(monkeypatch, capsys):
    def full(*given, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.delenv("CNNC_DEBUG", raising=False)
    monkeypatch.setattr(internal.tempfile, "NamedTemporaryFile", full)
    internal.report_internal(KeyError("no such thing"))
    told = capsys.readouterr().err
    assert "cannot write a traceback file (No space left on device):\nKeyError: 'no such thing'" in told
