"""Small changes of what stands around a spec's nodes: inputs, outputs, parameters and all the other keys.

As those of `edits`: each changes a `Draft` in place, and gives False where there is nothing to change.
"""

from random import Random
from typing import Any

from cnnc.graph.output_kinds import KINDS
from cnnc.language.recipe import Train
from tests.free.attributes import attributes
from tests.free.draft import Draft, places
from tests.free.expressions import expression
from tests.free.names import fresh

FILE_NAMES = ("net", "a.b", "a-b_c.d", "0", "x" * 64, "CON", "net.onnx", "manifest.json", "_", "torch", "Net")


def _shown(draft: Draft) -> dict[str, Any] | None:
    outputs = draft.spec.get("outputs")
    return outputs if isinstance(outputs, dict) and outputs else None


def rename_output(rng: Random, draft: Draft) -> bool:
    """Another name, perhaps that of a node."""
    outputs = _shown(draft)
    if outputs is None:
        return False
    old = rng.choice([*outputs])
    new = rng.choice(places(draft.spec)[0].names) if rng.random() < 0.5 else fresh(rng, outputs)
    draft.spec["outputs"] = {new if name == old else name: each for name, each in outputs.items()}
    return len(draft.spec["outputs"]) == len(outputs)


def show_more(rng: Random, draft: Draft) -> bool:
    """An output more: any node, any port, or what another output shows already."""
    outputs = _shown(draft)
    top = places(draft.spec)[0]
    if outputs is None or not top.names:
        return False
    again = [each if isinstance(each, str) else each["from"] for each in outputs.values()]
    ports = [f"{rng.choice(top.names)}.{rng.choice(('0', '1', '2'))}"]
    shown = rng.choice(rng.choice((top.names, again, ports)))
    outputs[fresh(rng, outputs)] = shown
    return True


def show_less(rng: Random, draft: Draft) -> bool:
    """An output less, or several."""
    outputs = _shown(draft)
    if outputs is None or len(outputs) < 2:
        return False
    for name in rng.sample([*outputs], rng.randint(1, len(outputs) - 1)):
        del outputs[name]
    return True


def train_only(rng: Random, draft: Draft) -> bool:
    """An output of training alone, with a weight or without, or no longer."""
    outputs = _shown(draft)
    if outputs is None:
        return False
    name = rng.choice([*outputs])
    shown = outputs[name]
    if isinstance(shown, dict):
        outputs[name] = shown["from"]
    else:
        weight = {"weight": rng.choice((0, 0.3, 1, 1e6))} if rng.random() < 0.4 else {}
        outputs[name] = {"from": shown, "only": "train", **weight}
    return True


def say_kind(rng: Random, draft: Draft) -> bool:
    """An output that says what it holds, rightly or not, or no longer says so."""
    outputs = _shown(draft)
    if outputs is None:
        return False
    name = rng.choice([*outputs])
    shown = outputs[name]
    if isinstance(shown, dict) and "as" in shown:
        outputs[name] = shown["from"]
    else:
        outputs[name] = {**(shown if isinstance(shown, dict) else {"from": shown}), "as": rng.choice(KINDS)}
    return True


def reorder_outputs(rng: Random, draft: Draft) -> bool:
    """The same outputs in another order."""
    outputs = _shown(draft)
    if outputs is None or len(outputs) < 2:
        return False
    draft.spec["outputs"] = dict(rng.sample([*outputs.items()], len(outputs)))
    return True


def list_outputs(rng: Random, draft: Draft) -> bool:
    """Outputs without names of their own: a list, one name, or none where the last node is meant."""
    outputs = _shown(draft)
    if outputs is None:
        return False
    listed = list(dict.fromkeys(each for each in outputs.values() if isinstance(each, str)))
    if rng.random() < 0.3:
        del draft.spec["outputs"]
    else:
        draft.spec["outputs"] = listed[0] if len(listed) == 1 and rng.random() < 0.5 else listed
    return True


