"""A draw of faults: the same for the same seed, and of every kind alike.

A fault's place in the draw depends on its own line and on the seed. A change elsewhere leaves nearly all drawn faults
as they are, so that what was decided about one of them stands.
"""

import ast
from collections import defaultdict
from collections.abc import Mapping
from hashlib import sha256

from tests.mutants.plant import Fault, faults


def draw(sources: Mapping[str, bytes], count: int, seed: int) -> list[Fault]:
    """`count` faults in modules by path, of each kind as many as there are or as of the others."""
    kinds: Mapping[str, list[Fault]] = defaultdict(list)
    for path in sorted(sources):
        for fault in faults(path, sources[path]):
            kinds[fault.kind].append(fault)
    drawn: list[Fault] = []
    for some in kinds.values():
        some.sort(key=lambda fault: _lot(fault, sources[fault.path], seed))
    while len(drawn) < count and any(kinds.values()):
        for kind in sorted(kinds):
            while kinds[kind] and not is_other(sources[kinds[kind][-1].path], kinds[kind][-1]):
                kinds[kind].pop()
            if kinds[kind] and len(drawn) < count:
                drawn.append(kinds[kind].pop())
    return drawn


def _lot(fault: Fault, source: bytes, seed: int) -> bytes:
    _, before, after = fault.lines(source)
    return sha256("\n".join((str(seed), fault.path, fault.scope, before, after)).encode()).digest()


def is_other(source: bytes, fault: Fault) -> bool:
    """Whether the fault leaves a module that compiles, to something else."""
    try:
        changed = ast.parse(fault.applied(source))
    except SyntaxError:
        return False
    return ast.dump(changed) != ast.dump(ast.parse(source))
