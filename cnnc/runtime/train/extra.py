"""What only training needs, and how to get it."""

from importlib.util import find_spec

from cnnc.diagnostics import CnncError, Code

NEEDED = ("lightning_fabric", "matplotlib", "tensorboard")


def require_extra() -> None:
    """Raise E513 where a package of the extra `train` is missing; imports none of them."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CnncError.of(
            Code.MISSING_EXTRA,
            f"training needs packages that are not installed: {', '.join(missing)}",
            help="pip install 'cnnc[train]'",
        )
