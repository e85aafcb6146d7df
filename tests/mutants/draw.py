"""A draw of faults: the same for the same seed, and of every kind alike."""

import ast
import random
from collections import defaultdict
from collections.abc import Mapping

from tests.mutants.plant import Fault, faults


def draw(sources: Mapping[str, bytes], count: int, seed: int) -> list[Fault]:
    """`count` faults in modules by path, of each kind as many as there are or as of the others.

    The same for the same seed.
    """
    chance = random.Random(seed)
    kinds: Mapping[str, list[Fault]] = defaultdict(list)
    for path in sorted(sources):
        for fault in faults(path, sources[path]):
            kinds[fault.kind].append(fault)
    drawn: list[Fault] = []
    for some in kinds.values():
        chance.shuffle(some)
    while len(drawn) < count and any(kinds.values()):
        for kind in sorted(kinds):
            while kinds[kind] and not is_other(sources[kinds[kind][-1].path], kinds[kind][-1]):
                kinds[kind].pop()
            if kinds[kind] and len(drawn) < count:
                drawn.append(kinds[kind].pop())
    return drawn


def is_other(source: bytes, fault: Fault) -> bool:
    """Whether the fault leaves a module that compiles, to something else."""
    try:
        changed = ast.parse(fault.applied(source))
    except SyntaxError:
        return False
    return ast.dump(changed) != ast.dump(ast.parse(source))
