"""Packages that are not installed: which of them a command or function lacks, and the line that installs them.

A plain installation of cnnc has the packages of `check`; the extras `infer`, `build` and `train` add those of the other
commands. A command without its packages fails at an import. `named` and `not_installed` turn that error into E513, for
the command line and the Python functions alike.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from cnnc.diagnostics import CnncError, Code, listed

_PACKAGES: Final = {"PIL": "Pillow", "lightning_fabric": "lightning-fabric", "yaml": "PyYAML"}
"""The packages whose modules have another name."""

WITHIN: Final = {"draw": ("resvg_py",)}
"""The modules of the extras that `train` contains beside `build`."""

EXTRAS: Final = {
    "infer": ("numpy", "PIL", "onnxruntime"),
    "build": ("onnx", "rich", "safetensors", "torch"),
    "train": ("lightning_fabric", "matplotlib", "plotille", "tensorboard"),
}
"""The modules that each extra of pyproject.toml adds; each extra contains those before it."""

BESIDE: Final = {
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "lsp": ("lsprotocol", "pygls"),
    "sweep": ("optuna",),
}
"""The modules that each other extra adds."""

_CHECK = ("pydantic", "networkx", "yaml")
_COMPILE = (*_CHECK, "numpy", "torch")
_BUILD = (*_COMPILE, "onnx", "onnxruntime")
NEEDS: Final = {
    **dict.fromkeys(("check", "load", "diff", "draw"), _CHECK),
    **dict.fromkeys(("compile", "weights", "eval"), _COMPILE),
    **dict.fromkeys(("build", "verify", "quantize", "import"), _BUILD),
    "train": (*_COMPILE, "lightning_fabric", "resvg_py", "tensorboard"),
    "fmt": ("yaml",),
    "lsp": (*_CHECK, "lsprotocol", "pygls"),
    **dict.fromkeys(("infer", "bench"), EXTRAS["infer"]),
}
"""The modules that each command or function needs in its usual form; some of its options need others."""


def require(modules: Iterable[str], doing: str) -> None:
    """Raise E513 if one of `modules`, which `doing` needs, is not installed; imports none of them."""
    needed = tuple(modules)
    if missing := _missing(needed, doing):
        raise missing


@contextmanager
def named(command: str, doing: str) -> Iterator[None]:
    """Turn a failed import of a missing package into E513. Also a decorator; see `not_installed`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if missing := not_installed(error, command, doing):
            raise missing from error
        raise


def not_installed(error: ModuleNotFoundError, command: str, doing: str) -> CnncError | None:
    """E513 for the package that an import did not find, and for all others that `command`, a key of NEEDS, lacks.

    None if the package is installed: then `error` is about a module inside it.
    """
    module = (error.name or "cnnc").partition(".")[0]
    if find_spec(module) is not None:
        return None
    return _missing(dict.fromkeys((*NEEDS.get(command, ()), module)), doing)


def _missing(needed: Collection[str], doing: str) -> CnncError | None:
    """E513 for the modules in `needed` that are not installed, and the extra that brings all of `needed`; or None."""
    missing = [_PACKAGES.get(name, name) for name in needed if find_spec(name) is None]
    if not missing:
        return None
    message = f"{doing} needs {listed(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed"
    extras = [extra for extra, modules in (WITHIN | EXTRAS | BESIDE).items() if not {*modules}.isdisjoint(needed)]
    return CnncError.of(Code.MISSING_EXTRA, message, help=_install(f"[{extras[-1]}]" if extras else ""))


def _install(extra: str) -> str:
    """The pip command that reinstalls cnnc from its original source with an extra, in brackets."""
    import shlex
    from urllib.parse import urlsplit

    upgrade = ""
    origin = _origin()
    url = origin.get("url", "")
    if url.startswith("file:") and "dir_info" in origin:
        editable = ["--editable"] if origin["dir_info"].get("editable") else []
        words = [*editable, f"{_path(url)}{extra}"]
    elif vcs := origin.get("vcs_info"):
        revision = f"@{vcs['requested_revision']}" if "requested_revision" in vcs else ""
        inside = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        address = f"{vcs['vcs']}+{url}{revision}{inside}"
        words = [f"cnnc{extra} @ {address}" if extra else address]
        if extra and not urlsplit(url).netloc:  # pip before 24.1 refuses a name and extras for a local repository
            upgrade = "python -m pip install --upgrade pip && "
    elif url:
        words = [f"cnnc{extra} @ {url}" if extra else url]
    else:
        words = [f"cnnc{extra}"]
    command = ["pip", "install", *words]
    if os.name != "nt":
        return upgrade + shlex.join(command)
    from subprocess import list2cmdline

    return upgrade + list2cmdline(command)


def _origin() -> dict[str, Any]:
    """The source that cnnc was installed from, as pip recorded it (PEP 610); the folder of a plain checkout."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    home = Path(__file__).parents[2]
    try:
        origin: dict[str, Any] = json.loads(distribution("cnnc").read_text("direct_url.json") or "{}")
        return origin
    except PackageNotFoundError:
        return {"url": home.as_uri(), "dir_info": {}} if os.path.exists(home / "pyproject.toml") else {}


def _path(url: str) -> str:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return url2pathname(urlsplit(url).path)
