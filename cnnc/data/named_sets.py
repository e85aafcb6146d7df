"""The named data sets: their download addresses, files and class names.

Sizes are in bytes and checksums are SHA-256, of the files as their authors published them.
"""

from dataclasses import dataclass

DIGITS = tuple("0123456789")
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, slots=True)
class Remote:
    """A published file: its name below each base address, its size and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A named data set; `bases` are addresses that are tried in turn, and each ends in a slash."""

    name: str
    bases: tuple[str, ...]
    files: tuple[Remote, ...]
    classes: tuple[str, ...]


def _remotes(*files: tuple[str, int, str]) -> tuple[Remote, ...]:
    return tuple(Remote(*file) for file in files)


MNIST_FILES = _remotes(
    ("train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    ("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    ("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
FASHION_FILES = _remotes(
    ("train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ("train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ("t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
CIFAR10_FILES = _remotes(
    ("cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
)

KNOWN = {
    "mnist": NamedSet(
        "mnist",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        MNIST_FILES,
        DIGITS,
    ),
    "fashion-mnist": NamedSet(
        "fashion-mnist",
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        FASHION_FILES,
        FASHION,
    ),
    "cifar10": NamedSet("cifar10", ("https://www.cs.toronto.edu/~kriz/",), CIFAR10_FILES, CIFAR10),
}


def by_name(text: str) -> NamedSet | None:
    """Return the set that `text` names, such as `fashion-mnist`, `FashionMNIST` or `fashion_mnist`; else None."""
    return _PLAIN.get(_plain(text))


def by_beginning(text: str) -> NamedSet | None:
    """Return the set that a folder's name begins with, as `mnist-10k` does but `kmnist` does not; else None."""
    return next((known for plain, known in _PLAIN.items() if _plain(text).startswith(plain)), None)


def _plain(text: str) -> str:
    return text.lower().replace("-", "").replace("_", "").replace(" ", "")


_PLAIN = {_plain(name): known for name, known in KNOWN.items()}
