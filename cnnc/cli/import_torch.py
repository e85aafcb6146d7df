"""`cnnc import package.module:factory`: a torch module becomes a spec and its weights."""

import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module as import_python
from pathlib import Path
from shlex import quote
from types import ModuleType
from typing import TYPE_CHECKING

from cnnc.cli.build import shown_progress
from cnnc.cli.imported import on_pictures, print_written
from cnnc.cli.parser import WrongCall
from cnnc.compiler import load
from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.suggestions import nearest
from cnnc.formatting.texts import write_for
from cnnc.importing.from_torch import FromTorch, import_module
from cnnc.importing.importer import Described, map_of, write
from cnnc.importing.torch_trace import input_names

if TYPE_CHECKING:
    from torch import nn

SHOWN = 4  # keys in a note


def run_factory(given: Namespace, package: str, factory: str, described: Described, spec: Path) -> int:
    """Write the spec and its weights, print how close the spec is, and return the exit code."""
    import torch

    if not given.allow_code:
        raise WrongCall(f"importing {given.model} runs its code", "add --allow-code if you trust it")
    if not described.sizes:
        raise WrongCall(
            "a torch module has no sizes of inputs",
            "add --input-size 3,224,224, or NAME=3,224,224 for each of several inputs",
        )
    with shown_progress() as progress:
        progress("making the module")
        module = _made(package, factory)
        inputs = tuple(torch.randn(1, *size) for size in _in_order(module, described.sizes))
        progress("tracing and running both networks")
        about = Described(described.picture, described.labels, name=described.name or factory)
        found = import_module(module, inputs, about, as_list=given.flat)
    text = write_for(spec, found.spec)
    write(found.imported, text, spec, map=found.map, overwrite=given.overwrite)
    proof = f"within {found.largest:.1e} of the module, batches 1 and 3"
    graph = load(found.spec)
    unknown = () if described.picture else on_pictures(graph)
    print_written(spec, text, graph, found.weights, proof, [*_remarks(found, spec), *unknown])
    return 0


def _remarks(found: FromTorch, spec: Path) -> Iterator[str]:
    """Yield what a user should know about the weights."""
    other = [key for key, origin in found.keys.items() if key != origin]
    if other:
        shown = ", ".join(f"`{key}` is `{found.keys[key]}` there" for key in other[:SHOWN])
        more = f", and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        way = f"; its checkpoints load with --map {quote(str(map_of(spec)))}" if found.map else ""
        yield f"some keys of the state_dict are not those of the module: {shown}{more}{way}"
    computed = [key for key in found.weights if key not in found.keys]
    if computed:
        more = f" and {len(computed) - SHOWN} more" if len(computed) > SHOWN else ""
        yield f"weights computed from tensors of the module, and in no checkpoint: {', '.join(computed[:SHOWN])}{more}"
    for name, uses in Counter(found.keys.values()).items():
        if uses > 1:
            yield f"the module uses `{name}` {uses} times; the spec has {uses} weights, which are trained one by one"
    if found.unused:
        more = f" and {len(found.unused) - SHOWN} more" if len(found.unused) > SHOWN else ""
        shown = ", ".join(found.unused[:SHOWN])
        yield f"the module does not use these parameters in evaluation, so the spec lacks them: {shown}{more}"
    for place in found.decisions[:SHOWN]:
        yield f"the module reads a single value in {place}: the spec always does what followed for random inputs"
    for name in found.buffers:
        yield f"the buffer `{name}` has become a weight: in training, freeze it, or it will change"


def _in_order(module: "nn.Module", sizes: Mapping[str, Sequence[int]]) -> list[Sequence[int]]:
    """Return the sizes in the order of the module's inputs; raises WrongCall for a name that is none of them."""
    if [*sizes] == [""]:
        return [sizes[""]]
    names = input_names(module.forward, len(sizes))
    if {*names} != {*sizes}:
        raise WrongCall(f"--input-size: the inputs of the module are {', '.join(names)}, got {', '.join(sizes)}")
    return [sizes[name] for name in names]


def _way_out(error: Exception, package: str, factory: str) -> str:
    """Return what to do about an error of the user's code."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        root = error.name.partition(".")[0]
        there = "start the command in its folder" if root == package.partition(".")[0] else "install it there"
        return f"the Python of this command, {sys.executable}, has no module `{root}`: {there}, or add it to PYTHONPATH"
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType) and error.name == factory:
        near = nearest(factory, [name for name, value in vars(error.obj).items() if callable(value)])
        if near:
            return f"did you mean `{package}:{near}`?"
    return "it must be a function, or a class, that returns a torch.nn.Module without arguments"


def _made(package: str, factory: str) -> "nn.Module":
    """Import the package, call the factory, unless it is a module itself, and return the module; raises E411."""
    from torch import nn

    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found = getattr(import_python(package), factory)
        made = found if isinstance(found, nn.Module) else found()
    except Exception as error:  # the user's code raises any type
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        message = f"{package}:{factory} makes no module: {reason}"
        raise CnncError.of(Code.NOT_IMPORTABLE, message, help=_way_out(error, package, factory)) from error
    finally:
        if here in sys.path:
            sys.path.remove(here)
    if not isinstance(made, nn.Module):
        message = f"{package}:{factory} returns a {type(made).__name__}, not a torch.nn.Module"
        raise CnncError.of(Code.NOT_IMPORTABLE, message, help="return the module that is to be imported")
    return made
