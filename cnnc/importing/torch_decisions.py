"""Places at which a module reads single values, as `if x.mean() > 0` does: a trace keeps what was decided there."""

import linecache
import os
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_stack
from typing import Any


@contextmanager
def noting_decisions(found: list[str]) -> Iterator[None]:
    """Add the lines of the user's code that read single values of tensors to a list."""
    import torch

    try:
        from torch.utils._python_dispatch import TorchDispatchMode
    except ImportError:  # the name is private: without it, nothing is noted
        yield
        return
    aten = torch.ops.aten
    read = (aten.is_nonzero.default, aten.item.default)  # as inference mode calls them
    library = os.path.dirname(torch.__file__) + os.sep

    class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
        def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), options: Any = None) -> Any:
            if function in read and (place := _caller(library)) not in found:
                found.append(place)
            return function(*given, **(options or {}))

    with Watching():  # type: ignore[no-untyped-call]
        yield


def _caller(library: str) -> str:
    """Return the file, the number and the text of the innermost line that is neither of torch nor of this file."""
    stack = ((frame.f_code.co_filename, number) for frame, number in walk_stack(None))
    path, number = next((path, number) for path, number in stack if path != __file__ and not path.startswith(library))
    place = f"{path.removeprefix(os.getcwd() + os.sep)}:{number}"
    text = linecache.getline(path, number).strip()
    return f"{place} (`{text}`)" if text else place
