"""The version of cnnc, which artifacts record."""

from importlib.metadata import PackageNotFoundError, version


def cnnc_version() -> str:
    """Return the version of the installed package; `0` in a checkout that is not installed."""
    try:
        return version("cnnc")
    except PackageNotFoundError:
        return "0"
