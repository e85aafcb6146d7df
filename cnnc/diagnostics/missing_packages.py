"""Packages that are not installed: which one a command lacks, and the line that brings all of them.

A light installation (three packages, for `check`) runs what it can. Whatever needs more fails at an import, and
`cnnc.cli.app` has that turned into E513 here, for all commands alike.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cnnc.diagnostics import CnncError, Code

_PACKAGES = {"PIL": "Pillow", "lightning_fabric": "lightning-fabric", "yaml": "PyYAML"}
"""What packages are called whose modules go by another name."""

TRAIN = ("lightning_fabric", "matplotlib", "tensorboard")
"""The modules of the extra `train`."""


def require(modules: Iterable[str], doing: str) -> None:
    """Raise E513 where one of `modules`, which `doing` needs, is not installed; imports none of them."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise _missing(missing, doing)


def not_installed(error: ModuleNotFoundError, doing: str) -> CnncError | None:
    """E513 for the package that an import did not find; None where there is one, and `error` is about its inside."""
    module = (error.name or "cnnc").partition(".")[0]
    return _missing([module], doing) if find_spec(module) is None else None


def _missing(modules: list[str], doing: str) -> CnncError:
    names = ", ".join(map(_package, modules))
    message = f"{doing} needs {names}, which {'is' if len(modules) == 1 else 'are'} not installed"
    return CnncError.of(Code.MISSING_EXTRA, message, help=_install(train=any(name in TRAIN for name in modules)))


def _package(module: str) -> str:
    return _PACKAGES.get(module, module)


def _install(train: bool) -> str:
    """The command that installs cnnc again, with all that it needs, from where it has come."""
    from urllib.parse import urlsplit

    extra = "[train]" if train else ""
    origin = _origin()
    url = origin.get("url", "")
    if url.startswith("file:") and "dir_info" in origin:
        editable = ["--editable"] if origin["dir_info"].get("editable") else []
        words = [*editable, f"{_path(url)}{extra}"]
    elif vcs := origin.get("vcs_info"):
        revision = f"@{vcs['requested_revision']}" if "requested_revision" in vcs else ""
        inside = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        address = f"{vcs['vcs']}+{url}{revision}{inside}"
        if urlsplit(url).netloc:
            words = [f"cnnc{extra} @ {address}"]
        else:  # pip of Python 3.11 takes a repository of this machine by its bare address alone, without extras
            words = [address, *(map(_package, TRAIN) if train else ())]
    elif url:
        words = [f"cnnc{extra} @ {url}"]
    else:
        words = [f"cnnc{extra}"]
    command = ["pip", "install", *words]
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def _origin() -> dict[str, Any]:
    """Where cnnc was installed from, as pip noted it (PEP 610); of a checkout that is not installed, its folder."""
    from importlib.metadata import PackageNotFoundError, distribution

    home = Path(__file__).parents[1]
    try:
        origin: dict[str, Any] = json.loads(distribution("cnnc").read_text("direct_url.json") or "{}")
        return origin
    except PackageNotFoundError:
        return {"url": home.as_uri(), "dir_info": {}} if os.path.exists(home / "pyproject.toml") else {}


def _path(url: str) -> str:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return url2pathname(urlsplit(url).path)
