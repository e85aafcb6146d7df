"""A YAML or JSON file, a git revision or Python data to values with their places.

Takes a path or data; returns a tree of `Value`, whose spans the diagnostics show. Start with `reader.py`, then
`composer.py`.
"""
