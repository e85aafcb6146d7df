"""A random spec by its number: the same for the same number, in every process.

In: a seed. Out: plain data, the values that its parameters are set to, and the files that it is laid out in.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.free.damage import damage
from tests.free.draft import Unchecked, right
from tests.free.edits import OF_NODES
from tests.free.edits_of_shell import OF_SHELL

EDITS = OF_NODES * 2 + OF_SHELL
MOST_EDITS = 16
UNCHECKED = 0.25  # the share of specs whose last change is kept, whatever it is
OTHERS = ("units.yaml", "parts/heads.json", "parts/deep/stems.yaml")

Files = dict[str, dict[str, Any]]  # by their paths below the spec's folder; the spec itself is the first


@dataclass(frozen=True)
class Drawn:
    """A spec and the values that its parameters are set to."""

    spec: dict[str, Any]
    settings: dict[str, Any]
    seed: int


def drawn(seed: int) -> Drawn:
    """The spec of that number."""
    rng = Random(seed)
    draft = right(rng)
    for _ in range(rng.randint(0, MOST_EDITS)):
        changed = draft.copy()
        try:
            if rng.choice(EDITS)(rng, changed) and changed.is_right():
                draft = changed
        except Unchecked:
            return Drawn(changed.spec, changed.settings, seed)
    if rng.random() < UNCHECKED:
        rng.choice((*EDITS, *[damage] * 20))(rng, draft)
    return Drawn(draft.spec, draft.settings, seed)


def laid_out(of: Drawn) -> Files:
    """The files of a spec: one, or with blocks in others, each of which the spec or another one uses."""
    rng, spec = Random(of.seed), of.spec
    blocks = spec.get("blocks")
    blocks = blocks if isinstance(blocks, dict) else {}
    taken = rng.sample(OTHERS, rng.randint(0, len(OTHERS))) if blocks else []
    name = rng.choice(("spec.yaml", "spec.json"))
    if not taken:
        return {name: spec}
    files: Files = {name: {**spec, "blocks": {}}, **{other: {"cnnc": 1, "blocks": {}} for other in taken}}
    for block, body in blocks.items():
        files[rng.choice([*files])]["blocks"][block] = body
    for at, other in enumerate(taken, start=1):
        users = [each for each in [*files][:at] if Path(other).is_relative_to(Path(each).parent)]
        for user in rng.sample(users, rng.randint(1, len(users))):
            files[user].setdefault("use", []).append(str(Path(other).relative_to(Path(user).parent)))
    return files


def store(files: Files, folder: Path) -> Path:
    """Write the files below a folder; the spec's own path."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data) if name.endswith(".json") else as_yaml(data), encoding="utf-8")
    return folder / next(iter(files))


class _Writer(yaml.SafeDumper):
    """Quotes what YAML 1.2 and 1.1 might read as different things, and knows no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = re.fullmatch(r"[a-z]+_?[a-z]+(\.[a-z]+)?", text) and text not in ("true", "false", "null", "yes", "on")
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Writer.add_representer(str, _text)


def as_yaml(data: Any) -> str:
    return yaml.dump(data, Dumper=_Writer, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
