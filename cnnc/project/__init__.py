"""The settings of a project: `[tool.cnnc]` in its pyproject.toml.

Takes the path of a spec; returns the warnings to allow or deny there, and which files a search of folders leaves out.
Start with `settings.py`.
"""
