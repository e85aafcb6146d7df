"""`cnnc import package.module:factory`: a torch module becomes a spec and its weights."""

import os
import sys
from argparse import Namespace
from importlib import import_module as import_python
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cnnc.cli.build import shown_progress
from cnnc.cli.options import note
from cnnc.cli.parser import WrongCall
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.diagnostics.render import visible
from cnnc.importing.from_torch import import_module
from cnnc.importing.importer import Described

if TYPE_CHECKING:
    from torch import nn


def run_factory(given: Namespace, package: str, factory: str, described: Described, spec: Path) -> int:
    """Write the spec and its weights, print how close the spec is, and return the exit code."""
    import torch

    if not given.allow_code:
        raise WrongCall(f"importing {given.model} runs its code", "add --allow-code if you trust it")
    if not described.sizes:
        raise WrongCall("a torch module has no sizes of inputs", "add --input-size 3,224,224, once for each input")
    with shown_progress() as progress:
        progress("making the module")
        module = _made(package, factory)
        inputs = tuple(torch.randn(1, *size) for size in described.sizes.values())
        progress("tracing and running both networks")
        about = Described(described.picture, described.labels, name=described.name or factory)
        found = import_module(module, inputs, about, flat=given.flat)
    found.write(spec)
    weights = spec.with_suffix(".safetensors")
    lines, tensors = len(found.text.splitlines()), sum(each.size for each in found.weights.values())
    print(f"{visible(str(spec))}  {counted(lines, 'line')}, within {found.largest:.1e} of the module, batches 1 and 3")
    print(f"{visible(str(weights))}  {counted(tensors, 'number')}")
    other = [key for key, origin in found.keys.items() if key != origin]
    if other:
        note(f"{counted(len(other), 'key')} of the state_dict differ from the module's, such as {other[0]}")
    print(f"next: cnnc build {quote(str(spec))} --weights {quote(str(weights))}")
    return 0


def _made(package: str, factory: str) -> "nn.Module":
    """Import the package, call the factory, and return the module; raises E411."""
    from torch import nn

    sys.path.insert(0, os.getcwd())
    try:
        made = getattr(import_python(package), factory)()
    except Exception as error:  # the user's code raises any type
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CnncError.of(
            Code.NOT_IMPORTABLE,
            f"{package}:{factory} makes no module: {reason}",
            help="it must be a function, or a class, that returns a torch.nn.Module without arguments",
        ) from error
    finally:
        sys.path.remove(os.getcwd())
    if not isinstance(made, nn.Module):
        message = f"{package}:{factory} returns a {type(made).__name__}, not a torch.nn.Module"
        raise CnncError.of(Code.NOT_IMPORTABLE, message, help="return the module that is to be imported")
    return made
