"""cnnc: a compiler from graph specs of convolutional networks to torch modules, TorchScript and ONNX.

`check` proves a spec, `load` returns its typed graph, `compile` a `torch.nn.Module`, `build` writes verified files, and
`quantize` writes an ONNX file in int8. A spec is a path, `-` for standard input, or plain data. A user's mistake is a
`Diagnostic`; functions that cannot continue raise `CnncError`, which holds all diagnostics. The package imports each
public name on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnc.compiler import Checked, build, check, compile, load, verify
    from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Span
    from cnnc.graph.graph import Graph
    from cnnc.importing.from_torch import from_torch
    from cnnc.ops.types import TensorType
    from cnnc.precision.quantize import quantize
    from cnnc.verification.by_running import match_by_running
    from cnnc.version import __version__

__all__ = [
    "Checked",
    "CnncError",
    "Code",
    "Diagnostic",
    "Graph",
    "Note",
    "Span",
    "TensorType",
    "__version__",
    "build",
    "check",
    "compile",
    "from_torch",
    "load",
    "match_by_running",
    "quantize",
    "verify",
]

_HOMES = {
    "cnnc.compiler": ("Checked", "build", "check", "compile", "load", "verify"),
    "cnnc.diagnostics": ("CnncError", "Code", "Diagnostic", "Note", "Span"),
    "cnnc.graph.graph": ("Graph",),
    "cnnc.importing.from_torch": ("from_torch",),
    "cnnc.ops.types": ("TensorType",),
    "cnnc.precision.quantize": ("quantize",),
    "cnnc.verification.by_running": ("match_by_running",),
    "cnnc.version": ("__version__",),
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # `cnnc infer` runs without networkx and pydantic, so the package itself must not import them
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = _attribute(module, name)
            return value
    raise AttributeError(f"module 'cnnc' has no attribute {name!r}")


def _attribute(module: str, name: str) -> Any:
    """The name in the module; raises CnncError (E513) if a package that the module imports is not installed."""
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        from cnnc.diagnostics.missing_packages import not_installed

        if missing := not_installed(error, name, f"`cnnc.{name}`"):
            raise missing from error
        raise
