"""What becomes of warnings by `--allow`, `--deny` and `[tool.cnnc]`, and how a check of many files ends."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

import cnnc
from tests.command import run_command

ROOT = Path(__file__).parents[2]
WARNED = """
cnnc: 1
input: {image: [3, 33, 33]}
nodes:
  - conv: {out: 4, kernel: 1}      # W304
  - batch_norm
  - max_pool: {kernel: 2}          # W302
"""
FINE = "cnnc: 1\ninput: {image: [3, 8, 8]}\nnodes: [relu]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two specs, and no project above it that says anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "warned.yaml").write_text(WARNED)
    (tmp_path / "fine.yaml").write_text(FINE)
    return tmp_path


def check(*args):
    """The exit code of a check, and its lines on standard output and standard error."""
    return run_command("check", *args)


def severities(*args):
    """The exit code, and the severity of each code that is told of `warned.yaml`."""
    exit_code, out, _ = check("warned.yaml", "--format", "json", *args)
    line = json.loads(out)
    assert line["ok"] == (exit_code == 0)
    return exit_code, {each["code"]: each["severity"] for each in line["diagnostics"]}


@pytest.mark.parametrize(
    ("args", "project", "found"),
    [
        ("", "", (0, {"W304": "warning", "W302": "warning"})),
        ("--allow W304", "", (0, {"W302": "warning"})),
        ("--allow W304 --allow W302 --allow W301", "", (0, {})),
        ("--deny W304", "", (1, {"W304": "error", "W302": "warning"})),
        ("--deny W301", "", (0, {"W304": "warning", "W302": "warning"})),
        ("--deny warnings", "", (1, {"W304": "error", "W302": "error"})),
        ("--deny warnings --allow W302", "", (1, {"W304": "error"})),
        ("--deny warnings --allow W302 --allow W304", "", (0, {})),
        ("", "allow = ['W304']", (0, {"W302": "warning"})),
        ("", "deny = ['warnings']", (1, {"W304": "error", "W302": "error"})),
        ("", "deny = ['warnings']\nallow = ['W302']", (1, {"W304": "error"})),
        ("--allow W304", "deny = ['W304']", (0, {"W302": "warning"})),
        ("--deny W304", "allow = ['W304', 'W302']", (1, {"W304": "error"})),
        ("--deny warnings", "allow = ['W304']", (1, {"W302": "error"})),
        ("--allow W302", "deny = ['warnings']", (1, {"W304": "error"})),
    ],
)
def test_who_says_what_becomes_of_a_warning(args, project, found, folder):
    (folder / "pyproject.toml").write_text(f"[tool.cnnc]\n{project}\n")
    assert severities(*args.split()) == found


def test_what_a_spec_allows_is_not_denied(folder):
    (folder / "warned.yaml").write_text(WARNED.replace("nodes:", "allow: [W302, W304]\nnodes:"))
    assert severities("--deny", "warnings", "--deny", "W302") == (0, {})


def test_an_allow_that_silences_nothing_is_a_warning_like_others(folder):
    (folder / "warned.yaml").write_text(FINE + "allow: W302\n")
    assert severities() == (0, {"W306": "warning"})
    assert severities("--deny", "warnings") == (1, {"W306": "error"})
    assert severities("--allow", "W306") == (0, {})


def test_a_denied_warning_says_why_it_is_an_error(folder):
    exit_code, out, err = check("warned.yaml", "--deny", "W302")
    assert (exit_code, out) == (1, "")
    assert "error[W302]: " in err
    assert "note: this is a warning that `deny` turns into an error" in err
    assert err.endswith("warned.yaml: 1 error\n")
    assert "::error file=warned.yaml" in check("warned.yaml", "--deny", "W302", "--format", "github")[1]


@pytest.mark.parametrize(
    "args",
    [
        "--allow E301",
        "--deny X",
        "--allow warnings",
        "--allow W302 --deny W302",
        "--exclude warned.yaml",
        "--deny w302",
    ],
)
def test_a_wrong_call_is_said(args, folder):
    exit_code, out, err = check("warned.yaml", *args.split())
    assert (exit_code, out) == (2, "")
    assert err.startswith("error: --")


def test_from_python(folder):
    assert cnnc.check("warned.yaml", allow=["W302", "W304"]).diagnostics == ()
    assert not cnnc.check("warned.yaml", deny="warnings").ok
    for wrong in ({"allow": ["warnings"]}, {"deny": "E301"}, {"allow": ["W302"], "deny": ["W302"]}):
        with pytest.raises(ValueError, match=r"there is no warning|is an error|is both allowed and denied"):
            cnnc.check("warned.yaml", **wrong)


# -- the project


def test_the_nearest_project_that_speaks_of_cnnc_counts(folder):
    inner = folder / "a/b"
    inner.mkdir(parents=True)
    (inner / "warned.yaml").write_text(WARNED)
    (folder / "pyproject.toml").write_text("[tool]\ncnnc = {allow = ['W302']}\n")
    (folder / "a/pyproject.toml").write_text("[project]\nname = 'cnnc'\n[tool.other]\n")
    assert "W302" not in check("a/b/warned.yaml")[2]
    (folder / "a/pyproject.toml").write_text("[ tool . 'cnnc' ]\nallow = []\n")
    assert "W302" in check("a/b/warned.yaml", "warned.yaml")[2]
    (folder / "a/pyproject.toml").write_text("tool.cnnc.allow = ['W302', 'W304']\n")
    assert check("a/b/warned.yaml")[2] == ""
    assert "W304" in check("a/b/warned.yaml", "warned.yaml")[2]


def test_a_pyproject_that_cannot_be_read_is_an_error(folder, monkeypatch):
    file = folder / "pyproject.toml"
    file.write_text("[tool.cnnc]\ndeny = ['warnings']\n")
    plain = Path.open

    def refuse(path, *arguments, **options):
        if path == file:
            raise PermissionError(13, "Permission denied")
        return plain(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)  # a mode of 0 does not keep root out
    exit_code, _, said = check("fine.yaml")
    assert exit_code == 1
    assert said.startswith(f"error[E101]: cannot read {file}: Permission denied\n  = help: make it readable")


def test_parameters_are_not_set_in_one_of_several_specs_from_standard_input(folder):
    exit_code, _, said = check("-", "fine.yaml", "--set", "classes=3")
    assert exit_code == 2
    assert "--set cannot be used if standard input is one of several specs" in said


def test_a_pyproject_without_the_table_is_none_of_our_business(folder):
    for text in ("[project\n", "[project]\nname = 'cnnc'\n", "# nothing\n", "[tool.ruff]\nx = 1\n"):
        (folder / "pyproject.toml").write_text(text)
        assert check("fine.yaml")[0] == 0
    for text in ("# [tool.cnnc] is not used\n", "[tool]\nother = 'cnnc'\n", "tool = 5 # not [tool.cnnc]\n"):
        (folder / "pyproject.toml").write_text(text)
        assert check("fine.yaml")[0] == 0
    (folder / "pyproject.toml").unlink()
    (folder / "pyproject.toml").mkdir()
    assert check("fine.yaml")[0] == 0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("alow = ['W302']", ["error[E201]: `[tool.cnnc]` has no key `alow`", ":2:1", "did you mean `allow`?"]),
        ("deny = 302", ["error[E203]: `deny` of `[tool.cnnc]` must be a list", ":2:8"]),
        ("allow = [\n  'W302',\n  5]", ["error[E203]: `allow[1]` of `[tool.cnnc]` must be a string, got 5", ":4:3"]),
        ("allow = ['E301']", ["error[E203]: E301 is an error", ":2:10"]),
        ("deny = ['W302', 'x']", ["error[E203]: there is no warning x", ":2:17"]),
        ("allow = ['W302']\ndeny = ['W302']", ["error[E203]: W302 is both allowed and denied", ":3:9"]),
        ("allow = [", ["error[E104]: pyproject.toml is not valid TOML: ", "--> pyproject.toml:"]),
        ("x = " + "[" * 5000, ["pyproject.toml"]),
    ],
)
def test_a_wrong_table_is_told_at_its_place(table, said, folder):
    (folder / "pyproject.toml").write_text(f"[tool.cnnc]\n{table}\n")
    exit_code, out, err = check("fine.yaml")
    assert (exit_code, out) == (1, "")
    for each in said:
        assert each in err
    assert "error[" in err


def test_a_table_that_is_none_is_told(folder):
    (folder / "pyproject.toml").write_text("tool.cnnc = 5\n")
    exit_code, _, err = check("fine.yaml")
    assert (exit_code, "error[E203]: `[tool.cnnc]` must be a mapping, got 5" in err) == (1, True)


# -- many files


def test_a_check_of_many_ends_with_counts(folder):
    exit_code, out, err = check("fine.yaml", "warned.yaml")
    assert exit_code == 0
    assert out.splitlines()[-1] == "2 specs: 2 fine; 0 errors, 2 warnings"
    exit_code, out, err = check("fine.yaml", "warned.yaml", "--deny", "W302")
    assert exit_code == 1
    assert err.splitlines()[-1] == "2 specs: 1 fine, 1 wrong; 1 error, 1 warning"
    out = check(".", "--format", "github")[1]
    assert out.splitlines()[-1] == "2 specs: 2 fine; 0 errors, 2 warnings"
    assert all(json.loads(line)["spec"] for line in check(".", "--format", "json")[1].splitlines())
    assert "spec" not in check("fine.yaml")[1]


def test_a_fault_of_a_used_file_counts_once(folder):
    (folder / "lib.yaml").write_text("cnnc: 1\nblocks: {b: {nodes: [relo]}}\n")
    (folder / "user.yaml").write_text(FINE.replace("[relu]", "[b]") + "use: [lib.yaml]\n")
    assert check(".")[2].splitlines()[-1] == "4 specs: 2 fine, 2 wrong; 1 error, 2 warnings"


def test_a_spec_on_which_cnnc_fails_is_counted(folder, monkeypatch):
    monkeypatch.setenv("CNNC_DEBUG", "1")
    monkeypatch.setattr("cnnc.checking.lint", lambda *_: 1 // 0)
    out = check(".", "--format", "github")[1]
    assert out.splitlines()[-1] == "2 specs: 2 not checked because cnnc itself failed; 0 errors, 0 warnings"


def test_a_broken_spec_in_a_folder_is_looked_at_whatever_its_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text(
        '{"input": {"image": [3, 8, 8]}, "nodes": [{"conv": {"out": 4, "kernel": 9}}]}'
    )
    (tmp_path / "fine.yaml").write_text(FINE)
    (tmp_path / "package.json").write_text('{"name": "x", "a": {"nodes": []}}')
    (tmp_path / "compose.yaml").write_text("services: {nodes: 3}\n")
    exit_code, out, err = check(".")
    assert exit_code == 1
    assert "error[E202]" in err
    assert "error[E303]" in err
    assert err.endswith(
        dedent("""\
        skipped, without a top-level `cnnc`, `nodes`, `input` or `blocks`: compose.yaml, package.json
        2 specs: 1 fine, 1 wrong; 2 errors, 0 warnings
        """)
    )
    out = check(".", "--format", "github")[1]
    assert out.count("\nskipped, ") == 1
    exit_code, out, err = check(".", "--exclude", "broken.*", "--exclude", "pack*", "--format", "json")
    assert (exit_code, len(out.splitlines())) == (0, 1)
    assert err.count("skipped, ") == 1


def test_few_of_many_files_that_are_passed_over_are_named(folder):
    for at in range(100):
        (folder / f"x{at:02}.json").write_text("{}")
    [line] = check(".", "--allow", "W302", "--allow", "W304")[2].splitlines()
    assert line.endswith("x18.json, x19.json and 80 more")


def test_a_project_leaves_files_out_of_folders(folder):
    (folder / "pyproject.toml").write_text("[tool.cnnc]\nexclude = ['warned.yaml', 'old/**']\n")
    (folder / "old/deep").mkdir(parents=True)
    (folder / "old/deep/x.yaml").write_text("cnnc: 2\n")
    found = [json.loads(line)["spec"] for line in check(".", "--format", "json")[1].splitlines()]
    assert found == ["fine.yaml"]
    assert check("old/deep/x.yaml")[0] == 1
    exit_code, _, err = check("old")
    assert exit_code == 1
    assert "`exclude` of `[tool.cnnc]` leaves out all specs in old" in err


def test_a_folder_of_which_all_is_excluded_is_not_called_empty(folder):
    exit_code, out, err = check(".", "--exclude", "*")
    assert (exit_code, out) == (2, "")
    assert "--exclude leaves out all specs in ." in err
    assert check("fine.yaml", ".", "--exclude", "warned.yaml")[0] == 0


def test_a_table_takes_a_single_word_for_a_list_and_tells_all_faults(folder):
    (folder / "pyproject.toml").write_text("[tool.cnnc]\nallow = 'W302'\ndeny = 'W304'\nexclude = 'fine.yaml'\n")
    exit_code, _, err = check(".")
    assert exit_code == 1
    assert "error[W304]" in err
    assert "W302" not in err
    (folder / "bad").mkdir()
    (folder / "bad/a.yaml").write_text(FINE)
    (folder / "bad/pyproject.toml").write_text("[tool.cnnc]\nallow = 'W999'\ndeny = ['E301']\nexclude = 3\n")
    err = check("bad/a.yaml")[2]
    assert err.count("error[E203]") == 3
