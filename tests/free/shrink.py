"""A spec that shows a fault, made as small as it can be while it still shows the same one.

In: plain data and a function that says what is wrong with it. What is tried: one piece less, a node bypassed, a scope's
nodes in its place, a smaller number. Out: a spec from which nothing more can be taken.
"""

import copy
import re
import traceback
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from cnnc.diagnostics import CnncError
from tests.free.draft import OUTER, places
from tests.free.specs import Drawn

Fault = Callable[[Drawn], str | None]
SECONDS = 120


def fault_of(error: BaseException) -> str:
    """What two faults have in common that are the same: the kind of the error and its place, but no numbers."""
    if isinstance(error, CnncError):
        return f"E {' '.join(sorted({each.code.value for each in error.diagnostics}))}"
    if isinstance(error, AssertionError):
        return f"A {re.sub(r'[0-9].*', '', str(error).partition(chr(10))[0])[:40]}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {last.filename}:{last.lineno}"


def shrunk(of: Drawn, fault: Fault, seconds: float = SECONDS) -> Drawn:
    """The smallest spec that was found, in the time that there is, to have the fault that `of` has."""
    wanted, end = fault(of), monotonic() + seconds
    while monotonic() < end:
        for less in _smaller(of):
            if monotonic() > end:
                return of
            if fault(less) == wanted:
                of = less
                break
        else:
            return of
    return of


def _smaller(of: Drawn) -> Iterator[Drawn]:
    """Specs that are smaller by one piece, the largest pieces first."""
    for steps in (_without_nodes, _without_scopes, _without_pieces, _with_settings, _with_smaller_values):
        for spec, settings in steps(of):
            yield Drawn(spec, settings, of.seed)


Step = Iterator[tuple[dict[str, Any], dict[str, Any]]]


def _without_nodes(of: Drawn) -> Step:
    """One node less, whose users take what it took."""
    for at, place in enumerate(_safe_places(of.spec)):
        for index in reversed(range(len(place.items))):
            for bypassed in (True, False):
                spec = copy.deepcopy(of.spec)
                items = places(spec)[at].items
                item = items.pop(index)
                words = next(iter(item.values())) if isinstance(item, dict) and item else None
                name, source = (words.get("name"), words.get("from")) if isinstance(words, dict) else (None, None)
                source = source[0] if isinstance(source, list) and source else source
                if not bypassed:
                    yield spec, of.settings
                elif isinstance(name, str) and (isinstance(source, str) or place.inputs):
                    new = source if isinstance(source, str) else place.inputs[0]
                    _redirect(spec, places(spec)[at], re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w])(\.\w+)?"), new)
                    yield spec, of.settings


def _redirect(spec: dict[str, Any], place: Any, old: "re.Pattern[str]", new: str) -> None:
    for item in place.items:
        for words in item.values():
            if isinstance(words, dict) and "from" in words:
                words["from"] = _substituted(words["from"], old, new)
    if "outputs" in place.holder:
        place.holder["outputs"] = _substituted(place.holder["outputs"], old, new)


def _substituted(data: Any, old: "re.Pattern[str]", new: str) -> Any:
    if isinstance(data, str):
        return new if old.fullmatch(data) else data
    if isinstance(data, list):
        return [_substituted(each, old, new) for each in data]
    return {key: _substituted(each, old, new) for key, each in data.items()} if isinstance(data, dict) else data


def _without_scopes(of: Drawn) -> Step:
    """The nodes of a group or an `each` in its place."""
    for at, place in enumerate(_safe_places(of.spec)):
        for index, item in enumerate(place.items):
            for op, words in item.items():
                if op in OUTER and isinstance(words, dict):
                    spec = copy.deepcopy(of.spec)
                    items = places(spec)[at].items
                    inner = items[index][op]["nodes"]
                    if "from" in words and inner and isinstance(next(iter(inner[0].values())), dict):
                        next(iter(inner[0].values())).setdefault("from", words["from"])
                    if "name" in words and isinstance(next(iter(inner[-1].values())), dict):
                        next(iter(inner[-1].values()))["name"] = words["name"]
                    items[index : index + 1] = inner
                    yield spec, of.settings


def _without_pieces(of: Drawn) -> Step:
    """One key or element less, wherever it stands."""
    for path in sorted(_paths(of.spec), key=len):
        spec = copy.deepcopy(of.spec)
        holder = _at(spec, path[:-1])
        del holder[path[-1]]
        yield spec, of.settings


def _with_settings(of: Drawn) -> Step:
    """A value that the caller gives as the parameter's own."""
    for name, value in of.settings.items():
        spec = copy.deepcopy(of.spec)
        if isinstance(spec.get("params"), dict):
            spec["params"][name] = value
        yield spec, {key: each for key, each in of.settings.items() if key != name}


def _with_smaller_values(of: Drawn) -> Step:
    """A smaller number, or one number for several."""
    for path in _paths(of.spec):
        before = _at(of.spec, path)
        for value in _smaller_values(before):
            spec = copy.deepcopy(of.spec)
            _at(spec, path[:-1])[path[-1]] = value
            yield spec, of.settings


def _smaller_values(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        return
    if isinstance(value, int) and value > 1:
        yield from dict.fromkeys(each for each in (1, 2, value // 2, value - 1) if each < value)
    elif isinstance(value, float) and value not in (0.5, 1.0):
        yield from (1, 0.5)
    elif isinstance(value, list) and len(value) == 1:
        yield value[0]
    elif isinstance(value, list) and value and all(isinstance(each, int) for each in value):
        yield from dict.fromkeys(value)
    elif isinstance(value, str) and value.startswith("$("):
        yield from (1, 2, True)
    elif isinstance(value, dict) and "from" in value and {"only", "as"} & value.keys():
        yield value["from"]


def _safe_places(spec: dict[str, Any]) -> Any:
    """The scopes of a spec; none of one that is so broken that there are none."""
    try:
        return places(spec)
    except (AttributeError, KeyError, TypeError):
        return []


def _paths(data: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in [*data] if isinstance(data, dict) else reversed(range(len(data))):
        path = (*before, key)
        yield path
        if isinstance(data[key], dict | list):
            yield from _paths(data[key], path)


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data
