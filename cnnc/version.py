"""Which cnnc this is: what artifacts say that they were made by."""

from importlib.metadata import PackageNotFoundError, version


def cnnc_version() -> str:
    """The version of the installed package; `0` in a checkout that is not installed."""
    try:
        return version("cnnc")
    except PackageNotFoundError:
        return "0"