def reshape_input(rng: Random, draft: Draft) -> bool:
    """Another size of an input, or one that is not known."""
    shapes = draft.spec.get("input") or draft.spec["inputs"]
    name = rng.choice([*shapes])
    shape = shapes[name]["shape"] if isinstance(shapes[name], dict) else shapes[name]
    if not isinstance(shape, list):
        return False
    at = rng.randrange(len(shape))
    if at and rng.random() < 0.6:
        shape[at] = None
    elif rng.random() < 0.2:
        shape[at] = expression(rng, shape[at], [], [*(draft.spec.get("params") or {})], draft.near)
    else:
        shape[at] = rng.choice((1, 2, 3, 5, 8, 10, 16, *draft.near[:5]))
    return True


def describe_input(rng: Random, draft: Draft) -> bool:
    """How a picture becomes an input."""
    shapes = draft.spec.get("input") or draft.spec["inputs"]
    name = rng.choice([*shapes])
    shape = shapes[name]["shape"] if isinstance(shapes[name], dict) else shapes[name]
    sides = shape[1:] if isinstance(shape, list) and len(shape) == 3 else [8, 8]
    count = len(shape) and shape[0] if isinstance(shape, list) else 1
    channels = count if isinstance(count, int) and count < 9 else 1
    known = [side if isinstance(side, int) else 8 for side in sides]
    parts = {
        "mode": rng.choice(("grey", "rgb")) if channels not in (1, 3) else {1: "grey", 3: "rgb"}[channels],
        "mean": [rng.choice((0, 0.5, -1.0, 1e6)) for _ in range(channels)],
        "std": [rng.choice((1, 0.25, 1e-6, 1e6)) for _ in range(channels)],
        "resize": rng.choice((known, max(known), 1, 65_536)),
        "crop": rng.choice((known, min(known))),
    }
    shapes[name] = {"shape": shape, **{key: each for key, each in parts.items() if rng.random() < 0.4}}
    return True


def add_input(rng: Random, draft: Draft) -> bool:
    """A further input, which is shown as it is."""
    outputs = _shown(draft)
    if outputs is None:
        return False
    spec, top = draft.spec, places(draft.spec)[0]
    spec["inputs"] = spec.pop("input", None) or spec["inputs"]
    name = fresh(rng, {*top.names, *outputs})
    like = rng.choice([*spec["inputs"].values()])
    spec["inputs"][name] = like["shape"] if isinstance(like, dict) else list(like) if isinstance(like, list) else like
    end = fresh(rng, {*top.names, *outputs, name})
    spec["nodes"].append({rng.choice(("identity", "dropout", "relu")): {"name": end, "from": name}})
    outputs[end] = end
    return True


def tell_about(rng: Random, draft: Draft) -> bool:
    """A name, a description, a budget, labels or a recipe."""
    spec, graph = draft.spec, draft.graph
    assert graph is not None
    key = rng.choice(("name", "description", "budget", "labels", "train", "params"))
    if key == "name":
        spec["name"] = rng.choice(FILE_NAMES)
    elif key == "description":
        spec["description"] = rng.choice(('say "it"\\', '"""', "two\nlines", "é 日本 \u202e", " ", "x" * 300))
    elif key == "budget":
        spec["budget"] = {rng.choice(("params", "macs", "activations")): rng.choice(("1M", 10**9, "2.5G", 0))}
    elif key == "labels":
        count = graph.labelled[1] if graph.labelled else 1
        spec["labels"] = [rng.choice(("a", "b c", "é", "7", "")) + str(at) for at in range(min(count or 1, 100))]
    elif key == "train":
        spec["train"] = attributes(rng, Train, draft.near)
    else:
        spec.setdefault("params", {})[fresh(rng, spec.get("params") or {})] = rng.choice((1, [1, 2], "$$x", 0.5, True))
    return True


OF_SHELL = (
    *(
        rename_output,
        show_more,
        show_more,
        show_less,
        show_less,
        train_only,
        train_only,
        say_kind,
        say_kind,
        reorder_outputs,
        list_outputs,
    ),
    *(reshape_input, reshape_input, describe_input, add_input, tell_about),
)
