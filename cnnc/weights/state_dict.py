"""Select a checkpoint's state_dict, and strip the prefixes of wrappers from its keys.

Takes the result of `checkpoint_file.load`; returns a mapping of tensors, and a remark if there was a choice. `key`
selects one of several state_dicts. Without it, the one with the wanted keys is taken, or the one with a usual name; if
several remain, E402 is raised. A prefix that all keys have is stripped if without it more of them are wanted, or if a
known wrapper adds it, unless the network itself has a scope of that name.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.weights.layers import COUNTER
from cnnc.weights.zip_checkpoint import unreadable

if TYPE_CHECKING:
    from torch import Tensor

Names = AbstractSet[str]

USUAL = ("state_dict", "model_state_dict", "model", "net", "network")
AVERAGED = ("ema", "avg", "average", "averaged", "swa")
WRAPPERS = ("module", "_forward_module", "model", "net", "network", "backbone")  # before all keys
WRAPPED_PARTS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # before the keys of any part
COUNT = "n_averaged"  # torch's AveragedModel stores it next to its module
SHOWN = 4  # keys in a remark
DEPTH = 2  # as in `ema.module`; deeper mappings usually belong to optimizers
DEEPEST = 5  # if there is no state_dict above
MOST_WRAPPERS = 8
SAVE_STATE = "save `model.state_dict()`"


@dataclass(frozen=True)
class State:
    """Tensors by their keys; `remark` is a line on which state_dict was taken and what was stripped."""

    tensors: "Mapping[str, Tensor]"
    remark: str | None = None


@dataclass(frozen=True)
class _Stripped:
    """Tensors whose keys are stripped of these wrappers; `others` are the keys of tensors that are left out."""

    tensors: "Mapping[str, Tensor]"
    wrappers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def merit(self, wanted: Names) -> tuple[int, bool, int, int]:
        """Return a sort key: most wanted keys, no scope of the network stripped, only known wrappers, most of them."""
        own = any(key.startswith(f"{wrapper}.") for wrapper in self.wrappers for key in wanted)
        others = len([each for each in self.wrappers if each not in (*WRAPPERS, *WRAPPED_PARTS)])
        return len(self.tensors.keys() & wanted), not own, -others, len(self.wrappers)


def find(path: Path, data: Any, wanted: Names, key: str | None = None) -> State:
    """Return the state_dict in `data` that has the `wanted` keys, or the one called `key`; raises E402."""
    if not isinstance(data, Mapping):
        raise unreadable(path, f"it holds a {type(data).__name__}, not a state_dict", SAVE_STATE)
    needed = {each for each in wanted if each.rpartition(".")[2] != COUNTER}
    found = {place: _strip(tensors, needed) for place, tensors in _state_dicts(data).items()}
    if not found and not needed:
        return State({})
    if not found:
        raise unreadable(path, "it holds no state_dict, a mapping from names to tensors", SAVE_STATE)
    place = _choose(path, found, needed) if key is None else _named(path, found, key)
    taken = found[place]
    remarks = []
    if key is None and place and (len(found) > 1 or place not in USUAL):
        others = [f"`{each}`" if each else "the tensors beside it" for each in found if each != place]
        instead = f", not {' or '.join(others[:4])} (`--key` selects another)" if others else ""
        remarks.append(f"`{place}` is used{instead}")
    if taken.wrappers:
        remarks.append(f"`{'.'.join(taken.wrappers)}.` is stripped from its keys")
    if taken.others:
        more = f" and {len(taken.others) - SHOWN} more" if len(taken.others) > SHOWN else ""
        shown = ", ".join(f"`{each}`" for each in taken.others[:SHOWN])
        remarks.append(f"the tensors beside them are left out: {shown}{more}")
    return State(taken.tensors, f"{path}: {'; '.join(remarks)}" if remarks else None)


def _state_dicts(data: Mapping[Any, Any]) -> "dict[str, dict[str, Tensor]]":
    """Return the mappings in `data` that hold tensors by name, by their places; `data` has the empty place."""
    found: dict[str, dict[str, Tensor]] = {}
    level, seen = {"": data}, set[int]()
    for depth in range(DEEPEST + 1):
        if found and depth > DEPTH:
            break
        found |= {place: tensors for place, each in level.items() if (tensors := _tensors(each))}
        new = {id(each): (place, each) for place, each in level.items() if id(each) not in seen}  # many may be the same
        seen |= new.keys()
        level = {
            f"{place}.{name}" if place else name: inner
            for place, each in new.values()
            for name, inner in each.items()
            if isinstance(name, str) and isinstance(inner, Mapping)
        }
    return found


def _tensors(data: Mapping[Any, Any]) -> "dict[str, Tensor]":
    """Return the tensors in a mapping, by their names; none if they are only numbers and counts."""
    import torch

    tensors = {name: each for name, each in data.items() if isinstance(name, str) and isinstance(each, torch.Tensor)}
    return tensors if any(each.ndim and not _is_count(each) for each in tensors.values()) else {}


def _is_count(tensor: "Tensor") -> bool:
    """Whether the tensor holds integers, such as the state of a random generator."""
    return not (tensor.is_floating_point() or tensor.is_quantized)


def _choose(path: Path, found: Mapping[str, _Stripped], needed: Names) -> str:
    """Return the name of the state_dict that fits, or else has a usual name; raises E402 if several remain."""
    left = [*found]
    for better in (
        [place for place in left if found[place].tensors.keys() >= needed],
        [place for place in left if place in USUAL],
        [place for place in left if not set(place.lower().replace(".", "_").split("_")) & {*AVERAGED}],
        [place for place in left if place],  # not a few tensors next to a state_dict
    ):
        left = [place for place in left if place in better] or left
    if len(left) > 1:
        names = ", ".join(f"`{place}`" for place in left[:8])
        raise unreadable(path, f"it holds several state_dicts: {names}", "choose one with `--key`")
    return left[0]


def _named(path: Path, found: Mapping[str, _Stripped], key: str) -> str:
    """Return `key` if it names a state_dict, or the only state_dict inside `key`; raises E402."""
    places = [place for place in found if place]
    inside = [place for place in places if place.startswith(f"{key}.")]
    if key in places or len(inside) == 1:
        return key if key in places else inside[0]
    listed = f"there are: {', '.join(f'`{place}`' for place in places[:8])}" if places else "leave out `--key`"
    raise unreadable(path, f"it holds no state_dict `{key}`", did_you_mean(key, inside or places) or listed)


def _strip(tensors: "Mapping[str, Tensor]", needed: Names) -> _Stripped:
    found = [_Stripped(tensors)]
    while len(found) <= MOST_WRAPPERS and (inner := _without_wrapper(found[-1])):
        found.append(inner)
    best = max(found, key=lambda each: each.merit(needed))
    return best if best.tensors.keys() >= needed else _network_in(found[0], needed) or best


def _network_in(all: _Stripped, needed: Names) -> _Stripped | None:
    """Return the part behind the only known wrapper that has all needed keys, such as `model` beside a loss."""
    found = []
    for wrapper in WRAPPERS:
        inner = {key.removeprefix(f"{wrapper}."): key for key in all.tensors if key.startswith(f"{wrapper}.")}
        if needed and inner.keys() >= needed:
            others = tuple(key for key in all.tensors if not key.startswith(f"{wrapper}."))
            found.append(_Stripped({name: all.tensors[key] for name, key in inner.items()}, (wrapper,), others))
    return found[0] if len(found) == 1 else None


def _without_wrapper(found: _Stripped) -> _Stripped | None:
    """Return the tensors without the first part of all keys, or else without a wrapped part; None if there is none."""
    keys = [key for key in found.tensors if key != COUNT]
    first = {key.partition(".")[0] for key in keys}
    inside = next((part for part in WRAPPED_PARTS if any(part in key.split(".") for key in keys)), None)
    if len(first) == 1 and not first & {*keys}:
        wrapper, plain = first.pop(), {key: key.partition(".")[2] for key in keys}
    elif inside is not None:
        wrapper, plain = inside, {key: ".".join(part for part in key.split(".") if part != inside) for key in keys}
    else:
        return None
    if len(set(plain.values())) < len(plain):
        return None
    return _Stripped({name: found.tensors[key] for key, name in plain.items()}, (*found.wrappers, wrapper))
