"""The set-ups of `specs/EDITORS.md` in the editors themselves, which `make test` does not install.

A test runs if CNNC_TEST_NEOVIM, CNNC_TEST_EMACS or CNNC_TEST_HELIX is set to the path of the editor. Emacs needs the
package yaml-mode; Helix runs in tmux.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SPEC = """\
cnnc: 1
input: {image: [3, 32, 32]}
nodes:
  - conv: {name: a, out: 8, kernel: 3}
  - add: {from: [a, a]}
  - flaten
"""
HINTS = [[4, "8×30×30"], [5, "8×30×30"], [6, "7200"]]


def documented(language: str) -> str:
    """The block of `specs/EDITORS.md` in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "specs/EDITORS.md").read_text("utf-8"), re.M | re.S)
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a spec and an empty home, and a `cnnc` that is found."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    (work / "spec.yaml").write_text(SPEC, "utf-8")
    (work / "pyproject.toml").write_text("", "utf-8")
    for name, value in {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_DATA_HOME": home / ".local/share",
        "XDG_STATE_HOME": home / ".local/state",
        "SHOWN": work / "shown.json",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": ROOT,
        "LANG": "C.UTF-8",
    }.items():
        monkeypatch.setenv(name, str(value))
    return SimpleNamespace(work=work, config=home / ".config", shown=work / "shown.json")


def editor(name: str) -> str:
    path = os.environ.get(f"CNNC_TEST_{name}")
    if path is None:
        pytest.skip(f"CNNC_TEST_{name} is not set to the path of the editor")
    return path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def shown_by(command: list[str], project: SimpleNamespace) -> dict[str, object]:
    done = subprocess.run(command, cwd=project.work, capture_output=True, text=True, timeout=200, check=False)
    assert project.shown.exists(), done.stdout + done.stderr
    return dict(json.loads(project.shown.read_text("utf-8")))


def require_everything(shown):
    assert "fault" not in shown, shown
    assert [[line, label.strip()] for line, label in shown["hints"]] == HINTS
    assert "3×32×32 → **8×30×30**" in shown["hover"]
    assert [line.rstrip() for line in shown["text"] if line][3:] == [
        "  - conv: {name: stem, out: 8, kernel: 3}",
        "  - add: {from: [stem, stem]}",
        "  - flatten",
    ]
    assert "max_pool" in shown["completions"]


def test_neovim(project):
    neovim = editor("NEOVIM")
    write(project.config / "nvim/init.lua", documented("lua"))
    shown = shown_by([neovim, "--headless", "spec.yaml", "-c", f"luafile {HERE / 'real/drive.lua'}"], project)
    require_everything(shown)
    assert shown["diagnostics"] == [[6, "E205"]]
    assert "did you mean `flatten`?" in shown["written"]


def test_emacs(project):
    emacs = editor("EMACS")
    write(project.work / "init.el", f"(package-activate-all)\n{documented('elisp')}")
    shown = shown_by([emacs, "--batch", "-l", "init.el", "-l", str(HERE / "real/drive.el")], project)
    require_everything(shown)
    assert ["did you mean `flatten`?" in each for each in shown["diagnostics"]] == [True]


def test_helix(project):
    helix = editor("HELIX")
    write(project.config / "helix/languages.toml", documented("toml"))
    write(project.config / "helix/config.toml", "[editor.lsp]\ndisplay-inlay-hints = true\n")
    tmux = ["tmux", "-S", str(project.work / "tmux")]
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", "120", "-y", "20", "-c", str(project.work), f"{helix} spec.yaml"], check=True
    )

    def screen_with(*words: str) -> list[str]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            shown = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout
            if all(word in shown for word in words):
                return [line.strip() for line in shown.splitlines()]
            time.sleep(0.1)
        raise AssertionError(shown)

    def press(*keys: str) -> None:
        subprocess.run([*tmux, "send-keys", *keys], check=True)

    try:
        screen_with("did you mean `flatten`?")
        press("j")
        screen_with("kernel: 3} 8×30×30", "[a, a]} 8×30×30")
        press("5", "j", "Space", "a")
        screen_with("Apply all certain fixes")
        press("Enter")
        screen_with("- flatten")
        press("o", "- max")
        screen_with("max_pool", "adaptive_max_pool")
        press("Escape", ":q!", "Enter")
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)
