"""`cnnc train` against the course's loop: seconds of an epoch over the same pictures, of Fashion-MNIST's shape.

Each trains in a process of its own, which waits while the other's turn is: what one does to its process (threads,
allocator, settings of torch) is its own gain.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter

from tests.bench.measure import Comparison, Row, serving

FASTER = {"lenet": 1.5, "resnet18": 1.5}  # times the course's examples a second; no other may be slower


def train(folder: Path, networks: Sequence[str]) -> Iterator[Row]:
    """A row for each network."""
    for name in networks:
        with trainer("ours", name, folder) as ours, trainer("course", name, folder) as course:
            yield Row(f"train {name}", alternate(ours, course, lasting=20), 1 / FASTER.get(name, 1.0))


def trainer(kind: str, name: str, folder: Path, *more: str) -> AbstractContextManager[Callable[[], float]]:
    """An action that trains an epoch in another process, and gives the seconds that it took; `more` is of `epochs`."""
    return serving(folder / f"{kind}-{name}.log", "-m", "tests.bench.epochs", kind, name, folder, *more)


def alternate(ours: Callable[[], float], theirs: Callable[[], float], lasting: float) -> Comparison:
    """Pairs of what both say of themselves, for about `lasting` seconds but at least 5 pairs; the first is dropped."""
    start = perf_counter()
    ours()
    theirs()
    pairs = max(5, min(30, int(lasting / (perf_counter() - start))))
    result = [(ours(), theirs()) if pair % 2 else (theirs(), ours())[::-1] for pair in range(pairs)]
    return Comparison(tuple(a for a, _ in result), tuple(b for _, b in result))
