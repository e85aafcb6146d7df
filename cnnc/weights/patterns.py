"""Select weights by patterns such as `features.*`, as the recipe's `fresh`, `freeze` and `lr_scale` do.

Takes a graph, the keys of its state_dict and patterns; returns the keys that a pattern selects. A pattern selects a key
if it matches the key, or the path of a node or scope around it: `fc` selects `fc.weight` and `fc.bias`. `*` stands for
any text, dots included; upper and lower case differ. A node with shared weights has two paths, and both select them.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from cnnc.diagnostics import CnncError, Code
from cnnc.diagnostics.suggestions import FEW, nearest
from cnnc.graph.graph import Graph

Names = Mapping[str, Sequence[str]]
"""The names that select each key: the key itself, and the paths around it, the outermost first."""


def names_of(graph: Graph, keys: Iterable[str]) -> Names:
    """Return the names that select each key of the network's state_dict."""
    users: dict[str, list[str]] = {}
    for node in graph.nodes:
        users.setdefault(node.keys, []).append(node.path)
    owners = {key: graph.owner(key) for key in keys}
    paths = {key: graph.node[owner].keys for key, owner in owners.items() if owner is not None}
    return {
        key: [name for user in users[paths[key]] for name in around(user + key.removeprefix(paths[key]))]
        if key in paths
        else around(key)
        for key in owners
    }


def around(key: str) -> list[str]:
    """Return the paths around a key, the outermost first, and the key."""
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def selected(names: Names, pattern: str) -> frozenset[str]:
    """Return the keys that a pattern selects."""
    return frozenset(key for key, known in names.items() if any(fnmatchcase(name, pattern) for name in known))


def all_selected(names: Names, patterns: Iterable[str]) -> frozenset[str]:
    """Return the keys that at least one of the patterns selects."""
    return frozenset[str]().union(*(selected(names, pattern) for pattern in patterns))


def require_matches(field: str, patterns: Iterable[str], names: Names, where: str) -> None:
    """Raise E517 if a pattern of the recipe's `field` selects nothing; `where` is what `names` are of."""
    for pattern in patterns:
        if not selected(names, pattern):
            message = f"`{pattern}` of `{field}` matches no weights of {where}"
            raise CnncError.of(Code.WEIGHTS_UNSELECTED, message, help=_meant(pattern, names))


def _meant(pattern: str, names: Names) -> str | None:
    """Return a help line with the nearest pattern that selects something, or with the network's outermost parts."""
    paths = dict.fromkeys(
        sorted((name for known in names.values() for name in known), key=lambda name: name.count("."))
    )
    stem = pattern.rstrip("*").rstrip(".")
    near = nearest(stem, paths)
    if near is not None:
        rest = pattern[len(stem) :]
        found = near + rest if selected(names, near + rest) else near
        return f"did you mean `{found}`?"
    outer = dict.fromkeys(name for known in names.values() for name in known if "." not in name)
    return f"its parts with weights are {', '.join(f'`{name}`' for name in outer)}" if 0 < len(outer) <= FEW else None
