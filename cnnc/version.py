"""The version of cnnc. pyproject.toml reads it here; `cnnc --version` prints it, and artifacts record it."""

__version__ = "0.1.0"
